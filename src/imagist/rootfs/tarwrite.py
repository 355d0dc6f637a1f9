"""Tar headers by hand: plain ustar, and one PAX header only for what ustar cannot say.

Layers are written here (image-spec layer.md); the same entries always give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final
from zlib import adler32

from imagist.errors import InputError
from imagist.rootfs.entry import MODE_BITS, Entry

if TYPE_CHECKING:
    from imagist.rootfs.batch import Content

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
"""End of archive: two zero blocks, and no padding to a tape record."""

_PADDING: Final = tuple(bytes(-size % BLOCK) for size in range(BLOCK))
_TYPES: Final = {
    "file": b"0",
    "hardlink": b"1",
    "symlink": b"2",
    "char": b"3",
    "block": b"4",
    "directory": b"5",
    "fifo": b"6",
}
_MAX_ID: Final = 0o7777777
_MAX_NUMBER: Final = 0o77777777777
_NAME: Final = 100
_PREFIX: Final = 155
# Magic, version, empty user and group name; both are ignored where ids are given.
_MAGIC: Final = b"ustar\x0000" + bytes(64)
# Name, mode, uid, gid, size, mtime; at most 148 bytes, so Adler-32 gives their sum.
_HEAD: Final = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0"


def tar_header(entry: Entry) -> bytes:
    """The header block of an entry, after a PAX header with its content where one is needed.

    The path of a directory gets its trailing slash here; `""` is the root, `./`. PAX carries
    long or non-ASCII names, numbers that ustar has no room for, and extended attributes
    (`SCHILY.xattr.*`). Names that are not UTF-8 are written as their bytes.

    Raises:
        InputError: a name has a NUL byte, or an attribute's name an equals sign.
    """
    name = _encode(entry.path, entry)
    if entry.kind == "directory":
        name += b"/" if name else b"./"
    link = _encode(entry.link, entry) if entry.link else b""
    if (
        len(name) <= _NAME
        and len(link) <= _NAME
        and entry.path.isascii()
        and entry.link.isascii()
        and 0 <= entry.mtime <= _MAX_NUMBER
        and entry.uid <= _MAX_ID
        and entry.gid <= _MAX_ID
        and entry.size <= _MAX_NUMBER
        and not entry.xattrs
    ):
        return _ustar(entry, name, link, b"")
    prefix, short = _split(name)
    records = _pax_records(entry, name, link, fits=bool(short))
    header = _ustar(entry, short or _shorten(name), link[:_NAME], prefix)
    return _pax_header(entry, records) + header if records else header


def padding(size: int) -> bytes:
    """The zero bytes that fill up the last block of a file of this size."""
    return _PADDING[size % BLOCK]


def write_tar(items: Iterable[tuple[Entry, Content]], write: Callable[[bytes], object]) -> None:
    """Write a whole archive, its end included, in pieces of at least 64 KiB but the last.

    Raises:
        InputError: a content has not the size its entry states.
    """
    from imagist.rootfs.batch import Batch  # noqa: PLC0415 - wheels are spliced, not written so

    batch = Batch(write)
    for entry, content in items:
        batch.add(tar_header(entry))
        batch.add_content(entry, content)
        batch.add(_PADDING[entry.size % BLOCK])
    batch.add(END)
    batch.flush()


def _encode(name: str, entry: Entry) -> bytes:
    encoded = name.encode("utf-8", "surrogateescape")
    if b"\0" in encoded:
        raise InputError(f"a name of /{entry.path!r} has a NUL byte, which no file name may have")
    return encoded


def _ustar(entry: Entry, name: bytes, link: bytes, prefix: bytes) -> bytes:
    head = _HEAD % (
        name.ljust(_NAME, b"\0"),
        entry.mode & MODE_BITS,
        entry.uid if entry.uid <= _MAX_ID else 0,
        entry.gid if entry.gid <= _MAX_ID else 0,
        entry.size if entry.size <= _MAX_NUMBER else 0,
        entry.mtime if 0 <= entry.mtime <= _MAX_NUMBER else 0,
    )
    if not link and not prefix and entry.device == (0, 0):
        tail, total = _PLAIN_TAILS[entry.kind]
    else:
        tail = _tail(_TYPES[entry.kind], link, entry.device, prefix)
        total = _sum(tail)
    return b"%b%06o\0 %b" % (head, (adler32(head) & 0xFFFF) + total, tail)


def _tail(kind: bytes, link: bytes, device: tuple[int, int], prefix: bytes) -> bytes:
    """Everything of a header that comes after the checksum."""
    return b"%b%b%b%07o\0%07o\0%b" % (
        kind,
        link.ljust(_NAME, b"\0"),
        _MAGIC,
        *device,
        prefix.ljust(_PREFIX + 12, b"\0"),
    )


def _sum(tail: bytes) -> int:
    """The sum of a tail and of the eight spaces that stand for the checksum, less one.

    The low half of Adler-32 is one plus the sum of the bytes modulo 65521, which 256 bytes cannot
    reach: ten times faster than `sum`. The one that is missing here comes with the head's.
    """
    halves = (adler32(tail[:256]) & 0xFFFF) + (adler32(tail[256:]) & 0xFFFF)
    return halves - 3 + 8 * 0x20


_PLAIN_TAILS: Final = {
    kind: (tail, _sum(tail))
    for kind, tail in ((kind, _tail(flag, b"", (0, 0), b"")) for kind, flag in _TYPES.items())
}


def _split(name: bytes) -> tuple[bytes, bytes]:
    """Cut a path for ustar's prefix and name fields; two empty strings where it does not fit."""
    if len(name) <= _NAME:
        return b"", name
    # The slash between the two fields is not stored; a name must not be empty.
    cut = name.rfind(b"/", 0, min(_PREFIX + 1, len(name) - 1))
    if cut <= 0 or len(name) - cut - 1 > _NAME:
        return b"", b""
    return name[:cut], name[cut + 1 :]


