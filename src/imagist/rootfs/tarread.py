"""Tar archives read as a stream of entries: ustar, PAX (POSIX pax) and the GNU long names.

Nothing is written to disk. Headers become entries in `tarentry`; here they are found, their
checksums compared, and contents handed out or passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final
from zlib import adler32

import msgspec

from imagist.errors import Untrusted
from imagist.rootfs.entry import Entry
from imagist.rootfs.tarentry import EXTENSIONS, EntryParser, refusal, show
from imagist.rootfs.tarfields import check_sum, parse_number, parse_sum

BLOCK: Final = 512


class Limits(msgspec.Struct, frozen=True):
    """How much of an archive is read before it is refused; sizes in bytes."""

    entries: int = 1_000_000
    path: int = 4096
    """One path or link target: PATH_MAX of Linux."""
    extension: int = 1 << 20
    """One PAX header or GNU long name."""
    extensions: int = 256 << 20
    """All of those together: they are what a list of entries takes of memory."""
    total: int = 64 << 30
    """The whole archive, uncompressed."""


_ZERO: Final = bytes(BLOCK)


class TarReader:
    """Entries in archive order; each one's content is read, or skipped by asking for the next.

        for entry in reader:
            for piece in reader.content(): ...

    Entries carry the offset of their content in the archive, the `APK-TOOLS.checksum.SHA1` that
    was recorded for them, and `SCHILY.xattr.*` as attributes. A leading `/` or `./` is taken
    away; the root itself has the path `""`. Raises `Untrusted` for whatever cannot be a tar.
    """

    def __init__(
        self, pieces: Iterable[bytes], *, what: str, limits: Limits | None = None
    ) -> None:
        """Read from pieces of any size; `what` names the archive in errors."""
        self.size = 0
        """Bytes of the archive read so far, padding included; all of it after the last entry."""
        self.header = b""
        """The block that the current entry was made from, for what entries do not carry."""
        self._pieces = iter(pieces)
        self._what = what
        self._limits = limits or Limits()
        self._entries = EntryParser(what, self._limits.path)
        self._buffer = b""
        self._view = memoryview(b"")  # of the buffer
        self._at = 0
        self._left = 0  # bytes of content of the current entry not yet handed out
        self._padding = 0
        self._extensions = 0

    @property
    def oddities(self) -> dict[str, str]:
        """What is legal or harmless, but not read alike by everyone -> first path it concerns."""
        return self._entries.oddities

    def note(self, oddity: str, path: str) -> None:
        """Record an oddity; the first path of each is kept."""
        self._entries.note(oddity, path)

    def __iter__(self) -> Iterator[Entry]:
        """Yield all entries, and read the archive to its end."""
        limit = self._limits.entries
        parse = self._entries.parse
        count = 0
        while True:
            at = self._at + self._left + self._padding
            if at > len(self._buffer):
                at = self._skip(at)
            self._left = self._padding = 0
            self._at = at + BLOCK
            header = self._buffer[at : self._at]
            if len(header) < BLOCK:
                self._at = at
                header = self._take(BLOCK, or_end=True)
            if not header or header == _ZERO:
                if self._entries.awaits_entry:
                    raise self._refuse("ends after a header that announces another entry")
                self._read_end(header)
                return
            # What `check_sum` finds of nearly every header, without the call.
            plain = header.isascii() and parse_sum(header[148:156]) + 1
            if adler32(header) & 0xFFFF != plain or plain is False:
                self._check_sum(header)
            if header[156] in EXTENSIONS:
                self._read_extension(header)
                continue
            count += 1
            if count > limit:
                raise self._refuse(f"has more than {limit} entries")
            self.header = header
            try:
                entry = parse(header, self.size - len(self._buffer) + self._at)
            except ValueError:
                raise self._refuse("has a header with a number that is none") from None
            if entry.kind == "file":
                self._left = entry.size
                self._padding = -entry.size % BLOCK
            yield entry

    def content(self) -> Iterable[bytes | memoryview]:
        """The content of the current entry in pieces; at most once, before the next entry."""
        at = self._at
        left = self._left
        if at + left <= len(self._buffer):
            # Most files lie in one piece.
            self._at = at + left
            self._left = 0
            return (self._view[at : at + left],) if left else ()
        return self._content()

    def read(self, limit: int) -> bytes:
        """The content of the current entry at once.

        Raises:
            Untrusted: it has more than `limit` bytes.
        """
        if self._left > limit:
            raise self._refuse(f"has a file of more than {limit} bytes where none is expected")
        return b"".join(self.content())

    def _content(self) -> Iterator[memoryview]:
        while self._left:
            if self._at == len(self._buffer) and not self._advance():
                raise self._refuse("is cut off")
            piece = self._view[self._at : self._at + self._left]
            self._at += len(piece)
            self._left -= len(piece)
            yield piece

    def _skip(self, at: int) -> int:
        """Move on to the piece that a place behind this one's end lies in; the place there."""
        while at > len(self._buffer):
            at -= len(self._buffer)
            if not self._advance():
                raise self._refuse("is cut off")
        return at

    def _advance(self) -> bool:
        """Move on to the next piece; false at the end of the archive."""
        piece = next(self._pieces, None)
        if piece is None:
            return False
        self.size += len(piece)
        if self.size > self._limits.total:
            raise self._refuse(f"is larger than {self._limits.total} bytes")
        self._buffer = piece
        self._view = memoryview(piece)
        self._at = 0
        return True

    def _take(self, count: int, *, or_end: bool = False) -> bytes:
        """The next bytes across pieces; with `or_end`, none where the archive simply stops."""
        taken = self._buffer[self._at : self._at + count]
        self._at += len(taken)
        while len(taken) < count:
            if not self._advance():
                if or_end and not taken:
                    return b""
                raise self._refuse("is cut off")
            more = self._buffer[: count - len(taken)]
            self._at = len(more)
            taken += more
        return taken

    def _read_end(self, header: bytes) -> None:
        """Two blocks of zeros end an archive; what follows is read but has no meaning."""
        if not header:
            self.note("has no end-of-archive blocks", "")
            return
        second = self._take(BLOCK, or_end=True)
        if not second:
            self.note("has one end-of-archive block instead of two", "")
            return
        if second != _ZERO:
            raise self._refuse("goes on after an empty header")
        while True:
            rest = self._buffer[self._at :]
            if rest.count(0) != len(rest):
                self.note("has bytes after its end", "")
            if not self._advance():
                break
        self._buffer, self._view, self._at = b"", memoryview(b""), 0

    def _read_extension(self, header: bytes) -> None:
        """Read the data of a header that says something of the next entry."""
        try:
            size = parse_number(header[124:136])
        except ValueError:
            size = -1
        if not 0 <= size <= self._limits.extension:
            raise self._refuse(f"has a header of more than {self._limits.extension} bytes")
        self._extensions += size
        if self._extensions > self._limits.extensions:
            raise self._refuse(f"has more than {self._limits.extensions} bytes in PAX headers")
        self._padding = -size % BLOCK
        self._entries.announce(header[156], self._take(size))

    def _check_sum(self, header: bytes) -> None:
        try:
            oddity = check_sum(header)
        except ValueError:
            raise self._refuse("has a header whose checksum is wrong") from None
        if oddity:
            self.note(oddity, show(header[:100].partition(b"\0")[0]))

    def _refuse(self, why: str) -> Untrusted:
        return refusal(self._what, why)
