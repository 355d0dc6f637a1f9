"""The structures of an EROFS image on disk, as bytes (kernel documentation, filesystems/erofs).

Uncompressed images with blocks of 4 KiB and metadata from the start of the image.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from imagist.errors import InputError
from imagist.rootfs.entry import Kind

BLOCK_BITS: Final = 12
BLOCK: Final = 1 << BLOCK_BITS
SLOT: Final = 32
"""Inodes start at multiples of this; the number of an inode (nid) counts them."""
SUPER_OFFSET: Final = 1024
FLAT_PLAIN: Final = 0
"""All of the data is in blocks of its own."""
FLAT_INLINE: Final = 2
"""The last, partial block of the data follows the inode, within one block."""
MAX_NAME: Final = 255

_MAGIC: Final = 0xE0F5E1E2
_COMPAT: Final = 0x1 | 0x2  # the superblock has a checksum; times are mtimes
_SUPER: Final = struct.Struct("<IIIBBHQqIIII16s16sIHHHBBIQB23s")
_COMPACT: Final = struct.Struct("<HHHHIIIIHHI")
_EXTENDED: Final = struct.Struct("<HHHHQIIIIqII16x")
_DIRENT: Final = struct.Struct("<QHBx")
_XATTR: Final = struct.Struct("<BBH")
_XATTR_HEADER: Final = bytes(12)
# The longest prefix first; two names are all prefix.
_PREFIXES: Final = (
    ("system.posix_acl_access", 2),
    ("system.posix_acl_default", 3),
    ("user.", 1),
    ("trusted.", 4),
    ("security.", 6),
)
_FORMATS: Final[dict[Kind, tuple[int, int]]] = {
    "file": (0o100000, 1),
    "directory": (0o040000, 2),
    "char": (0o020000, 3),
    "block": (0o060000, 4),
    "fifo": (0o010000, 5),
    "symlink": (0o120000, 7),
}
"""The type bits of a mode, and the type in a directory."""


class Inode(NamedTuple):
    """Everything a file's inode says, but what follows from where its data is."""

    kind: Kind
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int
    links: int
    number: int
    """A serial number, for programs that look at 32 bits of it."""
    device: tuple[int, int] = (0, 0)

    def fits_compact(self, time: int) -> bool:
        """Whether 32 bytes are enough: small numbers, and the time of the whole image."""
        return (
            self.mtime == time
            and max(self.uid, self.gid, self.links) < 1 << 16
            and self.size < 1 << 32
        )


class Name(NamedTuple):
    """One name in a directory."""

    name: bytes
    nid: int
    kind: Kind


def format_inode(
    inode: Inode, *, layout: int, block: int, xattr_size: int, compact: bool
) -> bytes:
    """An inode of 32 or 64 bytes; `block` is where its data starts (not for devices)."""
    head = layout << 1 | (0 if compact else 1)
    count = (xattr_size - len(_XATTR_HEADER)) // 4 + 1 if xattr_size else 0
    mode = _FORMATS[inode.kind][0] | inode.mode
    place = _encode_device(*inode.device) if inode.kind in {"char", "block"} else block
    if compact:
        return _COMPACT.pack(
            head,
            count,
            mode,
            inode.links,
            inode.size,
            0,
            place,
            inode.number,
            inode.uid,
            inode.gid,
            0,
        )
    return _EXTENDED.pack(
        head,
        count,
        mode,
        0,
        inode.size,
        place,
        inode.number,
        inode.uid,
        inode.gid,
        inode.mtime,
        0,
        inode.links,
    )


def format_xattrs(xattrs: Sequence[tuple[str, bytes]], path: str) -> bytes:
    """The attributes that follow an inode; nothing where there are none.

    Raises:
        InputError: an attribute is outside of the namespaces that EROFS knows, or too large.
    """
    if not xattrs:
        return b""
    parts = [_XATTR_HEADER]
    for key, value in sorted(xattrs):
        prefix, index = next(
            ((prefix, index) for prefix, index in _PREFIXES if key.startswith(prefix)), ("", 0)
        )
        name = key.removeprefix(prefix).encode("utf-8", "surrogateescape")
        if not index or len(name) > MAX_NAME or len(value) >= 1 << 16:
            raise InputError(f"/{path} has an attribute `{key}`, which EROFS cannot carry")
        entry = _XATTR.pack(len(name), index, len(value)) + name + value
        parts.append(entry + bytes(-len(entry) % 4))
    body = b"".join(parts)
    if len(body) > 4 << 16:
        raise InputError(f"/{path} has more attributes than EROFS can carry")
    return body


def split_names(names: Sequence[bytes]) -> list[int]:
    """How many of the names, which are in order, lie in each block of their directory."""
    counts = []
    count = used = 0
    for name in names:
        need = _DIRENT.size + len(name)
        if used + need > BLOCK:
            counts.append(count)
            count = used = 0
        count += 1
        used += need
    return [*counts, count]


def directory_size(names: Sequence[bytes]) -> int:
    """The bytes of a directory with these names, which are in order."""
    counts = split_names(names)
    last = names[len(names) - counts[-1] :]
    return (len(counts) - 1) * BLOCK + sum(_DIRENT.size + len(name) for name in last)


def format_directory(names: Sequence[Name]) -> bytes:
    """The data of a directory; the names, `.` and `..` among them, are in order of their bytes."""
    blocks = []
    start = 0
    for count in split_names([name.name for name in names]):
        part = names[start : start + count]
        start += count
        offset = _DIRENT.size * count
        entries = []
        for name in part:
            entries.append(_DIRENT.pack(name.nid, offset, _FORMATS[name.kind][1]))
            offset += len(name.name)
        block = b"".join(entries) + b"".join(name.name for name in part)
        blocks.append(block if start == len(names) else block.ljust(BLOCK, b"\0"))
    return b"".join(blocks)


def format_first_block(*, root: int, inodes: int, time: int, blocks: int) -> bytes:
    """The block that holds the superblock; identifier and volume name are left empty."""
    fields = (BLOCK_BITS, 0, root, inodes, time, 0, blocks, 0, 0, bytes(16), bytes(16))
    rest = (0, 0, 0, 0, 0, 0, 0, 0, 0, bytes(23))
    unsigned = _SUPER.pack(_MAGIC, 0, _COMPAT, *fields, *rest)
    checksum = _crc32c(unsigned.ljust(BLOCK - SUPER_OFFSET, b"\0"))
    signed = _SUPER.pack(_MAGIC, checksum, _COMPAT, *fields, *rest)
    return (bytes(SUPER_OFFSET) + signed).ljust(BLOCK, b"\0")


def _encode_device(major: int, minor: int) -> int:
    """A device number as Linux packs it into 32 bits."""
    return minor & 0xFF | (major & 0xFFF) << 8 | (minor & 0xFFF00) << 12


def _crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), without the final inversion, as EROFS wants it."""
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    state = 0xFFFFFFFF
    for byte in data:
        state = state >> 8 ^ table[(state ^ byte) & 0xFF]
    return state
