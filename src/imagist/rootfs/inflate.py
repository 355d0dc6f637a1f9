"""Bounded inflation of gzip (RFC 1952) that knows where each member of the file ends.

An .apk and many layers are several gzip members in a row; the boundaries carry meaning there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO, Final, cast

from isal import isal_zlib

from imagist.digest import CHUNK
from imagist.errors import Untrusted

MAX_MEMBERS: Final = 1 << 16
"""Members of one file. At most 64 GiB in the members of 1 MiB that parallel writers make."""

_ERRORS: Final = cast(
    "tuple[type[Exception], ...]",
    (isal_zlib.error, ValueError, EOFError),  # isal's stubs call the first an instance
)
_GZIP: Final = 31  # window bits: a gzip header and trailer around the largest window
# With two threads, larger pieces (fewer hand-overs of the GIL) are 15 % faster than 256 KiB ones.
_STEP: Final = 1 << 18
_PIECE: Final = 1 << 20


class Inflater:
    """Reads gzip members one after the other from a stream, never more than the limits allow.

    `what` names the file in errors. `consumed` counts the bytes that were read from the stream.
    """

    def __init__(self, stream: BinaryIO, *, what: str, limit: int | None = None) -> None:
        """Read from `stream` until its end, and at most `limit` bytes of it."""
        self.consumed = 0
        self._stream = stream
        self._what = what
        self._limit = limit
        self._members = 0
        self._ready = memoryview(b"")

    def read_member(self, *, raw_limit: int, limit: int) -> tuple[bytes, bytes]:
        """The next member as it is in the file, and its content. For small members.

        Returns:
            Two empty strings at the end of the file.

        Raises:
            Untrusted: the member is damaged, cut off, or larger than a limit in bytes.
        """
        raw: list[bytes] = []
        content: list[bytes] = []
        sizes = [0, 0]

        def keep(piece: bytes | memoryview) -> None:
            raw.append(bytes(piece))
            sizes[0] += len(piece)
            if sizes[0] > raw_limit:
                raise self._refuse(f"begins with a gzip member of more than {raw_limit} bytes")

        for piece in self._inflate_member(keep):
            content.append(piece)
            sizes[1] += len(piece)
            if sizes[1] > limit:
                raise self._refuse(f"begins with a gzip member of more than {limit} bytes content")
        return b"".join(raw), b"".join(content)

    def read_rest(
        self, tee: Callable[[bytes | memoryview], object] | None = None, *, limit: int
    ) -> Iterator[bytes]:
        """The contents of all members that are left, joined, in pieces of at most 1 MiB.

        `tee` is given the bytes of the file as they are read, before they are inflated.

        Raises:
            Untrusted: a member is damaged or cut off, bytes that are no gzip follow, or the
                contents are larger than `limit` bytes.
        """
        size = 0
        tee = tee or _ignore
        # What is read ahead goes to the tee at once: small writes cost more than large ones.
        tee(self._ready)
        while self._fill(tee):
            for piece in self._inflate_member(_ignore, tee):
                size += len(piece)
                if size > limit:
                    raise self._refuse(f"inflates to more than {limit} bytes")
                yield piece

    def _inflate_member(
        self,
        keep: Callable[[bytes | memoryview], object],
        tee: Callable[[bytes | memoryview], object] | None = None,
    ) -> Iterator[bytes]:
        """Inflate one member; nothing at the end of the file."""
        tee = tee or _ignore
        if not self._fill(tee):
            return
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise self._refuse(f"has more than {MAX_MEMBERS} gzip members")
        state = isal_zlib.decompressobj(_GZIP)
        while not state.eof:
            if not self._fill(tee):
                raise self._refuse("is cut off")
            step = self._ready[:_STEP]
            yield from self._inflate_step(state, step)
            # Input that belongs to the next member is given back.
            used = len(step) - len(state.unused_data)
            keep(step[:used])
            self._ready = self._ready[used:]

    def _inflate_step(self, state: isal_zlib.Decompress, step: memoryview) -> Iterator[bytes]:
        todo: bytes | memoryview = step
        while todo:
            try:
                piece = state.decompress(todo, _PIECE)
            except _ERRORS as error:
                raise self._refuse(f"is damaged, or is not gzip ({error})") from None
            if not piece and len(state.unconsumed_tail) == len(todo):
                raise self._refuse("is damaged: its compressed data leads nowhere")
            if piece:
                yield piece
            todo = state.unconsumed_tail

    def _fill(self, tee: Callable[[bytes | memoryview], object]) -> bool:
        """Have bytes ready; false at the end of the file."""
        if self._ready:
            return True
        chunk = self._stream.read(CHUNK)
        self.consumed += len(chunk)
        if self._limit is not None and self.consumed > self._limit:
            raise self._refuse(f"is larger than {self._limit} bytes")
        if chunk:
            tee(chunk)
        self._ready = memoryview(chunk)
        return bool(chunk)

    def _refuse(self, why: str) -> Untrusted:
        return Untrusted(
            f"{self._what} {why}",
            help="fetch it again; if that does not help, tell whoever publishes it",
        )


def inflate(stream: BinaryIO, *, what: str, limit: int) -> Iterator[bytes]:
    """The content of a whole gzip file, its members joined, in pieces of at most 1 MiB.

    Raises:
        Untrusted: the file is damaged, or inflates to more than `limit` bytes.
    """
    return Inflater(stream, what=what).read_rest(limit=limit)


def _ignore(_: bytes | memoryview) -> None:
    return None
