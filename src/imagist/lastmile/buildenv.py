"""Environments for build backends: made once for each set of requirements, and kept.

A build backend is a package like any other (PEP 517), so it is installed before it is run, apart
from everything else. The environment of the same requirements serves every project that has them,
also without a network; whoever wants newer backends removes the folder.
"""

from __future__ import annotations

import fcntl
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from imagist.errors import InputError, RequestError
from imagist.net.url import local_path, redact
from imagist.store.memo import memo_key

_READY: Final = ".ready"
LOCAL: Final = re.compile(r"@\s*(file:[^\s#?]+)")
"""A file of this machine in a requirement (PEP 508)."""
_SAID: Final = 2000
"""Characters of a failed installation's output that are told."""


class BuildEnvironment(msgspec.Struct, frozen=True):
    """A virtual environment of this machine with a build backend in it."""

    folder: Path
    local: tuple[str, ...] = ()
    """SHA-256 of the files of this machine that it was made from."""

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.folder / "bin" / "python")

    def contents(self) -> tuple[str, ...]:
        """Names and versions of what is in it, and local files: what is built depends on them."""
        found = self.folder.glob("lib/python*/site-packages/*.dist-info")
        return (*sorted(path.name.removesuffix(".dist-info") for path in found), *self.local)

    def variables(self, more: Mapping[str, str]) -> dict[str, str]:
        """The variables that a program in it sees: this process's own, and some more."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        path = os.pathsep.join([str(self.folder / "bin"), kept.get("PATH", os.defpath)])
        return {**kept, "PATH": path, "VIRTUAL_ENV": str(self.folder), **more}


class BuildEnvironments:
    """The environments below one folder; safe for several processes."""

    def __init__(self, folder: Path) -> None:
        """Nothing is made before it is asked for."""
        self._folder = folder

    def find(self, requirements: Iterable[str], *, offline: bool = False) -> BuildEnvironment:
        """An environment with these requirements, made where it is not there yet.

        Raises:
            RequestError: it is not there, and nothing may be fetched.
            InputError: the requirements cannot be installed; or one is a folder or is not there.
        """
        wanted = sorted(set(requirements))
        local = tuple(_digest(path, each) for each in wanted for path in LOCAL.findall(each))
        place = self._folder / memo_key(wanted, *local, sys.version)[:24]
        if (place / _READY).exists():
            return BuildEnvironment(place, local)
        if offline and wanted:
            raise RequestError(
                f"building needs {', '.join(map(redact, wanted))}, which was never installed here",
                help="build once without --offline, or give a wheel",
            )
        with _alone(place):
            if not (place / _READY).exists():  # another process may have been faster
                import shutil  # noqa: PLC0415 - for once in the life of an environment

                shutil.rmtree(place, ignore_errors=True)
                _make(place, wanted)
                (place / _READY).touch()
        return BuildEnvironment(place, local)


def _digest(location: str, requirement: str) -> str:
    """SHA-256 of a file that a requirement names, which may become another under its name."""
    import hashlib  # noqa: PLC0415 - few name one

    file = Path(local_path(location))
    if not file.is_file():
        is_folder = file.is_dir()
        raise InputError(
            f"the project is built with `{requirement}`, which is "
            + ("a folder, whose changes nobody would notice" if is_folder else "not there"),
            help="build a wheel of it, and let `requires` in the [build-system] of pyproject.toml "
            "name that; or let `backend-path` name the folder, if it is one of the project"
            if is_folder
            else "see `requires` in the [build-system] of pyproject.toml",
        )
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _make(place: Path, requirements: list[str]) -> None:
    """Install with pip, which knows the user's index; this environment's own, if it has one."""
    import importlib.util  # noqa: PLC0415 - as above

    has_pip = importlib.util.find_spec("pip") is not None
    _run([sys.executable, "-m", "venv", *(["--without-pip"] if has_pip else []), str(place)])
    if not requirements:
        return
    pip = [str(place / "bin" / "python"), "-m", "pip"]
    if has_pip:
        pip = [sys.executable, "-m", "pip", "--python", pip[0]]
    options = ["--quiet", "--disable-pip-version-check", "--no-warn-script-location", "--no-input"]
    _run([*pip, "install", *options, *requirements])


def _run(command: list[str]) -> None:
    import subprocess  # noqa: PLC0415 - as above

    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        said = redact((done.stderr or done.stdout).strip()[-_SAID:])
        raise InputError(
            f"what the project is built with cannot be installed:\n{said}",
            help="see `requires` in the [build-system] of its pyproject.toml",
        )


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Have the making of an environment alone."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
