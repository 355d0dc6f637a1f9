"""A blob of a registry as a stream that goes on where it broke.

The digest says what the bytes must be, so no entity tag need vouch for the rest: whoever reads
keeps the running hash, and a server that gives other bytes is found out at the end.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Final

from imagist.errors import NetworkError, Untrusted
from imagist.net.retry import Patience, Waiter
from imagist.net.transport import Response

_RANGE: Final = r"bytes ([0-9]{1,18})-[0-9]{1,18}/(?:[0-9]{1,18}|\*)"
_SKIP: Final = 1 << 20
_PER_BREAK: Final = 16 << 20
"""Bytes after which one break more is forgiven: long transfers meet more of them."""
_NUMBER: Final = re.compile("[0-9]{1,18}")


class RemoteBlob(io.RawIOBase):
    """The bytes of a blob, unchecked; a break is repaired by asking for the rest."""

    def __init__(
        self,
        ask: Callable[[int], Response],
        what: str,
        *,
        size: int = -1,
        waiter: Waiter,
        patience: Patience = Patience(),  # noqa: B008 - a value
    ) -> None:
        """Ask for the blob.

        Args:
            ask: makes the request for the bytes from an offset on.
            what: the blob's name, for messages.
            size: bytes it must have; -1 where that is not known.
            waiter: waits before the rest is asked for.
            patience: how often.

        Raises:
            NotFound: the registry does not hold it.
            NetworkError: it cannot be had.
            Untrusted: it is announced to have another size.
        """
        self._ask = ask
        self._what = what
        self._waiter = waiter
        self._patience = patience
        self._received = 0
        self._breaks = 0
        self._response = ask(0)
        announced = self._response.headers.get("content-length", "")
        self.size = int(announced) if _NUMBER.fullmatch(announced) else size
        """Bytes it is said to have; -1 where that is not known."""
        if size >= 0 and self.size != size:
            self._response.close()
            raise Untrusted(
                f"{what} is announced to have {self.size} bytes, not {size} as its manifest says",
                help="the registry, or something in between, gives another blob; try again",
            )

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Some of the next bytes; 0 at the end.

        Raises:
            NetworkError: the blob broke off more often than patience allows.
        """
        view = memoryview(buffer).cast("B")
        while True:
            failure: NetworkError | None = None
            count = 0
            try:
                count = self._response.readinto(view)
            except NetworkError as error:
                failure = error
            self._received += count
            if count or not len(view) or (failure is None and self._received >= self.size):
                return count
            self._resume(failure or NetworkError("it ended too early"))

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most so many; see `readinto`."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_SKIP), b""))
        buffer = bytearray(size)
        return bytes(buffer[: self.readinto(buffer)])

    def close(self) -> None:
        """Give the connection back."""
        if not self.closed:
            self._response.close()
        super().close()

    def _resume(self, error: NetworkError) -> None:
        """Ask for the rest, and pass over what a server gives again that knows no ranges."""
        self._response.close()
        self._breaks += 1
        allowed = self._patience.resumptions + self._received // _PER_BREAK
        wait = min(self._breaks, 8)
        if self._breaks > allowed or not self._waiter.wait(self._patience, wait):
            raise NetworkError(
                f"{self._what} broke off after {self._received} bytes, "
                f"{self._breaks} times: {error.problems[0].message}",
                help="try again; what arrived whole is kept",
            ) from error
        self._response = self._ask(self._received)
        if self._response.status == 206:
            found = re.fullmatch(_RANGE, self._response.headers.get("content-range", "").strip())
            if found is None or int(found[1]) != self._received:
                self._response.close()
                raise NetworkError(f"{self._what}: the registry gives another part than the rest")
            return
        left = self._received
        while left:
            try:
                data = self._response.read(min(left, _SKIP))
            except NetworkError as failure:
                self._resume(failure)
                return
            if not data:
                raise NetworkError(f"{self._what} is shorter than it was a moment ago")
            left -= len(data)