def _shorten(name: bytes) -> bytes:
    """What readers without PAX are shown; a cut must not look like a directory."""
    return name[:_NAME].rstrip(b"/")


def _pax_records(entry: Entry, name: bytes, link: bytes, *, fits: bool) -> bytes:
    """The records of an extended header (POSIX pax, "Extended Header"), in a fixed order."""
    texts: list[tuple[bytes, bytes]] = []
    if not fits or _needs_utf8(entry.path):
        texts.append((b"path", name))
    if len(link) > _NAME or _needs_utf8(entry.link):
        texts.append((b"linkpath", link))
    records: list[tuple[bytes, bytes]] = []
    if any(not _is_utf8(value) for _, value in texts):
        records.append((b"hdrcharset", b"BINARY"))
    records += texts
    numbers = (("size", entry.size, _MAX_NUMBER), ("uid", entry.uid, _MAX_ID))
    for key, value, limit in (*numbers, ("gid", entry.gid, _MAX_ID)):
        if value > limit:
            records.append((key.encode(), b"%d" % value))
    if not 0 <= entry.mtime <= _MAX_NUMBER:
        records.append((b"mtime", b"%d" % entry.mtime))
    for key, data in sorted(entry.xattrs):
        if "=" in key or "\0" in key:
            raise InputError(f"/{entry.path} has an attribute `{key}`, which tar cannot carry")
        records.append((b"SCHILY.xattr." + key.encode("utf-8", "surrogateescape"), data))
    return b"".join(_pax_record(key, value) for key, value in records)


def _needs_utf8(name: str) -> bool:
    """Whether a name is text beyond ASCII; raw bytes may stand in the ustar field as they are."""
    return not name.isascii() and not any("\udc80" <= char <= "\udcff" for char in name)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _pax_record(key: bytes, value: bytes) -> bytes:
    """`length key=value newline`, where the length counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)


def _pax_header(entry: Entry, records: bytes) -> bytes:
    base = entry.path.rpartition("/")[2].encode("ascii", "replace")[:80] or b"."
    head = _HEAD % ((b"PaxHeaders/" + base).ljust(_NAME, b"\0"), 0o644, 0, 0, len(records), 0)
    tail = _tail(b"x", b"", (0, 0), b"")
    header = b"%b%06o\0 %b" % (head, (adler32(head) & 0xFFFF) + _sum(tail), tail)
    return header + records + padding(len(records))
