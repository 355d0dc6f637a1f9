"""A reader that vouches for what it gave: size and digest are checked when the end is reached."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import closing
from typing import BinaryIO, Final, cast

from imagist.digest import CHUNK, Digest
from imagist.errors import InputError, Untrusted
from imagist.oci.beside import WORTH, hash_beside

_ALGORITHMS: Final = frozenset({"sha256", "sha512"})
_HELP: Final = (
    "it was damaged or replaced; fetch or build it again, after `imagist cache verify` where it "
    "lies in the store"
)


def pieces_of(stream: BinaryIO) -> Iterator[memoryview]:
    """All bytes left in a stream, in pieces, each of which is good until the next is asked for.

    A stream that has its next bytes in memory already may give them itself (`pieces`).
    """
    own = getattr(stream, "pieces", None)
    if own is not None:
        yield from own()
        return
    buffer = memoryview(bytearray(CHUNK))
    while size := stream.readinto(buffer):  # type: ignore[attr-defined]
        yield buffer[:size]


class VerifyingReader(io.RawIOBase):
    """Reads a blob from anywhere and raises `Untrusted` instead of ending, if it is another one.

    A blob that is longer than stated is refused as soon as it is seen; so nothing may be believed
    before the end was reached (descriptor.md, "Verification").
    """

    def __init__(self, stream: BinaryIO, digest: str, size: int, what: str = "a blob") -> None:
        """Take over `stream`; a size of -1 means that it is not known.

        Raises:
            InputError: the digest is of an algorithm that cannot be checked.
        """
        algorithm = Digest(digest).algorithm
        if algorithm not in _ALGORITHMS:
            raise InputError(f"{what} has a digest that cannot be checked: {digest}")
        self._stream = stream
        self._digest = digest
        self._left = size
        self._passed = 0
        self._state = hashlib.new(algorithm)
        self._what = what

    @property
    def source(self) -> BinaryIO:
        """The stream below, unchecked: for whoever takes the digest himself."""
        return self._stream

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read the next bytes into a buffer; 0 at a verified end.

        Raises:
            Untrusted: size or digest is not what was promised.
        """
        view = memoryview(buffer).cast("B")
        size = self._stream.readinto(view)  # type: ignore[attr-defined]
        self._account(view[:size])
        return int(size)

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes, or all; b"" at a verified end.

        Raises:
            Untrusted: size or digest is not what was promised.
        """
        if size < 0:
            return b"".join(iter(lambda: self.read(CHUNK), b""))
        data = self._stream.read(size)
        if size:
            self._account(data)
        return data

    def pieces(self) -> Iterator[memoryview]:
        """All bytes in pieces, each of which is good until the next is asked for.

        Raises:
            Untrusted: size or digest is not what was promised.
        """
        if self._left >= WORTH:
            with closing(hash_beside(self._state, pieces_of(self._stream))) as pieces:
                for piece in pieces:
                    self._count(len(piece))
                    yield piece
        else:
            for piece in pieces_of(self._stream):
                self._account(piece)
                yield piece
        self._account(b"")

    def close(self) -> None:
        """Close the stream below as well."""
        if not self.closed:
            self._stream.close()
        super().close()

    def vouches_for(self, digest: str, size: int) -> bool:
        """Whether its end is this digest's already; a size that was not known is taken note of.

        Raises:
            Untrusted: another size was promised before.
        """
        if digest != self._digest or self._passed:
            return False
        if self._left < 0:
            self._left = size
        elif 0 <= size != self._left:
            raise Untrusted(
                f"{self._what} ({digest}) has {self._left} bytes, not {size} as was promised",
                help=_HELP,
            )
        return True

    def _account(self, data: bytes | memoryview) -> None:
        self._state.update(data)
        self._count(len(data))
        if not data:
            self._check_end()

    def _count(self, size: int) -> None:
        self._passed += size
        if self._left >= 0:
            self._left -= size
            if self._left < 0:
                what = f"{self._what} ({self._digest})"
                raise Untrusted(f"{what} is longer than was promised", help=_HELP)

    def _check_end(self) -> None:
        if self._left > 0:
            what = f"{self._what} ({self._digest})"
            raise Untrusted(f"{what} ends {self._left} bytes too early", help=_HELP)
        actual = f"{self._state.name}:{self._state.hexdigest()}"
        if actual != self._digest:
            raise Untrusted(
                f"{self._what} is not what was promised: expected {self._digest}, got {actual}",
                help=_HELP,
            )


def verified(stream: BinaryIO, digest: str, size: int = -1, what: str = "a blob") -> BinaryIO:
    """Wrap a stream into a `VerifyingReader`, unless it is one for this digest: once is enough."""
    if isinstance(stream, VerifyingReader) and stream.vouches_for(digest, size):
        return stream
    return cast("BinaryIO", VerifyingReader(stream, digest, size, what))
