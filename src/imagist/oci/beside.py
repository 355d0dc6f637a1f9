"""A hash taken beside the work: one processor hashes a piece while another writes or sends it.

Neither hashes nor files nor sockets need the interpreter's lock while they are at it.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Final, Protocol, Self

WORTH: Final = 8 << 20
"""Bytes of a stream from which on a thread of its own pays."""


class Updatable(Protocol):
    """A hash of hashlib."""

    def update(self, data: memoryview, /) -> None:
        """Take more bytes."""


class HashBeside:
    """Brings a hash up to date in a thread; a context manager, for one thread to use."""

    def __init__(self, state: Updatable) -> None:
        """Take the hash, which is nobody else's until the block ends."""
        self._state = state
        self._piece: memoryview | None = None
        self._is_busy = False
        self._given = threading.Semaphore(0)
        self._taken = threading.Semaphore(0)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._hash, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.wait()
        self._piece = None
        self._given.release()

    def begin(self, piece: memoryview) -> None:
        """Hash the next piece, which must stay as it is until `wait`."""
        self._piece = piece
        self._is_busy = True
        self._given.release()

    def wait(self) -> None:
        """Wait until the piece is hashed."""
        if self._is_busy:
            self._taken.acquire()
            self._is_busy = False

    def _hash(self) -> None:
        while True:
            self._given.acquire()
            if self._piece is None:
                return
            self._state.update(self._piece)
            self._taken.release()
