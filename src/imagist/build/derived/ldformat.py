"""The format of `etc/ld.so.cache`, where glibc's loader looks libraries up (glibc dl-cache.h).

Version 1.1 of the new format: a header, entries sorted for the loader's bisection, one table of
strings in which a string may be the tail of another, and extensions: the names of glibc-hwcaps
folders. Numbers have the byte order of the target.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from imagist.errors import InputError

_MAGIC: Final = b"glibc-ld.so.cache1.1"
_HEADER: Final = 48
_ENTRY: Final = 24
_EXTENSIONS: Final = 0xEAA42174
_GENERATOR, _HWCAPS = 0, 1
_IS_HWCAPS: Final = 1 << 62
"""The capability field is an index into the names of glibc-hwcaps folders."""
_LITTLE, _BIG = 2, 3
_TOKEN: Final = re.compile(r"([0-9]+)|[^0-9]")


class CacheEntry(msgspec.Struct, frozen=True):
    """A library the loader finds by its soname."""

    soname: str
    path: str
    """Absolute, as the loader opens it."""
    flags: int
    """What kind of library it is: 0x0303 for x86-64 ..."""
    hwcaps: str = ""
    """The glibc-hwcaps folder it lies in, such as `x86-64-v3`."""


class LibraryCache(msgspec.Struct, frozen=True):
    """A cache that was read."""

    entries: tuple[CacheEntry, ...]
    little_endian: bool
    generator: str = ""


def order_of_name(name: str) -> tuple[tuple[int, int], ...]:
    """Sort key of library names: runs of digits compare as numbers, and after everything else."""
    return tuple(
        (2, int(match[1])) if match[1] else (1, ord(match[0])) for match in _TOKEN.finditer(name)
    )


def format_cache(
    entries: Iterable[CacheEntry], *, little_endian: bool, generator: str = ""
) -> bytes:
    """The bytes of a cache. Of entries that sort equal the earlier one is found first."""
    order = "<" if little_endian else ">"
    # 1. Sort: names descending, then flags descending; hwcaps first, by name; else as given.
    ordered = sorted(entries, key=lambda entry: (not entry.hwcaps, entry.hwcaps))
    ordered.sort(key=lambda entry: (order_of_name(entry.soname), entry.flags), reverse=True)
    hwcaps = sorted({entry.hwcaps for entry in ordered if entry.hwcaps})
    # 2. Strings.
    start = _HEADER + _ENTRY * len(ordered)
    names = {text for entry in ordered for text in (entry.soname, entry.path)}
    table, offsets = _join_strings(names.union(hwcaps), start)
    # 3. Entries: flags, key, value, an unused version, capabilities.
    rows = b"".join(
        struct.pack(
            order + "iIIIQ",
            entry.flags,
            offsets[entry.soname],
            offsets[entry.path],
            0,
            _IS_HWCAPS | hwcaps.index(entry.hwcaps) if entry.hwcaps else 0,
        )
        for entry in ordered
    )
    # 4. Extensions, aligned to four bytes.
    body = rows + table
    indices = struct.pack(f"{order}{len(hwcaps)}I", *(offsets[name] for name in hwcaps))
    sections = [(_GENERATOR, generator.encode()), (_HWCAPS, indices)]
    sections = [(tag, data) for tag, data in sections if data]
    at = 0
    if sections:
        body += bytes(-len(body) % 4)
        at = _HEADER + len(body)
        body += _format_extensions(sections, at, order)
    flag = _LITTLE if little_endian else _BIG
    header = struct.pack(order + "20sIIB3xI12x", _MAGIC, len(ordered), len(table), flag, at)
    return header + body


def parse_cache(data: bytes) -> LibraryCache:
    """Read a cache in the new format.

    Raises:
        InputError: it is in another format, or damaged.
    """
    if not data.startswith(_MAGIC) or len(data) < _HEADER or data[28] not in {0, _LITTLE, _BIG}:
        raise InputError("it is not an ld.so.cache of format 1.1")
    order = ">" if data[28] == _BIG else "<"
    try:
        return _parse(data, order)
    except (struct.error, ValueError) as error:
        raise InputError("the ld.so.cache is damaged: something lies beyond its end") from error


def _parse(data: bytes, order: str) -> LibraryCache:
    def text(at: int) -> str:
        return data[at : data.index(b"\0", at)].decode("utf-8", "surrogateescape")

    count, _, at = struct.unpack_from(order + "II4xI", data, len(_MAGIC))
    sections: dict[int, bytes] = {}
    if at:
        magic, number = struct.unpack_from(order + "II", data, at)
        if magic != _EXTENSIONS:
            raise ValueError
        for index in range(number):
            tag, _, where, size = struct.unpack_from(order + "IIII", data, at + 8 + 16 * index)
            if where + size > len(data):
                raise ValueError
            sections[tag] = data[where : where + size]
    indices = sections.get(_HWCAPS, b"")
    names = [text(where) for (where,) in struct.iter_unpack(order + "I", indices)]
    entries = []
    for index in range(count):
        row = struct.unpack_from(order + "iIIIQ", data, _HEADER + _ENTRY * index)
        flags, soname, path, _, capabilities = row
        has_name = capabilities & _IS_HWCAPS and capabilities & 0xFFFFFFFF < len(names)
        hwcaps = names[capabilities & 0xFFFFFFFF] if has_name else ""
        entries.append(CacheEntry(text(soname), text(path), flags, hwcaps))
    generator = sections.get(_GENERATOR, b"").decode("utf-8", "replace")
    return LibraryCache(tuple(entries), order == "<", generator)


def _join_strings(texts: Iterable[str], start: int) -> tuple[bytes, dict[str, int]]:
    """A table of NUL-terminated strings and where each lies; tails share the longer string.

    Sorted by their reversed bytes, descending, a string comes right after one that it ends.
    """
    encoded = {text: text.encode("utf-8", "surrogateescape") for text in texts}
    table = bytearray()
    offsets: dict[str, int] = {}
    last = b""
    for text in sorted(encoded, key=lambda text: encoded[text][::-1], reverse=True):
        data = encoded[text]
        if last.endswith(data) and last:
            offsets[text] = start + len(table) - 1 - len(data)
            continue
        offsets[text] = start + len(table)
        table += data + b"\0"
        last = data
    return bytes(table), offsets


def _format_extensions(sections: Sequence[tuple[int, bytes]], start: int, order: str) -> bytes:
    """The directory of sections and their data; that of words comes first, to be aligned."""
    head = struct.pack(order + "II", _EXTENSIONS, len(sections))
    at = start + len(head) + 16 * len(sections)
    places: dict[int, int] = {}
    body = b""
    for tag, data in sorted(sections, reverse=True):
        places[tag] = at + len(body)
        body += data
    for tag, data in sections:
        head += struct.pack(order + "IIII", tag, 0, places[tag], len(data))
    return head + body
