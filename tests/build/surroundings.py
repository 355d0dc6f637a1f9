"""What is around a build in tests of reproducibility: umask, zone, locale, hash seed, jobs, clock."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from build.commandline import command, environment


class Way(NamedTuple):
    """What is around a build, and must not matter."""

    flags: Sequence[str] = ()
    variables: Mapping[str, str] = {}
    umask: int = 0o022
    before: Sequence[str] = ()
    """Words before the command."""

    def build(self, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
        """Build in a folder, with a store there."""
        return subprocess.run(
            [*self.before, *command("build", *words, *self.flags)],
            cwd=folder,
            env=environment(XDG_CACHE_HOME=str(folder / "cache"), **self.variables),
            umask=self.umask,
            capture_output=True,
            text=True,
        )


WAYS = {
    "plain": Way(),
    "umask and one job": Way(["--jobs", "1"], {}, 0o077),
    "zone, locale, hash seed, many jobs, home": Way(
        ["--jobs", "7", "-v"],
        {"TZ": "Pacific/Kiritimati", "LC_ALL": "tr_TR.UTF-8", "LANG": "de_DE", "HOME": "/nowhere",
         "PYTHONHASHSEED": "1"},
        0o002,
    ),
    "C locale, other seed": Way(
        [], {"LC_ALL": "C", "TZ": "America/Caracas", "PYTHONHASHSEED": "77"}, 0o027
    ),
    "another time": Way(before=["faketime", "-f", "+1234d5h6m7s"]),
    "a time before all packages": Way(before=["faketime", "-f", "@1999-12-31 23:59:58"]),
}  # fmt: skip
