"""Solutions remembered: the same world over the same indexes has the same packages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

from imagist.oci.platform import Platform
from imagist.store.memo import memo_key
from imagist.store.store import Store

STEP: Final = "solution"
FORMAT: Final = 1
"""Raise it whenever the solver would choose otherwise."""


W = TypeVar("W")


class Solution(msgspec.Struct, Generic[W], frozen=True):
    """What the solver chose."""

    packages: dict[Platform, tuple[W, ...]]
    """In installation order."""
    tags: dict[str, str]
    """Tag of the repository by name of the package that was taken from one."""


class _Remembered(msgspec.Struct, Generic[W], frozen=True, array_like=True):
    packages: list[tuple[Platform, tuple[W, ...]]]
    tags: dict[str, str]


def solution_key(
    world: Mapping[Platform, Sequence[str]],
    indexes: Sequence[object],
    installed: Mapping[Platform, Sequence[Any]],
    preferred: Mapping[str, str],
) -> str:
    """The memo key of everything the solver is given.

    Args:
        world: what is asked for, by platform.
        indexes: what there is to choose from, in the order of the repositories: parts of a key,
            with the digests of what was read.
        installed: the packages of a base image, by platform.
        preferred: versions by package name.
    """
    return memo_key(
        FORMAT,
        [(str(platform), world[platform]) for platform in world],
        list(indexes),
        [(str(platform), installed[platform]) for platform in installed],
        dict(preferred),
    )


def recall_solution(store: Store, key: str, kind: type[W]) -> Solution[W] | None:
    """What the solver chose before, or None; `kind` is what the format calls a wanted package."""
    value = store.memo.get(STEP, key)
    if value is None:
        return None
    try:
        known = msgspec.msgpack.decode(value, type=_Remembered[kind])  # type: ignore[valid-type]
    except msgspec.DecodeError:
        return None
    return Solution(dict(known.packages), known.tags)


def remember_solution(store: Store, key: str, solution: Solution[W]) -> None:
    """Keep what the solver chose."""
    known = _Remembered(list(solution.packages.items()), solution.tags)
    store.memo.put(STEP, key, msgspec.msgpack.encode(known))
