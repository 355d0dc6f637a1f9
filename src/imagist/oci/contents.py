"""All blobs that make up an image or index, each once: what every sink has to write."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

import msgspec

from imagist.digest import sha256
from imagist.errors import InputError
from imagist.oci import derive
from imagist.oci.image import Image, Index, Layer

_DEEPEST: Final = 8


class Blob(msgspec.Struct, frozen=True):
    """One blob to write."""

    digest: str
    size: int
    open: Callable[[], BinaryIO]
    """Open it; the caller closes it."""
    layer: bool
    """Whether it is a layer: its bytes come from outside and are to be checked."""


def blobs(thing: Image | Index) -> Iterator[Blob]:
    """The blobs of an image or index, children before what names them, each digest once.

    Layers that may not be distributed (foreign layers, manifest.md) are left out: whoever wants
    them fetches them from their `urls`.

    Raises:
        NotFound: the medium does not hold a child of an index.
    """
    yield from _blobs(thing, set(), 0)


def manifests(thing: Image | Index) -> Iterator[Image | Index]:
    """An image, or an index and all that is in it; children before parents, each digest once.

    Raises:
        NotFound: the medium does not hold a child of an index.
    """
    yield from _manifests(thing, set(), 0)


def _manifests(thing: Image | Index, seen: set[str], depth: int) -> Iterator[Image | Index]:
    check_depth(depth)
    digest = sha256(thing.raw_manifest)
    if digest in seen:
        return
    seen.add(digest)
    if isinstance(thing, Index):
        for _, child in derive.children(thing):
            yield from _manifests(child, seen, depth + 1)
    yield thing


def check_depth(depth: int) -> None:
    """Bound indexes within indexes.

    Raises:
        InputError: there are more than anyone has a use for.
    """
    if depth > _DEEPEST:
        raise InputError(f"indexes are nested more than {_DEEPEST} deep")


def image_blobs(image: Image, *, nondistributable: bool = False) -> Iterator[Blob]:
    """The configuration and the layers of one image, without its manifest.

    Args:
        image: the image, or an artifact.
        nondistributable: whether layers that may not be distributed count too.
    """
    for layer in image.layers:
        if nondistributable or is_distributable(layer):
            yield Blob(layer.digest, layer.size, layer.compressed, layer=True)
    yield _document(image.raw_config)


def _blobs(thing: Image | Index, seen: set[str], depth: int) -> Iterator[Blob]:
    check_depth(depth)
    if sha256(thing.raw_manifest) in seen:  # an index may name a child twice, and so its children
        return
    if isinstance(thing, Index):
        for _, child in derive.children(thing):
            yield from _blobs(child, seen, depth + 1)
    else:
        yield from _image_blobs(thing, seen)
    yield from _once(_document(thing.raw_manifest), seen)


def _image_blobs(image: Image, seen: set[str]) -> Iterator[Blob]:
    for blob in image_blobs(image):
        yield from _once(blob, seen)


def is_distributable(layer: Layer) -> bool:
    """Whether a layer may be copied, which its media type says."""
    return "nondistributable" not in layer.media_type and ".foreign." not in layer.media_type


def _document(raw: bytes) -> Blob:
    return Blob(sha256(raw), len(raw), lambda: io.BytesIO(raw), layer=False)


def _once(blob: Blob, seen: set[str]) -> Iterator[Blob]:
    if blob.digest not in seen:
        seen.add(blob.digest)
        yield blob
