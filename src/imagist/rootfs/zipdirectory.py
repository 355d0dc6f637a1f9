"""The directory of a zip archive, compared with everything else that the archive tells of itself.

A zip tells everything twice, in front of each member and in the directory at its end (APPNOTE
4.3), and readers believe one or the other. Here both must say the same, members must fill the file
without gaps or overlaps, and names must stay inside: what two readers could take differently is
refused.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from collections.abc import Iterator
from typing import BinaryIO, Final, Protocol

import msgspec
from msgspec.structs import replace

from imagist.errors import Untrusted
from imagist.rootfs.entry import parent
from imagist.rootfs.whiteout import is_reserved

STORED: Final = 0
DEFLATED: Final = 8

_END: Final = struct.Struct("<4sHHHHIIH")
_END_64: Final = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR_64: Final = struct.Struct("<4sIQI")
_CENTRAL: Final = struct.Struct("<4sHHHHHHIIIHHHHHII")
_LOCAL: Final = struct.Struct("<4sHHHHHIIIHH")
_EXTRA: Final = struct.Struct("<HH")
_MAX_COMMENT: Final = 0xFFFF
_FULL_16: Final = 0xFFFF
_FULL_32: Final = 0xFFFFFFFF
_ZIP_64: Final = 0x0001
_UNICODE_PATH: Final = 0x7075

_ENCRYPTED: Final = 0x2041
"""Flags of encryption: of the content, strong, and of the directory."""
_DESCRIBED_LATER: Final = 0x0008
"""The local header has no sizes; they follow the content."""
_UTF8: Final = 0x0800
_MATTERS: Final = _ENCRYPTED | _DESCRIBED_LATER | _UTF8

_IN_MEMORY: Final = 64 << 20
"""Bytes of an archive that is read at once."""
_PATH_MAX: Final = 4096
_NAME_MAX: Final = 255
_PLAIN: Final = re.compile(rb"(?:[A-Za-z0-9_][A-Za-z0-9_.+-]*/)*[A-Za-z0-9_][A-Za-z0-9_.+-]*/?")
"""Names in which nothing can be wrong but their length."""
_TYPES: Final = frozenset({0, stat.S_IFREG, stat.S_IFDIR})


class ZipMember(msgspec.Struct, frozen=True):
    """A file in an archive."""

    name: str
    method: int
    """`STORED` or `DEFLATED`."""
    crc: int
    """CRC-32 of the content."""
    compressed: int
    """Bytes in the archive."""
    size: int
    """Bytes of content."""
    start: int
    """Where its bytes begin in the archive."""
    mode: int
    """Permissions as Unix has them; 0 where the archive was made elsewhere."""


class ZipLimits(msgspec.Struct, frozen=True):
    """How much of an archive is read before it is refused."""

    members: int = 1 << 18
    total: int = 64 << 30
    """Bytes of all contents."""
    directory: int = 256 << 20
    """Bytes of the directory at the end."""


class Source(Protocol):
    """Bytes at any place of a file."""

    size: int

    def read(self, start: int, size: int) -> bytes | memoryview:
        """So many bytes from there, fewer at the end."""
        ...


class _Memory:
    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self._view = memoryview(data)

    def read(self, start: int, size: int) -> memoryview:
        return self._view[start : start + size]


class _File:
    def __init__(self, descriptor: int, size: int) -> None:
        self.size = size
        self._descriptor = descriptor

    def read(self, start: int, size: int) -> bytes:
        return os.pread(self._descriptor, size, start)


def open_source(stream: BinaryIO) -> Source:
    """What a file holds, in memory if it is small; the file must stay open."""
    descriptor = stream.fileno()
    size = os.fstat(descriptor).st_size
    if size > _IN_MEMORY:
        return _File(descriptor, size)
    return _Memory(stream.read())


class _Claim(msgspec.Struct, frozen=True):
    """What the directory says of a member, and where that is in the archive."""

    raw_name: bytes
    flags: int
    header: int
    member: ZipMember


def read_directory(source: Source, what: str, limits: ZipLimits) -> dict[str, ZipMember]:
    """The files of an archive by name, in the order of its directory; folders are left out.

    Raises:
        Untrusted: the archive is damaged, or made so that readers differ; `what` names it.
    """
    return _Directory(source, what, limits).read()


def refusal(what: str, why: str) -> Untrusted:
    """Why an archive is not read."""
    return Untrusted(
        f"{what} {why}",
        help="fetch it again; if that does not help, tell whoever publishes it",
    )


def _find_ends(tail: bytes) -> Iterator[int]:
    """Where an end of a directory may be: what it calls a comment must end the file."""
    at = tail.rfind(b"PK\5\6")
    while at >= 0:
        comment = tail[at + _END.size - 2 : at + _END.size]
        if len(tail) - at - _END.size == int.from_bytes(comment, "little"):
            yield at
        at = tail.rfind(b"PK\5\6", 0, at)


class _Directory:
    def __init__(self, source: Source, what: str, limits: ZipLimits) -> None:
        self._source = source
        self._what = what
        self._limits = limits

    def read(self) -> dict[str, ZipMember]:
        # 1. What the directory claims.
        claims, end = self._read_directory()
        # 2. What stands in front of each member.
        places = self._check_places(claims, end)
        # 3. Which members are files.
        self._check_folders(places)
        names = (claim.member.name for claim in claims)
        return {name: places[name] for name in names if not name.endswith("/")}

    def _read_directory(self) -> tuple[list[_Claim], int]:
        """What the directory claims, and where it begins (APPNOTE 4.3.12 to 4.3.16)."""
        count, size, start, after = self._find_directory()
        if start + size != after:
            raise self._refuse("has bytes before its directory or between it and the end")
        if size > self._limits.directory or count > self._limits.members:
            raise self._refuse(f"has a directory of {count} members and {size} bytes: too many")
        directory = bytes(self._source.read(start, size))
        claims: list[_Claim] = []
        at = 0
        for _ in range(count):
            at = self._read_claim(directory, at, claims)
        if at != len(directory):
            raise self._refuse("has more in its directory than the members it counts")
        total = sum(claim.member.size for claim in claims)
        if total > self._limits.total:
            raise self._refuse(f"inflates to {total} bytes, more than {self._limits.total}")
        return claims, start

    def _find_directory(self) -> tuple[int, int, int, int]:
        """Members, bytes and start of the directory, and what comes after it."""
        size = self._source.size
        first = max(0, size - _END.size - _MAX_COMMENT)
        tail = bytes(self._source.read(first, size - first))
        found = list(_find_ends(tail))
        if len(found) != 1:
            why = "has a comment that looks like a directory" if found else "is no zip archive"
            raise self._refuse(f"{why}, is cut off, or has bytes after its end")
        at = found[0]
        _, disk, disk_of, here, count, length, start, _ = _END.unpack_from(tail, at)
        after = first + at
        if at >= _LOCATOR_64.size and tail[at - _LOCATOR_64.size :][:4] == b"PK\6\7":
            _, disk_of, end, disks = _LOCATOR_64.unpack_from(tail, at - _LOCATOR_64.size)
            record = bytes(self._source.read(end, _END_64.size))
            if len(record) < _END_64.size or record[:4] != b"PK\6\6" or disks > 1:
                raise self._refuse("has a damaged directory (zip64)")
            wide = _END_64.unpack(record)
            if end + 12 + wide[1] != after - _LOCATOR_64.size:
                raise self._refuse("has bytes around the end of its directory (zip64)")
            narrow = ((here, _FULL_16), (count, _FULL_16), (length, _FULL_32), (start, _FULL_32))
            if any(
                small not in {full, large}
                for (small, full), large in zip(narrow, wide[6:], strict=True)
            ):
                raise self._refuse("tells two sizes of its directory")
            disk, disk_of = wide[4], wide[5]
            here, count, length, start = wide[6:]
            after = end
        if disk or disk_of or here != count:
            raise self._refuse("is a part of an archive in several files")
        return count, length, start, after

    def _read_claim(self, directory: bytes, at: int, claims: list[_Claim]) -> int:
        if at + _CENTRAL.size > len(directory):
            raise self._refuse("has a directory that is cut off")
        row = _CENTRAL.unpack_from(directory, at)
        magic, maker, _, flags, method, _, _, crc, compressed, size = row[:10]
        name_size, extra_size, comment_size, disk, _, attributes, header = row[10:]
        at += _CENTRAL.size
        raw_name = directory[at : at + name_size]
        end: int = at + name_size + extra_size + comment_size
        if magic != b"PK\1\2" or end > len(directory) or disk not in {0, _FULL_16}:
            raise self._refuse("has a damaged directory")
        name = self._decode(raw_name, flags)
        if extra_size:
            extra = directory[at + name_size : at + name_size + extra_size]
            size, compressed, header = self._widen(extra, name, (size, compressed, header))
        if flags & _ENCRYPTED:
            raise self._refuse(f"has an encrypted member: `{name}`")
        if method not in {STORED, DEFLATED} or (method == STORED and size != compressed):
            raise self._refuse(f"compresses `{name}` by a method that wheels do not have")
        mode = attributes >> 16 if maker >> 8 == 3 else 0  # 3: Unix
        if stat.S_IFMT(mode) not in _TYPES:
            kind = "a symlink" if stat.S_ISLNK(mode) else "neither a file nor a folder"
            raise self._refuse(f"has a member that is {kind}: `{name}`")
        start = header + _LOCAL.size + name_size  # and what extra fields there are
        member = ZipMember(name, method, crc, compressed, size, start, stat.S_IMODE(mode))
        claims.append(_Claim(raw_name, flags, header, member))
        return end

    def _check_places(self, claims: list[_Claim], directory: int) -> dict[str, ZipMember]:
        """Go through the local headers, which must fill the file, and say the same."""
        at = 0
        places: dict[str, ZipMember] = {}
        in_file = sorted(claims, key=lambda claim: claim.header)
        ends = [*(claim.header for claim in in_file[1:]), directory]
        for claim, following in zip(in_file, ends, strict=False):
            if claim.header != at:
                raise self._refuse(f"has bytes before `{claim.member.name}` that are no member")
            at = following
            member = self._check_local(claim, following)
            if member.name in places:
                raise self._refuse(f"has `{member.name}` twice")
            places[member.name] = member
        if at != directory:
            raise self._refuse("has bytes before its directory that belong to no member")
        return places

    def _check_local(self, claim: _Claim, following: int) -> ZipMember:
        """Compare a local header with the directory (APPNOTE 4.3.7, 4.3.9)."""
        name = claim.member.name
        header = bytes(self._source.read(claim.header, _LOCAL.size + len(claim.raw_name)))
        if len(header) < _LOCAL.size or header[:4] != b"PK\3\4":
            raise self._refuse(f"has no local header for `{name}`")
        _, _, flags, method, _, _, crc, compressed, size, name_size, extra_size = (
            _LOCAL.unpack_from(header)
        )
        member = replace(claim.member, start=claim.member.start + extra_size)
        same_name = name_size == len(claim.raw_name) and header[_LOCAL.size :] == claim.raw_name
        if not same_name or method != member.method or (flags ^ claim.flags) & _MATTERS:
            raise self._refuse(f"has two headers for `{name}` that differ")
        if _FULL_32 in {compressed, size} and extra_size:
            extra = bytes(self._source.read(member.start - extra_size, extra_size))
            size, compressed, _ = self._widen(extra, name, (size, compressed, 0))
        stated = (crc, compressed, size)
        wanted = (member.crc, member.compressed, member.size)
        later = bool(flags & _DESCRIBED_LATER)
        if stated != wanted and not (
            later and all(a in {0, b} for a, b in zip(stated, wanted, strict=True))
        ):
            raise self._refuse(f"has two headers for `{name}` that differ")
        rest = following - member.start - member.compressed
        if rest < 0 or (rest and not later):
            raise self._refuse(f"has members that overlap or leave a gap, at `{name}`")
        if later and not self._has_descriptor(member, rest):
            raise self._refuse(f"has no description after `{name}`, or another one")
        return member

    def _has_descriptor(self, member: ZipMember, size: int) -> bool:
        """Whether the bytes after a member repeat its checksum and sizes, and nothing else."""
        raw = bytes(self._source.read(member.start + member.compressed, size))
        wanted = (member.crc, member.compressed, member.size)
        forms = [struct.pack("<IQQ", *wanted)]
        if max(wanted) <= _FULL_32:
            forms.append(struct.pack("<III", *wanted))
        return any(raw in {form, b"PK\7\x08" + form} for form in forms)

    def _widen(
        self, extra: bytes, name: str, narrow: tuple[int, int, int]
    ) -> tuple[int, int, int]:
        """Size, compressed size and place, where they stand in an extra field (APPNOTE 4.5.3)."""
        at, seen = 0, False
        values = list(narrow)
        while at + _EXTRA.size <= len(extra):
            kind, length = _EXTRA.unpack_from(extra, at)
            body = extra[at + _EXTRA.size : at + _EXTRA.size + length]
            at += _EXTRA.size + length
            if kind == _UNICODE_PATH and body[5:] != name.encode():
                raise self._refuse(f"gives `{name}` a second name")
            if kind == _ZIP_64:
                wide = [number for (number,) in struct.iter_unpack("<Q", body[: length // 8 * 8])]
                if seen:
                    raise self._refuse(f"tells the size of `{name}` twice")
                seen = True
                for index, value in enumerate(values):
                    if value == _FULL_32:
                        if not wide:
                            raise self._refuse(f"does not tell the size of `{name}`")
                        values[index] = wide.pop(0)
        return values[0], values[1], values[2]

    def _decode(self, raw: bytes, flags: int) -> str:
        """A member's name, which must be a path inside that everyone reads alike."""
        if len(raw) <= _NAME_MAX and _PLAIN.fullmatch(raw):
            return raw.decode("ascii")  # as nearly all are
        shown = raw[:200].decode("utf-8", "backslashreplace")
        if not raw.isascii() and not flags & _UTF8:
            raise self._refuse(f"has a name that is not marked as UTF-8: `{shown}`")
        try:
            name = raw.decode()
        except UnicodeDecodeError:
            raise self._refuse(f"has a name that is no UTF-8: `{shown}`") from None
        parts = name.removesuffix("/").split("/")
        if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
            raise self._refuse(f"has a path that leads outside: `{shown}`")
        if "" in parts or "." in parts:
            raise self._refuse(f"has a path with empty parts: `{shown}`")
        if len(raw) > _PATH_MAX or max(len(part.encode()) for part in parts) > _NAME_MAX:
            raise self._refuse(f"has a path that is too long: `{shown}`")
        if is_reserved(name):
            raise self._refuse(
                f"has a name that would delete files of an image: `{shown}` is a whiteout"
            )
        return name

    def _check_folders(self, places: dict[str, ZipMember]) -> None:
        """No file is a folder as well, and no folder has content."""
        folders: set[str] = set()
        for name, member in places.items():
            folder = name.removesuffix("/")
            if name.endswith("/"):
                if member.size:
                    raise self._refuse(f"has a folder with content: `{name}`")
                folders.add(folder)
            while (folder := parent(folder)) and folder not in folders:
                folders.add(folder)
        both = folders & places.keys()
        if both:
            raise self._refuse(f"has `{min(both)}` both as a file and as a folder")

    def _refuse(self, why: str) -> Untrusted:
        return refusal(self._what, why)
