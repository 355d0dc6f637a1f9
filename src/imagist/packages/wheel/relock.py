"""Making a lock where a project has none: uv resolves for every platform at once."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from imagist.errors import NotFound, RequestError
from imagist.packages.wheel.lock.pylock import read_pylock
from imagist.packages.wheel.lock.uv import run_uv

NAME: Final = "pylock.toml"
SOURCES: Final = ("pyproject.toml", "requirements.in", "requirements.txt")
"""What a project's requirements may be in, in the order in which they are looked for."""
_TEMPORARY: Final = "pylock.imagist-unfinished.toml"
"""uv insists on this form of a name, and keeps the versions that it finds in its output."""
_HEADER: Final = (
    b"# Made by `imagist lock` with uv; `imagist lock --update` takes newer versions.\n"
)
_USERINFO: Final = re.compile(rb"(https?://)[^/@\s\"']+@")
_LEAST: Final = re.compile(r"(?:>=|~=|==)\s*(3\.\d+)")


class Relocked(NamedTuple):
    """A new lock, and what to say of it."""

    data: bytes
    notice: str


def find_source(names: Collection[str]) -> str | None:
    """Which of a folder's files has the requirements; None where none has."""
    return next((name for name in SOURCES if name in names), None)


def make_lock(
    folder: Path,
    source: str,
    *,
    python: str,
    extras: Sequence[str] = (),
    groups: Sequence[str] = (),
    old: bytes | None = None,
    update: Sequence[str] = (),
) -> Relocked:
    """Resolve the requirements of a project for every platform, with hashes.

    Nothing is written that stays; where packages come from is what uv is configured to use.

    Args:
        folder: of the project.
        source: the file with its requirements.
        python: the lowest version that the lock is for, such as `3.12`.
        extras: those that are in it.
        groups: dependency groups that are in it.
        old: the lock that there was: its versions stay.
        update: packages that get newer versions; `*` for all.

    Raises:
        NotFound: uv is not installed, or the file is not there.
        RequestError: there is no solution; told in uv's words.
    """
    if not (folder / source).is_file():
        raise NotFound(
            f"there is no {folder / source} to lock", help="one of " + ", ".join(SOURCES)
        )
    output = folder / _TEMPORARY
    words = ["pip", "compile", source, "--universal", "--python-version", python]
    words += ["--format", "pylock.toml", "--no-header", "--no-annotate", "-o", _TEMPORARY]
    words += [word for extra in extras for word in ("--extra", extra)]
    words += [word for group in groups for word in ("--group", group)]
    if "*" in update:
        words.append("--upgrade")
    else:
        words += [word for name in update for word in ("--upgrade-package", name)]
    try:
        if old is not None:
            output.write_bytes(old)
        run_uv(words, folder, what="the requirements cannot be locked")
        data = _HEADER + _USERINFO.sub(rb"\1", output.read_bytes())
    except OSError as error:
        raise RequestError(f"{output} cannot be written: {error.strerror}") from error
    finally:
        output.unlink(missing_ok=True)
    lock = read_pylock(data, NAME)
    count = len(lock.packages)
    plural = "package" if count == 1 else "packages"
    notice = f"locked {count} {plural} of {source} for Python {python} and later with uv"
    return Relocked(data, f"{notice}; keep {NAME} beside it")


def least_python(requires: str, default: str) -> str:
    """The lowest minor version that a `requires-python` allows.

    >>> least_python(">=3.10,<4", "3.12"), least_python("<4", "3.12")
    ('3.10', '3.12')
    """
    found = [tuple(map(int, minor.split("."))) for minor in _LEAST.findall(requires)]
    return ".".join(map(str, max(found))) if found else default
