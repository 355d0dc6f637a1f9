"""Resolving thirty packages and what they need in an index of a whole distribution."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import WORK
from benchmarks.builders import find_apko, find_imagist
from benchmarks.measuring import Contestant, Heat, Row
from realworld.archive import count_entries, make_archive

_WORLD = (
    *("base-files", "base-passwd", "build-essential", "ca-certificates", "curl", "dash", "git"),
    *("gdb", "jq", "libpq-dev", "make", "nginx", "openssh-client", "patch", "perl", "pkgconf"),
    *("postgresql-client", "python3-dev", "python3-numpy", "python3-pip", "python3-requests"),
    *("python3-venv", "htop", "file", "sqlite3", "tzdata", "unzip", "wget", "xz-utils"),
    "zip",
)
"""Thirty packages, for which both come to the same result.

Not rsync: it needs lsb-base, which imagist takes as given by sysvinit-utils once that is there.
"""

_ENTRIES = 250_000
"""At least."""


class Resolving(Heat):
    """`imagist show packages` beside `apko show-packages`; neither fetches a package."""

    def __init__(self, *, cold: bool) -> None:
        """Cold: the index was never seen. apko remembers nothing of a local index."""
        self._cold = cold
        state = "cold" if cold else "warm"
        self.rows = (Row(f"resolve among {_ENTRIES:,} packages, {state}", "imagist", "apko"),)

    def set_up(self, names: Sequence[str]) -> Mapping[str, Contestant]:
        """Make the index where it is absent, and run each once."""
        archive = make_archive()
        assert count_entries(archive) >= _ENTRIES
        contestants = {}
        for name in names:
            folder = WORK / "resolving" / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "image.yaml").write_text(
                f"contents:\n  keyring: [{archive}/keys/imagist-test.rsa.pub]\n"
                f"  repositories: [{archive}]\n  packages: [{', '.join(_WORLD)}]\n"
                "archs: [x86_64]\n"
            )
            contestants[name] = self._contestant(name, folder)
            contestants[name].run()
        return contestants

    def _contestant(self, name: str, folder: Path) -> Contestant:
        cache = folder / "cache"
        if name == "imagist":
            command = [find_imagist(), "show", "packages", "image.yaml", "--quiet"]
            command += ["--format", "name=version", "--cache", str(cache)]
        else:
            command = [find_apko(), "show-packages", "image.yaml", "--log-level", "error"]
            command += ["--format", "name=version", "--cache-dir", str(cache)]

        def before() -> None:
            if self._cold:
                shutil.rmtree(cache, ignore_errors=True)

        return Contestant(command, folder, before, _read_answer)


def _read_answer(said: str) -> frozenset[str]:
    lines = frozenset(said.split())
    assert len(lines) > len(_WORLD), said
    return lines
