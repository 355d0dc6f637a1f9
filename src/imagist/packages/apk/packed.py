"""`ApkFiles` as bytes for the memo.

The format is private to one version of imagist; `FORMAT` goes into memo keys.
"""

from __future__ import annotations

from typing import Final

import msgspec

from imagist.digest import Digest
from imagist.errors import InputError
from imagist.packages.apk.archive import ApkFiles
from imagist.packages.apk.index import Package
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

FORMAT: Final = "package-files/4"
"""Raise the number whenever the bytes, or what verification finds out, change."""


class _Packed(msgspec.Struct, array_like=True, gc=False):
    package: Package
    data: str
    data_size: int
    diff_id: str
    tar_size: int
    entries: PackedEntries
    scripts: list[tuple[str, int, bytes]]
    triggers: list[str]
    libraries: PackedLibraries
    verbatim: bytes
    signature_size: int
    signature_sha1: bytes
    record: bytes


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(_Packed)


def encode_package_files(files: ApkFiles) -> bytes:
    """The bytes that `decode_package_files` turns into an equal value."""
    packed = _Packed(
        files.package,
        str(files.data),
        files.data_size,
        str(files.diff_id),
        files.tar_size,
        pack_entries(files.entries),
        list(files.scripts),
        list(files.triggers),
        pack_libraries(files.libraries, files.entries),
        encode_text(files.verbatim),
        files.signature_size,
        files.signature_sha1,
        files.record,
    )
    return _ENCODER.encode(packed)


def decode_package_files(data: bytes) -> ApkFiles:
    """The value of `encode_package_files`.

    Raises:
        InputError: the bytes are not of this format.
    """
    try:
        packed = _DECODER.decode(data)
        entries = unpack_entries(packed.entries)
        return ApkFiles(
            package=packed.package,
            data=Digest(packed.data),
            data_size=packed.data_size,
            diff_id=Digest(packed.diff_id),
            tar_size=packed.tar_size,
            entries=entries,
            libraries=unpack_libraries(packed.libraries, entries),
            verbatim=decode_text(packed.verbatim),
            scripts=tuple(packed.scripts),
            triggers=tuple(packed.triggers),
            signature_size=packed.signature_size,
            signature_sha1=packed.signature_sha1,
            record=packed.record,
        )
    except ERRORS as error:
        raise InputError(
            f"the memo of a package cannot be read: {error}",
            help="run `imagist cache prune`; the package is then verified again",
        ) from None
