"""Layers of what is compressed already: members of a zip become members of a gzip file.

A zip compresses each file as a bare DEFLATE stream, and a gzip member is such a stream between a
header and a trailer (RFC 1952). So a large file goes into a layer as it is, with a gzip header
before it and its checksum after it; the tar headers around it become small members of their own.
Small files would make many members and a larger layer, so they are compressed again, together
with the headers between them. A gzip file of many members is one like any other to those who read
it (RFC 1952, 2.2), and no byte depends on anything but the files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Final

import deflate
import msgspec

from imagist.digest import Digest
from imagist.errors import InputError
from imagist.rootfs.entry import Entry
from imagist.rootfs.tarwrite import END, padding, tar_header

THRESHOLD: Final = 4096
"""Bytes of a DEFLATE stream from which on it is taken over; smaller ones are compressed again."""
MEMBER: Final = 1 << 20
"""Bytes of input in the largest of the members that are compressed here."""
MOST: Final = 1 << 14
"""Streams that are taken over into one layer: readers bound the members of a file (`inflate`)."""
LEVEL: Final = 6
FORMAT: Final = f"splice-1:{THRESHOLD}:libdeflate-{LEVEL}:{MEMBER}"
"""For memo keys: it changes whenever the bytes would."""

_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""No name, no time, no hint at the level, an unknown system."""
_MASK: Final = 0xFFFFFFFF


class Deflated(msgspec.Struct, frozen=True):
    """A content that is compressed already."""

    size: int
    """Bytes of the DEFLATE stream."""
    crc: int
    """CRC-32 of the content."""
    pieces: Iterable[tuple[bytes | memoryview, bytes | memoryview]]
    """The stream and what it inflates to, in pieces that need not correspond.

    Whoever gives them vouches for them: that there is one stream to its end, and its checksum.
    """


class Spliced(msgspec.Struct, frozen=True):
    """What was written into a layer."""

    diff_id: Digest
    """SHA-256 of the tar."""
    tar_size: int
    """Bytes of the tar."""


class SpliceWriter:
    """Writes a gzip'd tar, entry after entry; `close` ends it."""

    def __init__(self, write: Callable[[bytes | memoryview], object]) -> None:
        """Send the gzip stream to `write`."""
        self._write = write
        self._parts: list[bytes | memoryview] = []
        self._waiting = 0
        self._taken = 0
        self._tar = hashlib.sha256()
        self._tar_size = 0

    def add(self, entry: Entry, content: bytes | Iterable[bytes | memoryview] = b"") -> None:
        """Write an entry whose content is not compressed, or that has none.

        Raises:
            InputError: the content has not the size that the entry states.
        """
        self._put(tar_header(entry))
        size = 0
        for piece in (content,) if isinstance(content, bytes) else content:
            size += len(piece)
            self._put(piece)
        self._end(entry, size)

    def add_deflated(self, entry: Entry, deflated: Deflated) -> None:
        """Write an entry whose content is compressed.

        Raises:
            InputError: the content has not the size that the entry states.
        """
        if deflated.size < THRESHOLD or self._taken >= MOST:
            self.add(entry, (content for _, content in deflated.pieces))
            return
        self._taken += 1
        self._put(tar_header(entry))
        self._flush()
        self._write(_HEADER)
        size = 0
        for raw, content in deflated.pieces:
            if raw:
                self._write(raw)
            self._tar.update(content)
            size += len(content)
        trailer = (deflated.crc & _MASK).to_bytes(4, "little")
        self._write(trailer + (size & _MASK).to_bytes(4, "little"))
        self._tar_size += size
        self._end(entry, size)

    def close(self) -> Spliced:
        """End the archive; nothing may be added after it."""
        self._put(END)
        self._flush()
        return Spliced(Digest("sha256:" + self._tar.hexdigest()), self._tar_size)

    def _end(self, entry: Entry, size: int) -> None:
        if size != entry.size:
            raise InputError(f"/{entry.path} has {size} bytes, but {entry.size} were announced")
        self._put(padding(size))

    def _put(self, piece: bytes | memoryview) -> None:
        self._parts.append(piece)
        self._waiting += len(piece)
        if self._waiting < MEMBER:
            return
        # Cut by the position in the run, so that the sizes of pieces do not matter.
        run = memoryview(b"".join(self._parts))
        while len(run) >= MEMBER:
            self._compress(run[:MEMBER])
            run = run[MEMBER:]
        self._parts = [run]
        self._waiting = len(run)

    def _flush(self) -> None:
        if self._waiting:
            self._compress(b"".join(self._parts))
        self._parts = []
        self._waiting = 0

    def _compress(self, block: bytes | memoryview) -> None:
        self._tar.update(block)
        self._tar_size += len(block)
        self._write(bytes(deflate.gzip_compress(block, LEVEL)))
