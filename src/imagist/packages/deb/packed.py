"""`DebFiles` as bytes for the memo.

The format is private to one version of imagist; `FORMAT` goes into memo keys.
"""

from __future__ import annotations

from typing import Final

import msgspec

from imagist.digest import Digest
from imagist.errors import InputError
from imagist.packages.deb.archive import DebFiles
from imagist.packages.deb.binary import BinaryPackage
from imagist.packages.packed import (
    ERRORS,
    PackedEntries,
    PackedLibraries,
    decode_text,
    encode_text,
    pack_entries,
    pack_libraries,
    unpack_entries,
    unpack_libraries,
)
from imagist.rootfs import compress

FORMAT: Final = f"deb-files/2:{compress.FORMAT}"
"""Raise the number whenever the bytes, or what verification finds out, change."""


class _Packed(msgspec.Struct, array_like=True, gc=False):
    package: BinaryPackage
    data: str
    data_size: int
    diff_id: str
    tar_size: int
    entries: PackedEntries
    libraries: PackedLibraries
    verbatim: bytes
    sha256: str
    size: int
    control: bytes
    md5sums: bytes
    conffiles: list[tuple[bytes, str]]
    triggers: bytes
    shlibs: bytes
    scripts: list[tuple[str, bytes]]


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(_Packed)


def encode_deb_files(files: DebFiles) -> bytes:
    """The bytes that `decode_deb_files` turns into an equal value."""
    packed = _Packed(
        files.package,
        str(files.data),
        files.data_size,
        str(files.diff_id),
        files.tar_size,
        pack_entries(files.entries),
        pack_libraries(files.libraries, files.entries),
        encode_text(files.verbatim),
        files.sha256,
        files.size,
        encode_text(files.control),
        encode_text(files.md5sums),
        [(encode_text(path), md5) for path, md5 in files.conffiles],
        encode_text(files.triggers),
        encode_text(files.shlibs),
        [(name, encode_text(text)) for name, text in files.scripts],
    )
    return _ENCODER.encode(packed)


def decode_deb_files(data: bytes) -> DebFiles:
    """The value of `encode_deb_files`.

    Raises:
        InputError: the bytes are not of this format.
    """
    try:
        packed = _DECODER.decode(data)
        entries = unpack_entries(packed.entries)
        return DebFiles(
            package=packed.package,
            data=Digest(packed.data),
            data_size=packed.data_size,
            diff_id=Digest(packed.diff_id),
            tar_size=packed.tar_size,
            entries=entries,
            libraries=unpack_libraries(packed.libraries, entries),
            verbatim=decode_text(packed.verbatim),
            sha256=packed.sha256,
            size=packed.size,
            control=decode_text(packed.control),
            md5sums=decode_text(packed.md5sums),
            conffiles=tuple((decode_text(path), md5) for path, md5 in packed.conffiles),
            triggers=decode_text(packed.triggers),
            shlibs=decode_text(packed.shlibs),
            scripts=tuple((name, decode_text(text)) for name, text in packed.scripts),
        )
    except ERRORS as error:
        raise InputError(
            f"the memo of a package cannot be read: {error}",
            help="run `imagist cache prune`; the package is then verified again",
        ) from None
