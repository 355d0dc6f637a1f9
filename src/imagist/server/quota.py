"""How much the store may hold. Uploads count as they come; builds and `prune` are noticed."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from types import TracebackType
from typing import Final, Self

from imagist.server.messages import Refusal
from imagist.store.repositories import Repositories

_LOOK_AFTER: Final = 10.0
"""Seconds after which the store is measured anew."""
_LOOK_AGAIN_AFTER: Final = 1.0
"""The same before anything is refused."""


class Quota:
    """A bound on the bytes of all blobs and uploads; safe for threads."""

    def __init__(self, repositories: Repositories, limit: int | None) -> None:
        """Without a limit everything is granted."""
        self._repositories = repositories
        self._limit = limit
        self._used = 0
        self._looked = -_LOOK_AFTER
        self._reserved = 0
        self._lock = threading.Lock()

    def reserve(self, size: int = 0) -> Reservation:
        """Room for an upload; to be closed when it is in the store, or given up.

        Raises:
            Refusal: there is not so much room.
        """
        reservation = Reservation(self)
        reservation.grow(size)
        return reservation

    def take(self, size: int) -> None:
        """Set bytes aside.

        Raises:
            Refusal: there are not so many.
        """
        if self._limit is None:
            return
        with self._lock:
            self._look(_LOOK_AFTER)
            if self._used + self._reserved + size > self._limit:
                self._look(_LOOK_AGAIN_AFTER)
            if self._used + self._reserved + size > self._limit:
                message = f"the quota of {self._limit} bytes leaves no room for this"
                detail = {"quota": self._limit, "used": self._used, "wanted": size}
                raise Refusal(403, "DENIED", message, detail=detail)
            self._reserved += size

    def give_back(self, size: int, *, written: bool = False) -> None:
        """Bytes that were set aside are given up, or on the disk now."""
        if self._limit is not None:
            with self._lock:
                self._reserved -= size
                self._used += size if written else 0

    def _look(self, after: float) -> None:
        now = time.monotonic()
        if now - self._looked > after:
            with os.scandir(self._repositories.blobs.folder) as items:
                self._used = sum(map(_size, items))
            self._used += sum(map(_size, self._repositories.uploads()))
            self._looked = now


class Reservation:
    """Room that one upload has. A context manager."""

    def __init__(self, quota: Quota) -> None:
        self._quota = quota
        self._size = 0
        """Bytes that may still come."""

    def grow(self, size: int) -> None:
        """Have so many more bytes.

        Raises:
            Refusal: there are not so many.
        """
        self._quota.take(size)
        self._size += size

    def spend(self, size: int) -> None:
        """So many bytes are on the disk now; what was not announced is asked for first.

        Raises:
            Refusal: there are not so many.
        """
        if size > self._size:
            self.grow(size - self._size)
        self._quota.give_back(size, written=True)
        self._size -= size

    def close(self) -> None:
        """Give back what did not come; may be called again."""
        size, self._size = self._size, 0
        self._quota.give_back(size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _size(place: os.DirEntry[str] | str) -> int:
    with contextlib.suppress(FileNotFoundError):  # it was removed in the meantime
        return os.stat(place).st_size  # noqa: PTH116 - str paths
    return 0
