"""Files of several distributions in one place: an error where they differ, else no matter."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from imagist.errors import InputError, Problem
from imagist.packages.wheel.facts import FileFact, WheelFacts
from imagist.rootfs.entry import parent

_SHOWN: Final = 3
"""Files named for each pair of distributions that collide."""


def check_collisions(wheels: Iterable[WheelFacts], shared: Collection[str] = ()) -> list[str]:
    """Compare the files of all distributions of an environment.

    Args:
        wheels: as they are installed.
        shared: patterns (`globs`) of paths below site-packages where it does not matter whose
            file is there.

    Returns:
        Warnings: paths that are one on file systems that do not tell cases apart.

    Raises:
        InputError: a path has different contents, or is a file of one and a folder of another;
            all pairs of distributions are told.
    """
    owners: dict[str, tuple[FileFact, WheelFacts]] = {}
    clashes: dict[tuple[str, str], list[str]] = {}
    folded: dict[str, str] = {}
    warnings: list[str] = []
    folders: dict[str, WheelFacts] = {}
    indifferent = _compile(shared)
    for wheel in wheels:
        for file in wheel.files:
            before, owner = owners.setdefault(file.path, (file, wheel))
            if before.sha256 != file.sha256 and not _is_any(file.path, indifferent):
                clashes.setdefault((str(owner), str(wheel)), []).append(f"/{file.path}")
            other = folded.setdefault(file.path.casefold(), file.path)
            if other != file.path:
                warnings.append(
                    f"/{other} and /{file.path} are one file where cases are not told apart"
                )
            folder = parent(file.path)
            while folder and folder not in folders:
                folders[folder] = wheel
                folder = parent(folder)
    for path in owners.keys() & folders.keys():
        pair = (str(owners[path][1]), str(folders[path]))
        clashes.setdefault(pair, []).append(f"/{path} (a file of one, a folder of the other)")
    if clashes:
        raise InputError(_describe(*pair, sorted(paths)) for pair, paths in clashes.items())
    return warnings


def _compile(patterns: Collection[str]) -> list[re.Pattern[str]]:
    if not patterns:
        return []
    from imagist.packages.globs import translate  # noqa: PLC0415 - most have none

    return [re.compile(translate(pattern), re.DOTALL) for pattern in patterns]


def _is_any(path: str, patterns: Sequence[re.Pattern[str]]) -> bool:
    below = path.partition("/site-packages/")[2]
    return bool(below) and any(pattern.fullmatch(below) for pattern in patterns)


def _describe(one: str, other: str, paths: list[str]) -> Problem:
    shown = ", ".join(paths[:_SHOWN])
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return Problem(
        f"{one} and {other} both install {shown}{more}, with different contents",
        help="leave one of the two out, choose versions that do not share files, or say that it "
        'does not matter whose are there: `shared = ["tests/**"]`',
    )
