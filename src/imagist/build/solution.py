"""Solutions remembered: the same world over the same indexes has the same packages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from imagist.oci.platform import Platform
from imagist.packages.apk.fetch import Wanted
from imagist.packages.apk.index import Package
from imagist.packages.apk.repository import LoadedIndex
from imagist.store.memo import memo_key
from imagist.store.store import Store

STEP: Final = "solution"
FORMAT: Final = 1
"""Raise it whenever the solver would choose otherwise."""


class Solution(msgspec.Struct, frozen=True):
    """What the solver chose."""

    packages: dict[Platform, tuple[Wanted, ...]]
    """In installation order."""
    tags: dict[str, str]
    """Tag of the repository by name of the package that was taken from one."""


class _Remembered(msgspec.Struct, frozen=True, array_like=True):
    packages: list[tuple[Platform, tuple[Wanted, ...]]]
    tags: dict[str, str]


def solution_key(
    world: Mapping[Platform, Sequence[str]],
    indexes: Sequence[LoadedIndex],
    installed: Mapping[Platform, Sequence[Package]],
    preferred: Mapping[str, str],
) -> str:
    """The memo key of everything the solver is given.

    Args:
        world: what is asked for, by platform.
        indexes: what there is to choose from, in the order of the repositories.
        installed: the packages of a base image, by platform.
        preferred: versions by package name.
    """
    return memo_key(
        FORMAT,
        [(str(platform), world[platform]) for platform in world],
        [(index.location.url, index.location.tag, index.arch, index.digest) for index in indexes],
        [(str(platform), installed[platform]) for platform in installed],
        dict(preferred),
    )


def recall_solution(store: Store, key: str) -> Solution | None:
    """What the solver chose before, or None."""
    value = store.memo.get(STEP, key)
    if value is None:
        return None
    try:
        known = msgspec.msgpack.decode(value, type=_Remembered)
    except msgspec.DecodeError:
        return None
    return Solution(dict(known.packages), known.tags)


def remember_solution(store: Store, key: str, solution: Solution) -> None:
    """Keep what the solver chose."""
    known = _Remembered(list(solution.packages.items()), solution.tags)
    store.memo.put(STEP, key, msgspec.msgpack.encode(known))
