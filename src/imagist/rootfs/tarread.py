"""Tar archives read as a stream of entries: ustar, PAX (POSIX pax) and the GNU long names.

Nothing is written to disk and nothing is believed: names stay inside the archive, numbers stay in
bounds, and what another reader could understand differently is noted in `TarReader.oddities`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from imagist.errors import Untrusted
from imagist.rootfs.entry import Entry, Kind
from imagist.rootfs.pax import Records, copy_records, parse_records, read_checksum
from imagist.rootfs.tarfields import check_sum, find_oddity, parse_number, parse_owner

BLOCK: Final = 512


class Limits(NamedTuple):
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


_KINDS: Final[dict[int, Kind]] = {
    ord("0"): "file",
    0: "file",
    ord("7"): "file",  # contiguous: a file wherever there are no such disks
    ord("1"): "hardlink",
    ord("2"): "symlink",
    ord("3"): "char",
    ord("4"): "block",
    ord("5"): "directory",
    ord("6"): "fifo",
}
_ZERO: Final = bytes(BLOCK)
_NAME_MAX: Final = 255
"""Bytes of one part of a path, on every file system of Linux."""
_MAX_ID: Final = (1 << 32) - 2
_MAX_TIME: Final = (1 << 63) - 1
_PAX: Final = ord("x")
_PAX_GLOBAL: Final = ord("g")
_LONG_NAME: Final = ord("L")
_LONG_LINK: Final = ord("K")
_SPARSE: Final = ord("S")
_EXTENSIONS: Final = frozenset({_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK})
_LINKS: Final = frozenset({ord("1"), ord("2")})
_SLASH: Final = ord("/")
_DOT: Final = ord(".")


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
        self.oddities: dict[str, str] = {}
        """What is legal or harmless, but not read alike by everyone -> first path it concerns."""
        self.size = 0
        """Bytes of the archive read so far, padding included; all of it after the last entry."""
        self._pieces = iter(pieces)
        self._what = what
        self._limits = limits or Limits()
        self._buffer = b""
        self._at = 0
        self._left = 0  # bytes of content of the current entry not yet handed out
        self._padding = 0
        self._extensions = 0
        self._global: Records | None = None
        # What headers before an entry say of it.
        self._pax: Records | None = None
        self._sha1 = b""
        self._long_name = b""
        self._long_link = b""

    def __iter__(self) -> Iterator[Entry]:
        """Yield all entries, and read the archive to its end."""
        limit = self._limits.entries
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
                if self._pax or self._sha1 or self._long_name or self._long_link:
                    raise self._refuse("ends after a header that announces another entry")
                self._read_end(header)
                return
            flag = header[156]
            if flag in _EXTENSIONS:
                self._read_extension(header, flag)
                continue
            count += 1
            if count > limit:
                raise self._refuse(f"has more than {limit} entries")
            try:
                entry = self._read_entry(header, flag)
            except ValueError:
                raise self._refuse("has a header with a number that is none") from None
            self._pax = None
            self._sha1 = self._long_name = self._long_link = b""
            yield entry

    def content(self) -> Iterable[bytes | memoryview]:
        """The content of the current entry in pieces; at most once, before the next entry."""
        at = self._at
        left = self._left
        if at + left <= len(self._buffer):
            # Most files lie in one piece.
            self._at = at + left
            self._left = 0
            return (memoryview(self._buffer)[at : at + left],) if left else ()
        return self._content()

    def read(self, limit: int) -> bytes:
        """The content of the current entry at once.

        Raises:
            Untrusted: it has more than `limit` bytes.
        """
        if self._left > limit:
            raise self._refuse(f"has a file of more than {limit} bytes where none is expected")
        return b"".join(self.content())

    def note(self, oddity: str, path: str) -> None:
        """Record an oddity; the first path of each is kept."""
        self.oddities.setdefault(oddity, path)

    def _content(self) -> Iterator[memoryview]:
        while self._left:
            if self._at == len(self._buffer) and not self._advance():
                raise self._refuse("is cut off")
            piece = memoryview(self._buffer)[self._at : self._at + self._left]
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
        self._buffer, self._at = b"", 0

    def _read_entry(self, header: bytes, flag: int) -> Entry:
        """Turn a header into an entry (POSIX ustar; PAX records and long names go first)."""
        # 1. The header's own checksum, and its fields.
        self._check_sum(header)
        kind = _KINDS.get(flag)
        if kind is None:
            raise self._refuse(_unknown_type(flag))
        name = header[:100].partition(b"\0")[0]
        if header[345] and header[257:263] == b"ustar\0":
            name = header[345:500].partition(b"\0")[0] + b"/" + name
        link = b""
        if flag in _LINKS:
            link = self._long_link or header[157:257].partition(b"\0")[0]
        name = self._long_name or name
        mode, uid, gid = parse_owner(header[100:124])
        size = parse_number(header[124:136])
        mtime = parse_number(header[136:148])
        oddity = find_oddity(header, flag)
        xattrs: tuple[tuple[str, bytes], ...] = ()
        # 2. PAX records: they go before all other fields.
        pax = self._pax or self._global
        if self._long_name or self._long_link:
            oddity = self._check_long_names(pax) or oddity
        if pax is not None:
            oddity = oddity or pax.oddity
            if pax.size is not None and pax.size != size:
                oddity = "has two sizes for one file"
            name = name if pax.path is None else pax.path
            if flag in _LINKS and pax.link is not None:
                link = pax.link
            size = size if pax.size is None else pax.size
            uid = uid if pax.uid is None else pax.uid
            gid = gid if pax.gid is None else pax.gid
            mtime = mtime if pax.mtime is None else pax.mtime
            xattrs = tuple(sorted(pax.xattrs.items()))
        # 3. Names that stay inside, numbers in bounds.
        if flag == 0 and name[-1:] == b"/":
            kind = "directory"  # how archives older than ustar say it
        path = self._place(name, kind)
        if oddity:
            self.note(oddity, path)
        target = self._target(link, kind, path) if flag in _LINKS else ""
        if size < 0 or not (0 <= uid <= _MAX_ID and 0 <= gid <= _MAX_ID):
            raise self._refuse(f"gives /{path} a negative or too large size or owner")
        if not -_MAX_TIME <= mtime <= _MAX_TIME:
            raise self._refuse(f"gives /{path} a time out of bounds")
        device = self._device(header, path) if kind in {"char", "block"} else (0, 0)
        if kind == "file":
            self._left = size
            self._padding = -size % BLOCK
            offset = self.size - len(self._buffer) + self._at
        else:
            if size:
                self.note("has entries with a size that are no files", path)
            size = 0
            offset = -1
        return Entry(
            path, kind, mode, uid, gid, mtime, size, target, offset,
            b"", self._sha1, xattrs, device,
        )  # fmt: skip

    def _place(self, name: bytes, kind: Kind) -> str:
        """The path an entry's name means, inside the archive's root."""
        if name[-1:] == b"/":
            name = name.rstrip(b"/") or b"/"
            if kind != "directory":
                raise self._refuse(f"names a {kind} `{_show(name)}/`, as if it were a folder")
        if not name:
            raise self._refuse("has an entry without a name")
        if len(name) > self._limits.path:
            raise self._refuse(f"has a path of more than {self._limits.path} bytes")
        if len(name) > _NAME_MAX and max(map(len, name.split(b"/"))) > _NAME_MAX:
            raise self._refuse(f"has a name of more than {_NAME_MAX} bytes: `{_show(name)}`")
        if b"\0" in name:
            raise self._refuse(f"has a NUL byte in the name `{_show(name)}`")
        path = name.decode("utf-8", "surrogateescape")
        if name[0] == _SLASH or b"/." in name or name[0] == _DOT or b"//" in name:
            path = self._simplify(path)
        if not path and kind != "directory":
            raise self._refuse(f"has a {kind} in place of the root")
        return path

    def _target(self, link: bytes, kind: Kind, path: str) -> str:
        """What a link points to: a symlink's text as it is, a hardlink's path inside."""
        if kind == "hardlink":
            return self._place(link, kind)
        if not link or b"\0" in link or len(link) > self._limits.path:
            raise self._refuse(f"has a symlink /{path} whose target is empty, too long or has NUL")
        return link.decode("utf-8", "surrogateescape")

    def _simplify(self, path: str) -> str:
        """Take away `/`, `./` and `//`; `..` is refused, wherever it leads."""
        parts = path.split("/")
        if ".." in parts:
            shown = _show(path.encode("utf-8", "surrogateescape"))
            raise self._refuse(f"has a name that leads out of its folder: `{shown}`")
        plain = "/".join(part for part in parts if part not in {"", "."})
        if path.startswith("/"):
            self.note("has absolute names", plain)
        elif plain and plain != path:
            self.note("has names that begin with ./ or hold empty parts", plain)
        return plain

    def _device(self, header: bytes, path: str) -> tuple[int, int]:
        major, minor = parse_number(header[329:337]), parse_number(header[337:345])
        if not (0 <= major < 1 << 32 and 0 <= minor < 1 << 32):
            raise self._refuse(f"gives /{path} a device number out of bounds")
        return major, minor

    def _read_body(self, header: bytes) -> bytes:
        """The data of a header that extends the next one."""
        self._check_sum(header)
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
        return self._take(size)

    def _read_extension(self, header: bytes, flag: int) -> None:
        """Keep what a PAX header or a GNU long name says, for the entry that follows."""
        if flag == _PAX:
            if self._pax is not None or self._sha1:
                raise self._refuse("has two PAX headers for one entry")
            body = self._read_body(header)
            self._sha1 = read_checksum(body)
            if self._sha1 and self._global is None:
                return
            base = copy_records(self._global) if self._global else Records()
            self._pax = parse_records(body, self._what, base)
            self._sha1 = self._pax.sha1
            return
        body = self._read_body(header)
        if flag == _PAX_GLOBAL:
            self._global = parse_records(body, self._what, self._global or Records())
            self.note("has global PAX headers", "")
        elif flag == _LONG_NAME:
            self._long_name = self._read_long_name(body, self._long_name)
        else:
            self._long_link = self._read_long_name(body, self._long_link)

    def _read_long_name(self, body: bytes, before: bytes) -> bytes:
        name, _, rest = body.partition(b"\0")
        if not name or before:
            raise self._refuse("has an empty GNU long name, or two for one entry")
        if rest.count(0) != len(rest):
            self.note("has bytes after the end of a GNU long name", _show(name))
        return name

    def _check_long_names(self, pax: Records | None) -> str:
        """Refuse an entry named by both GNU and PAX: which goes first differs among readers."""
        if pax is not None and not (pax.path is None and pax.link is None):
            name = _show(self._long_name or self._long_link)
            raise self._refuse(f"names `{name}` by a GNU long name and by PAX records")
        return "mixes GNU long names and PAX headers" if pax or self._sha1 else ""

    def _check_sum(self, header: bytes) -> None:
        try:
            oddity = check_sum(header)
        except ValueError:
            raise self._refuse("has a header whose checksum is wrong") from None
        if oddity:
            self.note(oddity, _show(header[:100].partition(b"\0")[0]))

    def _refuse(self, why: str) -> Untrusted:
        return Untrusted(
            f"{self._what} {why}",
            help="the archive was damaged, or made to mislead; do not use it",
        )


def _unknown_type(flag: int) -> str:
    if flag == _SPARSE:
        return "has a sparse file, which images do not carry"
    return f"has an entry of the unknown type {chr(flag)!r}"


def _show(name: bytes) -> str:
    return name[:200].decode("utf-8", "backslashreplace")
