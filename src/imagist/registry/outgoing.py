"""Blobs on their way to a registry: counted, and not whole before their digest held."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import BinaryIO, cast

from imagist.errors import Untrusted
from imagist.oci.contents import Blob
from imagist.oci.reader import pieces_of, verified
from imagist.progress import Meter
from imagist.store.blobs import BlobFile


def open_checked(blob: Blob, meter: Meter) -> BinaryIO:
    """Open a blob so that its last bytes are given only if it is what its digest says.

    A store's blob is trusted, but for its size.

    Raises:
        Untrusted: the blob has another size.
    """
    stream = blob.open()
    if isinstance(stream, BlobFile):
        size = os.fstat(stream.fileno()).st_size
        if size != blob.size:
            stream.close()
            raise Untrusted(
                f"the blob {blob.digest} in the store is damaged: {size} bytes, not {blob.size}",
                help="remove what is damaged with `imagist cache verify`, then build again",
            )
        return cast("BinaryIO", _Counted(stream, meter))
    checked = verified(stream, blob.digest, blob.size)
    return cast("BinaryIO", _Withheld(checked, meter, blob.size))


class _Counted(io.RawIOBase):
    """A stream whose bytes a meter counts."""

    def __init__(self, stream: BinaryIO, meter: Meter) -> None:
        self._stream = stream
        self._meter = meter

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._meter.add(len(data))
        return data

    def pieces(self) -> Iterator[memoryview]:
        """All bytes in pieces, each of which is good until the next is asked for."""
        for piece in pieces_of(self._stream):
            self._meter.add(len(piece))
            yield piece

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


class _Withheld(_Counted):
    """A stream whose last bytes are given only after the end was reached, and held."""

    def __init__(self, stream: BinaryIO, meter: Meter, size: int) -> None:
        super().__init__(stream, meter)
        self._left = size
        """Bytes that are still to come out of the stream."""
        self._piece = b""
        """What came out of it and was not given yet, of a stream that is read."""
        self._begun = False

    def read(self, size: int = -1) -> bytes:
        if not self._begun:
            self._begun = True
            self._piece = self._stream.read(size)
        if 0 < size < len(self._piece):
            data, self._piece = self._piece[:size], self._piece[size:]
        else:
            data, self._piece = self._piece, self._piece and self._stream.read(size)
        self._meter.add(len(data))
        return data

    def pieces(self) -> Iterator[memoryview]:
        last = b""
        for piece in pieces_of(self._stream):
            self._left -= len(piece)
            if self._left > 0:
                self._meter.add(len(piece))
                yield piece
            else:
                last += piece
        self._meter.add(len(last))
        yield memoryview(last)


class Sent(Meter):
    """Counts what an attempt has sent, and takes it back when another one begins."""

    def __init__(self, meter: Meter) -> None:
        """Nothing was sent yet."""
        self._meter = meter
        self._size = 0

    def begin(self) -> Meter:
        """Take back what was counted, and count from nothing."""
        self._meter.add(-self._size)
        self._size = 0
        return self

    def expect(self, size: int) -> None:
        """See `Meter.expect`."""
        self._meter.expect(size)

    def add(self, size: int) -> None:
        """See `Meter.add`."""
        self._size += size
        self._meter.add(size)

    def finish(self, name: str, *, remembered: bool = False) -> None:
        """See `Meter.finish`."""
        self._meter.finish(name, remembered=remembered)
