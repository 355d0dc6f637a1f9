"""Reading ahead in a thread: one processor receives while another hashes and writes.

Sockets, files and hashes all work without the interpreter's lock.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import BinaryIO, Final, cast

from imagist.digest import CHUNK
from imagist.oci.beside import WORTH

_PIECES: Final = 4
"""Pieces that are read ahead of whoever takes them."""


def read_ahead(stream: BinaryIO, size: int) -> BinaryIO:
    """A stream that is read ahead where it is large; see `ReadAhead`."""
    return cast("BinaryIO", ReadAhead(stream)) if size >= WORTH else stream


class ReadAhead(io.RawIOBase):
    """Another stream, whose next pieces a thread has read already; what it raises, this raises."""

    def __init__(self, stream: BinaryIO) -> None:
        """Take over a stream, and begin."""
        self._stream = stream
        self._spare = [memoryview(bytearray(CHUNK)) for _ in range(_PIECES)]
        self._ready: list[tuple[memoryview, int]] = []
        self._piece: memoryview | None = None
        """What is being taken, the whole of it."""
        self._left = memoryview(b"")
        """What is left of it."""
        self._failure: BaseException | None = None
        self._is_over = False
        self._is_given_up = False
        self._changed = threading.Condition()
        threading.Thread(target=self._read_on, daemon=True).start()

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Some of the next bytes; 0 at the end."""
        view = memoryview(buffer).cast("B")
        data = self._take(len(view))
        view[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most so many; b"" at the end."""
        if size < 0:
            return b"".join(iter(lambda: self.read(CHUNK), b""))
        return bytes(self._take(size))

    def pieces(self) -> Iterator[memoryview]:
        """All bytes in pieces, each of which is good until the next is asked for."""
        while piece := self._take(CHUNK):
            yield piece

    def close(self) -> None:
        """Stop reading; the thread closes the stream when it comes back from it."""
        with self._changed:
            self._is_given_up = True
            self._changed.notify_all()
        super().close()

    def _take(self, size: int) -> memoryview:
        if not self._left:
            self._next()
        data, self._left = self._left[:size], self._left[size:]
        return data

    def _next(self) -> None:
        """Have the next piece at hand; an empty one at the end."""
        with self._changed:
            if self._piece is not None:
                self._spare.append(self._piece)
                self._piece = None
                self._changed.notify_all()
            while not self._ready and not self._is_over:
                self._changed.wait()
            if self._ready:
                self._piece, size = self._ready.pop(0)
                self._left = self._piece[:size]
            elif self._failure is not None:
                raise self._failure

    def _read_on(self) -> None:
        failure: BaseException | None = None
        try:
            with self._stream:
                while (piece := self._take_spare()) is not None and self._fill(piece):
                    pass
        except BaseException as error:
            failure = error
        with self._changed:
            self._failure, self._is_over = failure, True
            self._changed.notify_all()

    def _fill(self, piece: memoryview) -> bool:
        """Fill a piece and offer it; False at the end. Each change of threads costs, so few do."""
        filled = 0
        try:
            while filled < len(piece):
                size = self._stream.readinto(piece[filled:])  # type: ignore[attr-defined]
                if not size:
                    return False
                filled += size
            return True
        finally:
            if filled:
                with self._changed:
                    self._ready.append((piece, filled))
                    self._changed.notify_all()

    def _take_spare(self) -> memoryview | None:
        with self._changed:
            while not self._spare and not self._is_given_up:
                self._changed.wait()
            return None if self._is_given_up else self._spare.pop()
