"""One lock file: everyone who uses the store shares it, `prune` has it alone."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from imagist.errors import RequestError

_PATIENCE: Final = 10.0
"""Seconds to wait for builds that are running."""


@contextlib.contextmanager
def shared(file: Path) -> Iterator[None]:
    """Share a lock for a moment, as who changes the store between two prunings must.

    For processes that live long: others may have the lock alone while this one only reads.
    """
    descriptor = _open(file)
    try:
        with _turn(file) as turn:
            fcntl.flock(turn, fcntl.LOCK_SH)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _turn(file: Path) -> Iterator[int]:
    """A second lock, which who wants the first one alone holds while it waits.

    Else many who share it for a moment each would keep it from ever being free.
    """
    descriptor = _open(file.with_name(f"{file.name}.turn"))
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open(file: Path) -> int:
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


class Lock:
    """A shared lock, held from construction to `close`, garbage collection or death."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor = -1
        self._descriptor = _open(file)
        self.share()

    def close(self) -> None:
        """Give the lock back; once is enough."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    __del__ = close

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Have the lock alone for a while.

        Raises:
            RequestError: others did not let go of it within ten seconds.
        """
        try:
            self._wait()
            yield
        finally:
            self.share()

    def try_alone(self) -> bool:
        """Have the lock alone until `share`, if nobody else has it now."""
        return _try_alone(self._descriptor)

    def share(self) -> None:
        """Share the lock again after `try_alone`."""
        # An attempt that failed may have dropped the shared lock (flock(2)).
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def _wait(self) -> None:
        give_up = time.monotonic() + _PATIENCE
        with _turn(self._file) as turn:
            self._try(give_up, lambda: _try_alone(turn))
            self._try(give_up, self.try_alone)

    def _try(self, give_up: float, attempt: Callable[[], bool]) -> None:
        while not attempt():
            if time.monotonic() > give_up:
                raise RequestError(
                    f"another imagist is using {self._file.parent}",
                    help="try again when it has finished",
                )
            time.sleep(0.05)


def _try_alone(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
