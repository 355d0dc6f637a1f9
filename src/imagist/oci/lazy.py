"""Images and indexes over anything that can open a blob by its digest.

The store, layouts, archives and registries are such media; documents are read, and checked,
when somebody asks for them, layers when somebody opens them.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from functools import cached_property
from typing import BinaryIO, Protocol

from imagist.digest import Digest, sha256
from imagist.errors import InputError, Untrusted
from imagist.oci import derive, mediatype
from imagist.oci.derive import MAX_DOCUMENT, BlobLayer
from imagist.oci.image import Image, Index
from imagist.oci.manifest import Descriptor, ImageConfig, decode
from imagist.oci.reader import verified


class BlobSource(Protocol):
    """A medium that holds blobs."""

    def open_blob(self, digest: str) -> BinaryIO:
        """Open a blob; the caller closes it.

        Raises:
            NotFound: the medium does not hold it.
        """
        ...


class LazyImage:
    """An image whose configuration and layers are opened on demand; an `Image`."""

    def __init__(self, source: BlobSource, raw_manifest: bytes, media_type: str) -> None:
        self._source = source
        self.raw_manifest = raw_manifest
        self.media_type = media_type

    @cached_property
    def raw_config(self) -> bytes:
        """The configuration's bytes, checked."""
        return read_document(self._source, derive.manifest(self).config)

    @cached_property
    def layers(self) -> Sequence[BlobLayer]:
        """The layers, base first."""
        document = derive.manifest(self)
        config = None
        if derive.is_image_config(document.config):
            config = decode(
                ImageConfig, self.raw_config, f"configuration {document.config.digest}"
            )
        return derive.layers_of(document, config, lambda item: self._source.open_blob(item.digest))


class LazyIndex:
    """An index whose children are read on demand; an `Index`."""

    def __init__(self, source: BlobSource, raw_manifest: bytes, media_type: str) -> None:
        self._source = source
        self.raw_manifest = raw_manifest
        self.media_type = media_type

    def child(self, descriptor: Descriptor) -> Image | Index:
        """The image or index that a descriptor names."""
        return load(self._source, descriptor)


def load(source: BlobSource, descriptor: Descriptor) -> Image | Index:
    """The image or index that a descriptor names.

    Raises:
        NotFound: the medium does not hold its manifest.
        InputError: the descriptor names something else, or a schema 1 manifest.
        Untrusted: the manifest has not the digest or size of the descriptor.
    """
    kind = descriptor.media_type
    raw = read_document(source, descriptor)
    if not derive.is_child(descriptor):
        kind = derive.detect_media_type(raw)
    return wrap(source, raw, kind)


def load_digest(source: BlobSource, digest: str) -> Image | Index:
    """The image or index with a digest, of which nothing else is known.

    Raises:
        NotFound: the medium does not hold it.
        InputError: the blob is something else.
        Untrusted: the blob has not this digest.
    """
    raw = read_document(source, Descriptor(media_type="", digest=Digest(digest), size=-1))
    return wrap(source, raw, derive.detect_media_type(raw))


def wrap(source: BlobSource, raw: bytes, media_type: str) -> Image | Index:
    """The image or index with a manifest that was read and checked already."""
    if media_type in mediatype.INDEXES:
        return LazyIndex(source, raw, media_type)
    return LazyImage(source, raw, media_type)


def read_document(source: BlobSource, descriptor: Descriptor) -> bytes:
    """A document's bytes, checked; from the descriptor itself where it embeds them.

    Raises:
        NotFound: the medium does not hold it.
        Untrusted: it has not the digest or size of the descriptor, or is far too large.
    """
    if descriptor.size > MAX_DOCUMENT:
        raise Untrusted(f"document {descriptor.digest} is said to have {descriptor.size} bytes")
    if descriptor.data:
        return _embedded(descriptor)
    stream = source.open_blob(descriptor.digest)
    with verified(stream, descriptor.digest, descriptor.size, "a document") as reader:
        raw = b""
        while piece := reader.read(MAX_DOCUMENT + 1):
            raw += piece
            if len(raw) > MAX_DOCUMENT:
                raise Untrusted(f"document {descriptor.digest} is larger than any document may be")
        return raw


def _embedded(descriptor: Descriptor) -> bytes:
    try:
        raw = binascii.a2b_base64(descriptor.data, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"the data in descriptor {descriptor.digest} is not base64") from error
    if len(raw) != descriptor.size or sha256(raw) != descriptor.digest:
        raise Untrusted(f"the data in descriptor {descriptor.digest} is something else")
    return raw
