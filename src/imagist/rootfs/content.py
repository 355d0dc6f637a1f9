"""How code that needs bytes of files in a tree asks for them, without knowing where they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from imagist.rootfs.tree import Node


class Contents(Protocol):
    """A reader of the files of a tree."""

    def read(self, nodes: Iterable[Node]) -> dict[str, bytes]:
        """The contents of some file nodes by path; few and small files only: all in memory.

        Ask for everything that is needed at once: each package is then inflated once.
        """
        ...
