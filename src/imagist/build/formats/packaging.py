"""What an image has of a package format beside the packages: its folders, its state, its database.

`compose` calls these in its order; each format has a module that does them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from imagist.build.merge import Merged
from imagist.packages.files import PackageFiles
from imagist.rootfs.content import Contents
from imagist.rootfs.tree import Tree

F = TypeVar("F", bound=PackageFiles)

Finish = Callable[[], None]
"""Writes what can only be told when the tree is complete: the package database above all."""


class Ground(msgspec.Struct, Generic[F], frozen=True):
    """An image whose packages are merged, before anything else is done to it."""

    tree: Tree
    contents: Contents
    packages: Sequence[F]
    """In the order of installation."""
    merged: Merged
    users: Mapping[str, int]
    groups: Mapping[str, int]
    """The accounts that the declaration adds later, by name; with their numbers."""
    epoch: int
    """mtime of what is made, in seconds since 1970."""
    warnings: list[str]
    """What is odd is added here."""


class Packaging(Protocol[F]):
    """One package format, as far as images are concerned."""

    all_homes: bool
    """Whether every account has its home made, and not only those that are declared."""

    def put_skeleton(self, tree: Tree, *, epoch: int) -> None:
        """Make the folders of every image of the format, before packages are merged."""

    def begin(self, ground: Ground[F]) -> Finish:
        """Add what the format's own tools would have made, before the declaration's own things.

        Raises:
            ImagistError: packages hold something that cannot be used.
        """
