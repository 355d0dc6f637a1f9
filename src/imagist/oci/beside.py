"""A hash taken beside the work: one processor hashes a piece while another writes or sends it.

Neither hashes nor files nor sockets need the interpreter's lock while they are at it.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable
from typing import Final, Protocol

WORTH: Final = 8 << 20
"""Bytes of a stream from which on a thread of its own pays."""


class Updatable(Protocol):
    """A hash of hashlib."""

    def update(self, data: memoryview, /) -> None:
        """Take more bytes."""


def hash_beside(state: Updatable, pieces: Iterable[memoryview]) -> Generator[memoryview]:
    """The same pieces, each of which a thread hashes while whoever asked for it works.

    The hash is nobody else's until the iterator has ended, or was closed.
    """
    piece: memoryview | None = None
    given, taken = threading.Semaphore(0), threading.Semaphore(0)

    def work() -> None:
        while given.acquire() and piece is not None:
            state.update(piece)
            taken.release()

    threading.Thread(target=work, daemon=True).start()
    try:
        for piece in pieces:
            given.release()
            try:
                yield piece
            finally:
                taken.acquire()
    finally:
        piece = None
        given.release()
