"""Zstandard (RFC 8878) inflated in bounded steps.

The standard library has it since Python 3.14; before, `backports.zstd` is the same code. Whoever
needs it imports this module where it is needed: most images have no such layer.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, cast

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError, ZstdFile
else:
    from backports.zstd import ZstdDecompressor, ZstdError, ZstdFile

_PIECE: Final = 1 << 20


class Inflater:
    """Takes a file as it comes, in pieces of any size, and gives its content.

    A file may be several frames, some of them without content. A frame that needs a window of more
    than 128 MiB is refused, as every reader of zstd does unless it is told not to.
    """

    def __init__(self) -> None:
        self._frame: ZstdDecompressor | None = None

    def inflate(self, data: bytes | memoryview) -> Iterator[bytes]:
        """The content of the next bytes of the file, in pieces of at most 1 MiB.

        Raises:
            ValueError: they are damaged, or no zstd.
        """
        todo: bytes | memoryview = data
        while todo or not self._needs_input():
            if self._frame is None or self._frame.eof:
                self._frame = ZstdDecompressor()
            try:
                piece = self._frame.decompress(todo, _PIECE)
            except ZstdError as error:
                raise ValueError(str(error)) from None
            todo = self._frame.unused_data if self._frame.eof else b""
            if piece:
                yield piece

    def finish(self) -> None:
        """The file has ended.

        Raises:
            ValueError: it was cut off.
        """
        if self._frame is None or not self._frame.eof:
            raise ValueError("it is cut off")

    def _needs_input(self) -> bool:
        return self._frame is None or self._frame.eof or self._frame.needs_input


class _File(ZstdFile):
    """A file whose damage is an `OSError`, as that of other files."""

    def read(self, size: int | None = -1) -> bytes:
        try:
            return super().read(size)
        except ZstdError as error:
            raise OSError(str(error)) from None

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            return super().readinto(buffer)
        except ZstdError as error:
            raise OSError(str(error)) from None


def open_file(path: Path) -> IO[bytes]:
    """Open a compressed file for reading; seeking back begins anew. The caller closes it."""
    return cast("IO[bytes]", _File(path, "rb"))
