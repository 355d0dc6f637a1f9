"""The real apt on an empty root of its own: what it would install, and from what."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

_INSTALL = re.compile(r"^Inst (\S+) \((\S+)", re.MULTILINE)

_WAVERED = re.compile(r"^ *(?:MarkKeep|MarkDelete|.* can't be satisfied)", re.MULTILINE)


class Apt:
    """apt with its own configuration, sources and database below a folder."""

    def __init__(
        self,
        root: Path,
        sources: Sequence[str],
        *,
        architecture: str = "amd64",
        foreign: Sequence[str] = (),
        status: str = "",
    ) -> None:
        for folder in (
            "lists/partial", "cache/archives/partial", "etc/sources.list.d",
            "etc/preferences.d", "etc/apt.conf.d", "etc/trusted.gpg.d",
        ):  # fmt: skip
            (root / folder).mkdir(parents=True, exist_ok=True)
        (root / "status").write_text(status)
        (root / "etc/sources.list").write_text("".join(f"{line}\n" for line in sources))
        options = {
            "Dir::Etc": "etc", "Dir::Etc::sourcelist": "etc/sources.list",
            "Dir::Etc::sourceparts": "etc/sources.list.d", "Dir::State": "",
            "Dir::Etc::preferences": "etc/preferences",
            "Dir::Etc::preferencesparts": "etc/preferences.d",
            "Dir::State::lists": "lists", "Dir::State::status": "status", "Dir::Cache": "cache",
            "Dir::Cache::pkgcache": "cache/pkgcache.bin",  # some machines do without, slowly
            "Dir::Cache::srcpkgcache": "cache/srcpkgcache.bin",
        }  # fmt: skip
        self.root = root
        self.wavered = False
        """Whether the last answer came about with a change of mind."""
        self._options = [f"-o{name}={root / path}" for name, path in options.items()]
        self._options += [
            "-oAPT::Install-Recommends=0", f"-oAPT::Architecture={architecture}",
            f"-oAPT::Architectures={','.join([architecture, *foreign])}", "-oDebug::NoLocking=1",
            "-oAcquire::Languages=none", "-oAcquire::IndexTargets::deb::DEP-11::DefaultEnabled=0",
            "-oAPT::Sandbox::User=root",
        ]  # fmt: skip

    def pin(self, text: str) -> None:
        """Write preferences (apt_preferences(5))."""
        (self.root / "etc/preferences").write_text(text)

    def use(self, other: Apt) -> None:
        """Read the indexes that another one has fetched."""
        lists = other.root / "lists"
        self._options = [o for o in self._options if not o.startswith("-oDir::State::lists=")]
        self._options.append(f"-oDir::State::lists={lists}")

    def update(self) -> str:
        """Fetch the indexes; what went wrong, or nothing."""
        done = self._run("update", "-oAPT::Update::Error-Mode=any")
        return done.stderr if done.returncode else ""

    def install(self, *names: str, watch: bool = False) -> dict[str, str] | None:
        """Versions by name of what would be installed; None where apt finds no way.

        Watched, apt is slower, and `wavered` is told.
        """
        watching = ["-oDebug::pkgDepCache::Marker=1"] if watch else []
        done = self._run("-s", "install", *watching, *names)
        self.wavered = _WAVERED.search(done.stderr) is not None
        return None if done.returncode else dict(_INSTALL.findall(done.stdout))

    def files(self, pattern: str) -> list[Path]:
        """Files that were fetched."""
        return sorted((self.root / "lists").glob(pattern))

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["apt-get", *self._options, *arguments]
        environment = {**os.environ, "LC_ALL": "C", "APT_CONFIG": "/dev/null"}
        return subprocess.run(command, capture_output=True, text=True, env=environment)
