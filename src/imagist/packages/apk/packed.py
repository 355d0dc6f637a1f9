"""`PackageFiles` as bytes for the memo, by columns: thousands of entries take milliseconds.

The format is private to one version of imagist; `FORMAT` goes into memo keys.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Final

import msgspec

from imagist.digest import Digest
from imagist.errors import InputError
from imagist.packages.apk.archive import PackageFiles
from imagist.packages.apk.index import Package
from imagist.rootfs.elf import SharedObject
from imagist.rootfs.entry import Entry, Kind

FORMAT: Final = "package-files/4"
"""Raise the number whenever the bytes, or what verification finds out, change."""

_KINDS: Final[tuple[Kind, ...]] = (
    "file", "directory", "symlink", "hardlink", "char", "block", "fifo",
)  # fmt: skip
_CODE: Final = {kind: code for code, kind in enumerate(_KINDS)}
_SHA1: Final = 20
_HASHES: Final = struct.Struct(f"{_SHA1}s")


class _Entries(msgspec.Struct, array_like=True, gc=False):
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


class _Packed(msgspec.Struct, array_like=True, gc=False):
    package: Package
    data: str
    data_size: int
    diff_id: str
    tar_size: int
    entries: _Entries
    scripts: list[tuple[str, int, bytes]]
    triggers: list[str]
    libraries: list[tuple[int, bytes, int, int, bool, int]]
    verbatim: bytes
    signature_size: int
    signature_sha1: bytes
    record: bytes


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(_Packed)


def encode_package_files(files: PackageFiles) -> bytes:
    """The bytes that `decode_package_files` turns into an equal value."""
    places = {entry.path: number for number, entry in enumerate(files.entries)}
    packed = _Packed(
        files.package,
        str(files.data),
        files.data_size,
        str(files.diff_id),
        files.tar_size,
        _pack_entries(files.entries),
        list(files.scripts),
        list(files.triggers),
        [
            (
                places[lib.path],
                _encode(lib.soname),
                lib.machine,
                lib.bits,
                lib.little_endian,
                lib.flags,
            )
            for lib in files.libraries
        ],
        _encode(files.verbatim),
        files.signature_size,
        files.signature_sha1,
        files.record,
    )
    return _ENCODER.encode(packed)


def decode_package_files(data: bytes) -> PackageFiles:
    """The value of `encode_package_files`.

    Raises:
        InputError: the bytes are not of this format.
    """
    try:
        packed = _DECODER.decode(data)
        entries = _unpack_entries(packed.entries)
        libraries = tuple(
            SharedObject(entries[place].path, _decode(soname), machine, bits, little, flags)
            for place, soname, machine, bits, little, flags in packed.libraries
        )
        return PackageFiles(
            packed.package,
            Digest(packed.data),
            packed.data_size,
            Digest(packed.diff_id),
            packed.tar_size,
            entries,
            tuple(packed.scripts),
            tuple(packed.triggers),
            libraries,
            _decode(packed.verbatim),
            packed.signature_size,
            packed.signature_sha1,
            packed.record,
        )
    except (msgspec.DecodeError, struct.error, ValueError, IndexError) as error:
        raise InputError(
            f"the memo of a package cannot be read: {error}",
            help="run `imagist cache prune`; the package is then verified again",
        ) from None


def _pack_entries(entries: Sequence[Entry]) -> _Entries:
    def column(get: Callable[[Entry], int]) -> bytes:
        values = [get(entry) for entry in entries]
        if len(set(values)) == 1:
            values = values[:1]
        return struct.pack(f"<{len(values)}q", *values)

    hashes = b"".join((entry.sha1 or bytes(_SHA1)) for entry in entries)
    return _Entries(
        len(entries),
        _encode("\0".join(entry.path for entry in entries)),
        bytes(_CODE[entry.kind] for entry in entries),
        column(lambda entry: entry.mode),
        column(lambda entry: entry.uid),
        column(lambda entry: entry.gid),
        column(lambda entry: entry.mtime),
        column(lambda entry: entry.size),
        column(lambda entry: entry.offset),
        _encode("\0".join(entry.link for entry in entries)),
        hashes,
        {
            number: [(_encode(name), value) for name, value in entry.xattrs]
            for number, entry in enumerate(entries)
            if entry.xattrs
        },
        {n: entry.device for n, entry in enumerate(entries) if entry.device != (0, 0)},
    )


def _unpack_entries(packed: _Entries) -> tuple[Entry, ...]:
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
            tuple((_decode(name), value) for name, value in packed.xattrs.get(number, ()))
            for number in range(count)
        ]
    devices: Iterable[tuple[int, int]] = repeat((0, 0), count)
    if packed.devices:
        devices = [packed.devices.get(number, (0, 0)) for number in range(count)]
    entries = tuple(
        map(
            Entry,
            _decode(packed.names).split("\0"),
            map(_KINDS.__getitem__, packed.kinds),
            column(packed.modes),
            column(packed.uids),
            column(packed.gids),
            column(packed.mtimes),
            column(packed.sizes),
            _decode(packed.links).split("\0"),
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


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
