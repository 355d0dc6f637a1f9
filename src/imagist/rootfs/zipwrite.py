"""Zips in their simplest form: nothing compressed, one time, so that equal files are equal bytes.

The library's own writer loads every compressor there is, which takes longer than most projects.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

import msgspec

from imagist.errors import InputError

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_VERSION = 20
"""Of the format: what anybody can read (APPNOTE 4.4.3)."""
_UNIX = 3 << 8
"""Made on Unix, so that permissions count (4.4.2)."""
_UTF8 = 0x0800
_FIRST_DAY = 1 << 5 | 1
"""1980-01-01, where DOS begins to count."""
_REGULAR = 0o100000
_MOST = 0xFFFF
_LARGEST = 1 << 31


class ZipFile(msgspec.Struct, frozen=True):
    """A file to be written."""

    name: str
    data: bytes
    mode: int = 0o644


def write_zip(files: Iterable[ZipFile]) -> bytes:
    """A zip of files, in the order given.

    Raises:
        InputError: they are more than a zip has place for without extensions (65,535, 2 GiB).
    """
    body = bytearray()
    directory = bytearray()
    count = 0
    for file in files:
        name = file.name.encode()
        flags = 0 if name.isascii() else _UTF8
        size = len(file.data)
        told = (_VERSION, flags, 0, 0, _FIRST_DAY, zlib.crc32(file.data), size, size, len(name), 0)
        central = (0, 0, 0, (_REGULAR | file.mode) << 16, len(body))
        directory += _CENTRAL.pack(b"PK\1\2", _VERSION | _UNIX, *told, *central) + name
        body += _LOCAL.pack(b"PK\3\4", *told) + name + file.data
        count += 1
    if count > _MOST or len(body) > _LARGEST:
        raise InputError(f"{count} files of {len(body)} bytes are too much for a zip")
    end = _END.pack(b"PK\5\6", 0, 0, count, count, len(directory), len(body), 0)
    return bytes(body + directory + end)
