"""Memory: what a build from a lock leaves in a registry, so that the next one fetches little.

A machine that has only a lock, and a registry that has the image before a package changed, can
build the image after it from the changed package alone. What it must know of the other packages
(`PackageFiles`: names, sizes, places of files) stands in one blob of an artifact (manifest.md,
"Guidelines for Artifact Usage") under the tag `TAG` of the image's repository. Their bytes are
blobs there as well: most are layers of the image; those that are not, because small packages
share a layer, are layers of the artifact.

Nobody vouches for a memory, so it is used only where a lock states the digest of the image that
must come of it, and bytes are those that the lock's data hash says.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO, Final, Protocol

import deflate
import msgspec

from imagist.digest import sha256
from imagist.errors import ImagistError, InputError
from imagist.oci import derive, mediatype
from imagist.oci.derive import BlobLayer, MemoryImage
from imagist.oci.image import Image, Layer
from imagist.oci.manifest import Manifest, describe, encode
from imagist.oci.mutate import describe_layer
from imagist.packages.fetch import Identity
from imagist.packages.files import PackageFiles

TAG: Final = "imagist-memory"
"""A build replaces the memory of the one before."""
ARTIFACT: Final = "application/vnd.imagist.memory.v1"
FACTS: Final = "application/vnd.imagist.memory.facts.v1.msgpack+gzip"
DATA: Final = "application/vnd.imagist.memory.data.v1.tar+gzip"
_EMPTY: Final = b"{}"
_LEVEL: Final = 6
_ALL_DATA: Final = 64 << 20
"""Bytes of packages that are no layers of the image, at most; the others are fetched again."""
_MAX_FACTS: Final = 64 << 20
_MAX_INFLATED: Final = 1 << 30
_GZIP: Final = 31
"""`wbits` of zlib for a gzip stream."""


class Packing(Protocol):
    """How a format makes bytes of a verified package; `formats.format.Format` does."""

    @property
    def packed(self) -> str:
        """Names the bytes of `encode`."""

    def encode(self, files: Any) -> bytes:
        """A verified package as bytes."""

    def decode(self, raw: bytes) -> PackageFiles:
        """The verified package of some bytes; `InputError` where they are of another version."""

    def identity(self, files: Any) -> Identity:
        """What a verified package is wanted by."""


class _Facts(msgspec.Struct, array_like=True):
    format: str
    packages: list[tuple[str, str, str, bytes]]
    """Checksum, name, version, and `PackageFiles` as the memo has them."""


def make_memory(
    packages: Iterable[PackageFiles],
    form: Packing,
    layers: Collection[str],
    open_blob: Callable[[str], BinaryIO],
) -> MemoryImage:
    """The artifact for the packages of an image, or of the images of an index.

    Args:
        packages: all of them.
        form: their format.
        layers: the digests of the image's layers.
        open_blob: opens a package's data segment, given its digest.
    """
    once = {form.identity(files): files for files in packages}
    ordered = [once[identity] for identity in sorted(once)]
    facts = _Facts(form.packed, [(*form.identity(each), form.encode(each)) for each in ordered])
    data = bytes(deflate.gzip_compress(msgspec.msgpack.encode(facts), _LEVEL))
    stored = BlobLayer(sha256(data), "", len(data), FACTS, partial(io.BytesIO, data))
    held = (stored, *_data_of(ordered, layers, open_blob))
    manifest = Manifest(
        schema_version=2,
        artifact_type=ARTIFACT,
        config=describe(_EMPTY, mediatype.EMPTY),
        layers=tuple(map(describe_layer, held)),
    )
    return MemoryImage(encode(manifest), _EMPTY, held)


def _data_of(
    packages: Iterable[PackageFiles],
    layers: Collection[str],
    open_blob: Callable[[str], BinaryIO],
) -> Iterator[Layer]:
    """The data segments that are no layers, the small ones first, as far as there is room."""
    apart = {files.data: files for files in packages if files.entries and files.data not in layers}
    room = _ALL_DATA
    for files in sorted(apart.values(), key=lambda files: (files.data_size, files.data)):
        room -= files.data_size
        if room < 0:
            return
        opener = partial(open_blob, files.data)
        yield BlobLayer(files.data, "", files.data_size, DATA, opener)


class Recollection(Mapping[Identity, PackageFiles]):
    """The packages of a memory; each is decoded when it is asked for."""

    def __init__(self, packages: Mapping[Identity, bytes], form: Packing) -> None:
        self._packages = packages
        self._form = form

    def __getitem__(self, identity: Identity) -> PackageFiles:
        try:
            return self._form.decode(self._packages[identity])
        except InputError:
            raise KeyError(identity) from None

    def __iter__(self) -> Iterator[Identity]:
        return iter(self._packages)

    def __len__(self) -> int:
        return len(self._packages)


def read_memory(artifact: Image | None, form: Packing) -> Recollection:
    """The packages of a format that a memory knows; none where it is of no use."""
    if artifact is None:
        return Recollection({}, form)
    try:
        if derive.manifest(artifact).artifact_type != ARTIFACT:
            return Recollection({}, form)
        data = b"".join(_read(layer) for layer in artifact.layers if layer.media_type == FACTS)
        facts = msgspec.msgpack.decode(_inflate(data), type=_Facts)
    except (ImagistError, msgspec.DecodeError, zlib.error):
        return Recollection({}, form)
    if facts.format != form.packed:
        return Recollection({}, form)
    return Recollection({row[:3]: row[3] for row in facts.packages}, form)


def _read(layer: Layer) -> bytes:
    if layer.size > _MAX_FACTS:
        raise InputError(f"a memory of {layer.size} bytes is larger than any")
    with layer.compressed() as stream:
        return b"".join(iter(partial(stream.read, 1 << 20), b""))


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj(_GZIP)
    raw = inflater.decompress(data, _MAX_INFLATED)
    if inflater.unconsumed_tail:
        raise InputError("a memory inflates to more than any")
    return raw
