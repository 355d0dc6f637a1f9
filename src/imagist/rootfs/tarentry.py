"""Tar headers turned into entries: PAX records and GNU long names go before the fields of ustar.

Nothing is believed: names stay inside the archive, numbers stay in bounds, and what another reader
could understand differently is noted.
"""

from __future__ import annotations

from typing import Final

from imagist.errors import Untrusted
from imagist.rootfs.entry import MAX_ID, Entry, Kind
from imagist.rootfs.pax import Records, copy_records, parse_records, read_checksum
from imagist.rootfs.tarfields import find_oddity, parse_number, parse_owner

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
_ODD: Final = frozenset({0, ord("7")})
_LINKS: Final = frozenset({ord("1"), ord("2")})
_PAX: Final = ord("x")
_PAX_GLOBAL: Final = ord("g")
_LONG_NAME: Final = ord("L")
_LONG_LINK: Final = ord("K")
_SPARSE: Final = ord("S")
EXTENSIONS: Final = frozenset({_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK})
"""Types of headers that say something of the entry, or the entries, after them."""

_NAME_MAX: Final = 255
"""Bytes of one part of a path, on every file system of Linux."""
_MAX_TIME: Final = (1 << 63) - 1


class EntryParser:
    """Makes the entries of one archive from their headers, one after the other."""

    def __init__(self, what: str, path_limit: int) -> None:
        """`what` names the archive in errors; a path or link has at most `path_limit` bytes."""
        self.oddities: dict[str, str] = {}
        """What is legal or harmless, but not read alike by everyone -> first path it concerns."""
        self._what = what
        self._path_limit = path_limit
        self._usual = b""  # the end of a header, in which nothing was odd
        self._global: Records | None = None
        # What headers before an entry say of it.
        self._pax: Records | None = None
        self._sha1 = b""
        self._long_name = b""
        self._long_link = b""

    @property
    def awaits_entry(self) -> bool:
        """Whether something was announced of an entry that has not come yet."""
        return bool(self._pax or self._sha1 or self._long_name or self._long_link)

    def note(self, oddity: str, path: str) -> None:
        """Record an oddity; the first path of each is kept."""
        self.oddities.setdefault(oddity, path)

    def announce(self, flag: int, body: bytes) -> None:
        """Keep what a PAX header or a GNU long name says, for the entry that follows.

        Raises:
            Untrusted: it is malformed, or says a thing twice.
        """
        if flag == _PAX:
            if self._pax is not None or self._sha1:
                raise self._refuse("has two PAX headers for one entry")
            self._sha1 = read_checksum(body)
            if self._sha1 and self._global is None:
                return
            base = copy_records(self._global) if self._global else Records()
            self._pax = parse_records(body, self._what, base)
            self._sha1 = self._pax.sha1
        elif flag == _PAX_GLOBAL:
            self._global = parse_records(body, self._what, self._global or Records())
            self.note("has global PAX headers", "")
        elif flag == _LONG_NAME:
            self._long_name = self._read_long_name(body, self._long_name)
        else:
            self._long_link = self._read_long_name(body, self._long_link)

    def parse(self, header: bytes, offset: int) -> Entry:
        """Turn a header whose checksum holds into an entry (POSIX ustar).

        Args:
            header: a block of 512 bytes.
            offset: where a content would begin in the archive.

        Raises:
            Untrusted: the entry cannot be, or would leave the archive's root.
            ValueError: a number field holds none.
        """
        # 1. The header's own fields.
        flag = header[156]
        kind = _KINDS.get(flag)
        if kind is None:
            raise self._refuse(_unknown_type(flag))
        name = header[:100].partition(b"\0")[0]
        if header[345] and header[257:263] == b"ustar\0":
            name = header[345:500].partition(b"\0")[0] + b"/" + name
        link = header[157:257].partition(b"\0")[0] if flag in _LINKS else b""
        mode, uid, gid, has_type = parse_owner(header[100:124])
        size = parse_number(header[124:136])
        mtime = parse_number(header[136:148])
        oddity = ""
        if has_type or flag in _ODD or header[257:] != self._usual:
            oddity = find_oddity(header, flag)
            self._usual = b"" if oddity else header[257:]
        xattrs: tuple[tuple[str, bytes], ...] = ()
        # 2. What went before it.
        pax = self._pax or self._global
        if self._long_name or self._long_link:
            oddity = self._check_long_names(pax) or oddity
            name = self._long_name or name
            link = (self._long_link if flag in _LINKS else b"") or link
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
        if size < 0 or not (0 <= uid <= MAX_ID and 0 <= gid <= MAX_ID):
            raise self._refuse(f"gives /{path} a negative or too large size or owner")
        if not -_MAX_TIME <= mtime <= _MAX_TIME:
            raise self._refuse(f"gives /{path} a time out of bounds")
        device = self._device(header, path) if kind in {"char", "block"} else (0, 0)
        if kind != "file":
            if size:
                self.note("has entries with a size that are no files", path)
            size = 0
            offset = -1
        sha1 = self._sha1
        self._pax = None
        self._sha1 = self._long_name = self._long_link = b""
        return Entry(
            path, kind, mode, uid, gid, mtime, size, target, offset, b"", sha1, xattrs, device
        )

    def _place(self, name: bytes, kind: Kind) -> str:
        """The path an entry's name means, inside the archive's root."""
        if name[-1:] == b"/":
            name = name.rstrip(b"/") or b"/"
            if kind != "directory":
                raise self._refuse(f"names a {kind} `{show(name)}/`, as if it were a folder")
        if not name:
            raise self._refuse("has an entry without a name")
        if len(name) > _NAME_MAX:
            self._check_length(name)
        path = name.decode("utf-8", "surrogateescape")
        if "\0" in path:
            raise self._refuse(f"has a NUL byte in the name `{show(name)}`")
        if path[0] in "/." or "/." in path or "//" in path:
            path = self._simplify(path)
        if not path and kind != "directory":
            raise self._refuse(f"has a {kind} in place of the root")
        return path

    def _check_length(self, name: bytes) -> None:
        if len(name) > self._path_limit:
            raise self._refuse(f"has a path of more than {self._path_limit} bytes")
        if max(map(len, name.split(b"/"))) > _NAME_MAX:
            raise self._refuse(f"has a name of more than {_NAME_MAX} bytes: `{show(name)}`")

    def _target(self, link: bytes, kind: Kind, path: str) -> str:
        """What a link points to: a symlink's text as it is, a hardlink's path inside."""
        if kind == "hardlink":
            return self._place(link, kind)
        if not link or 0 in link or len(link) > self._path_limit:
            raise self._refuse(f"has a symlink /{path} whose target is empty, too long or has NUL")
        return link.decode("utf-8", "surrogateescape")

    def _simplify(self, path: str) -> str:
        """Take away `/`, `./` and `//`; `..` is refused, wherever it leads."""
        parts = path.split("/")
        if ".." in parts:
            shown = show(path.encode("utf-8", "surrogateescape"))
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

    def _read_long_name(self, body: bytes, before: bytes) -> bytes:
        name, _, rest = body.partition(b"\0")
        if not name or before:
            raise self._refuse("has an empty GNU long name, or two for one entry")
        if rest.count(0) != len(rest):
            self.note("has bytes after the end of a GNU long name", show(name))
        return name

    def _check_long_names(self, pax: Records | None) -> str:
        """Refuse an entry named by both GNU and PAX: which goes first differs among readers."""
        if pax is not None and not (pax.path is None and pax.link is None):
            name = show(self._long_name or self._long_link)
            raise self._refuse(f"names `{name}` by a GNU long name and by PAX records")
        return "mixes GNU long names and PAX headers" if pax or self._sha1 else ""

    def _refuse(self, why: str) -> Untrusted:
        return refusal(self._what, why)


def refusal(what: str, why: str) -> Untrusted:
    """Why an archive is not read."""
    return Untrusted(
        f"{what} {why}",
        help="the archive was damaged, or made to mislead; do not use it",
    )


def _unknown_type(flag: int) -> str:
    if flag == _SPARSE:
        return "has a sparse file, which images do not carry"
    return f"has an entry of the unknown type {chr(flag)!r}"


def show(name: bytes) -> str:
    """A name as it may stand in a message."""
    return name[:200].decode("utf-8", "backslashreplace")
