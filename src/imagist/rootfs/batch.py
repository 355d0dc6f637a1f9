"""Gathering small pieces, so that whoever takes them hashes and compresses large ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from imagist.errors import InputError
from imagist.rootfs.entry import Entry

ENOUGH: Final = 1 << 16
"""Bytes that are handed on at once: with fewer, hashing would not release the GIL."""

Content = bytes | Iterable[bytes | memoryview]
"""The bytes of a file at once, or in pieces; empty for everything that is not a file."""


class Batch:
    """Pieces on their way to `write`, in runs of at least 64 KiB but the last."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        """Hand the runs to `write`."""
        self._write = write
        self._pieces: list[bytes | memoryview] = []
        self._waiting = 0

    def add(self, piece: bytes | memoryview) -> None:
        """Take one piece."""
        self._pieces.append(piece)
        self._waiting += len(piece)
        if self._waiting >= ENOUGH:
            self.flush()

    def add_content(self, entry: Entry, content: Content) -> None:
        """Take the content of a file.

        Raises:
            InputError: it has not the size that its entry states.
        """
        size = 0
        for piece in (content,) if isinstance(content, bytes) else content:
            size += len(piece)
            self.add(piece)
        if size != entry.size:
            raise InputError(f"/{entry.path} has {size} bytes, but {entry.size} were announced")

    def flush(self) -> None:
        """Hand on what waits."""
        self._write(b"".join(self._pieces))
        self._pieces.clear()
        self._waiting = 0
