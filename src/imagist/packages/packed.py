"""Entries and libraries of packages by columns, for the memo: thousands take milliseconds.

Private to one version of imagist; each format's `packed` names the version of its bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Final

import msgspec

from imagist.rootfs.elf import SharedObject
from imagist.rootfs.entry import Entry, Kind

_KINDS: Final[tuple[Kind, ...]] = (
    "file", "directory", "symlink", "hardlink", "char", "block", "fifo",
)  # fmt: skip
_CODE: Final = {kind: code for code, kind in enumerate(_KINDS)}
_SHA1: Final = 20
_HASHES: Final = struct.Struct(f"{_SHA1}s")

PackedLibraries = list[tuple[int, bytes, int, int, bool, int]]
"""Place among the entries, and the fields of `SharedObject` after its path."""
ERRORS: Final = (msgspec.DecodeError, struct.error, ValueError, IndexError)
"""What unpacking raises for bytes of another format."""


class PackedEntries(msgspec.Struct, array_like=True, gc=False):
    """Columns. Numbers take eight bytes each; a column that says one thing only says it once."""

    count: int
    names: bytes
    kinds: bytes
    modes: bytes
    uids: bytes
    gids: bytes
    mtimes: bytes
    sizes: bytes
    offsets: bytes
    links: bytes
    sha1: bytes
    xattrs: dict[int, list[tuple[bytes, bytes]]]
    devices: dict[int, tuple[int, int]]


def pack_entries(entries: Sequence[Entry]) -> PackedEntries:
    """The columns of some entries."""

    def column(get: Callable[[Entry], int]) -> bytes:
        values = [get(entry) for entry in entries]
        if len(set(values)) == 1:
            values = values[:1]
        return struct.pack(f"<{len(values)}q", *values)

    hashes = b"".join((entry.sha1 or bytes(_SHA1)) for entry in entries)
    return PackedEntries(
        len(entries),
        encode_text("\0".join(entry.path for entry in entries)),
        bytes(_CODE[entry.kind] for entry in entries),
        column(lambda entry: entry.mode),
        column(lambda entry: entry.uid),
        column(lambda entry: entry.gid),
        column(lambda entry: entry.mtime),
        column(lambda entry: entry.size),
        column(lambda entry: entry.offset),
        encode_text("\0".join(entry.link for entry in entries)),
        hashes,
        {
            number: [(encode_text(name), value) for name, value in entry.xattrs]
            for number, entry in enumerate(entries)
            if entry.xattrs
        },
        {n: entry.device for n, entry in enumerate(entries) if entry.device != (0, 0)},
    )


def unpack_entries(packed: PackedEntries) -> tuple[Entry, ...]:
    """The value of `pack_entries`; raises one of `ERRORS`."""
    count = packed.count
    if not count:
        return ()

    def column(values: bytes) -> Iterable[int]:
        numbers = struct.unpack(f"<{len(values) // 8}q", values)
        return repeat(numbers[0], count) if len(numbers) == 1 else numbers

    none = bytes(_SHA1)
    sha1 = [value if value != none else b"" for (value,) in _HASHES.iter_unpack(packed.sha1)]
    xattrs: Iterable[tuple[tuple[str, bytes], ...]] = repeat((), count)
    if packed.xattrs:
        xattrs = [
            tuple((decode_text(name), value) for name, value in packed.xattrs.get(number, ()))
            for number in range(count)
        ]
    devices: Iterable[tuple[int, int]] = repeat((0, 0), count)
    if packed.devices:
        devices = [packed.devices.get(number, (0, 0)) for number in range(count)]
    entries = tuple(
        map(
            Entry,
            decode_text(packed.names).split("\0"),
            map(_KINDS.__getitem__, packed.kinds),
            column(packed.modes),
            column(packed.uids),
            column(packed.gids),
            column(packed.mtimes),
            column(packed.sizes),
            decode_text(packed.links).split("\0"),
            column(packed.offsets),
            repeat(b"", count),
            sha1,
            xattrs,
            devices,
        )
    )
    if len(entries) != count:
        raise ValueError(f"{len(entries)} entries instead of {count}")
    return entries


def pack_libraries(libraries: Iterable[SharedObject], entries: Sequence[Entry]) -> PackedLibraries:
    """Libraries by their places among the entries of their package."""
    places = {entry.path: number for number, entry in enumerate(entries)}
    return [
        (
            places[lib.path],
            encode_text(lib.soname),
            lib.machine,
            lib.bits,
            lib.little_endian,
            lib.flags,
        )
        for lib in libraries
    ]


def unpack_libraries(
    packed: PackedLibraries, entries: Sequence[Entry]
) -> tuple[SharedObject, ...]:
    """The value of `pack_libraries`; raises one of `ERRORS`."""
    return tuple(
        SharedObject(entries[place].path, decode_text(soname), machine, bits, little, flags)
        for place, soname, machine, bits, little, flags in packed
    )


def encode_text(text: str) -> bytes:
    """Text that may have bytes which are not UTF-8, such as paths."""
    return text.encode("utf-8", "surrogateescape")


def decode_text(data: bytes) -> str:
    """The value of `encode_text`."""
    return data.decode("utf-8", "surrogateescape")
