"""Which lock a project has, and reading it whatever its format."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from imagist.errors import NotFound, RequestError
from imagist.packages.wheel.lock.model import Lock
from imagist.packages.wheel.lock.reading import read_regular

NAMES: Final = ("pylock.toml", "uv.lock", "poetry.lock", "pdm.lock", "requirements.txt")
"""What locks are called, in the order in which they are looked for."""
_PYLOCK: Final = r"pylock(\.[^.]+)?\.toml"


def find_lock(names: Collection[str]) -> str | None:
    """The lock among the names of a folder; None where there is none."""
    return next((name for name in NAMES if name in names), None)


def read_lock(
    path: Path,
    *,
    extras: Sequence[str] = (),
    groups: Sequence[str] | None = None,
    variables: Mapping[str, str] | None = None,
    environments: Sequence[Mapping[str, str]] = (),
) -> Lock:
    """Read a lock of any format; which one, its name tells.

    Args:
        path: the lock.
        extras: those of the project that are wanted; only uv need be told, where it is asked.
        groups: likewise dependency groups.
        variables: what `${NAME}` in a requirements file stands for.
        environments: for which it is wanted, as markers see them; what is for none of them needs
            no hash in a requirements file.

    Raises:
        NotFound: it is not there.
        InputError: it is no regular file, or cannot be read.
        RequestError: its name tells no format, or it is wrong; all problems at once.
    """
    name, shown = path.name, str(path)
    if name == "uv.lock":
        from imagist.packages.wheel.lock.uvlock import read_uv_lock  # noqa: PLC0415

        lock = read_uv_lock(_read(path), shown)
        if lock is not None:
            return lock
        from imagist.packages.wheel.lock.uv import read_uv  # noqa: PLC0415

        return read_uv(path, extras=extras, groups=groups)
    if re.fullmatch(_PYLOCK, name):
        from imagist.packages.wheel.lock.pylock import read_pylock  # noqa: PLC0415

        return read_pylock(_read(path), shown)
    if name == "poetry.lock":
        from imagist.packages.wheel.lock.poetry import read_poetry  # noqa: PLC0415

        return read_poetry(_read(path), shown)
    if name == "pdm.lock":
        from imagist.packages.wheel.lock.pdm import read_pdm  # noqa: PLC0415

        return read_pdm(_read(path), shown)
    if path.suffix in {".txt", ".in"}:
        from imagist.packages.wheel.lock.requirements import read_requirements  # noqa: PLC0415

        return read_requirements(lambda each: _read(Path(each)), shown, variables, environments)
    raise RequestError(
        f"`{name}` is no name of a lock", help="one of " + ", ".join(NAMES), where=shown
    )


def _read(path: Path) -> bytes:
    try:
        return read_regular(path)
    except NotFound as error:
        advice = "make a lock with `imagist lock`, or name another"
        raise NotFound([replace(p, help=advice) for p in error.problems]) from None
