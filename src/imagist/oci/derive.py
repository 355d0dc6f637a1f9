"""Everything that follows from the few members of an Image or an Index, and values in memory.

A source gives raw bytes (`imagist.oci.image`); these functions give the documents, digests and
descriptors. Nothing here is remembered: documents are small.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import BinaryIO, Final

import msgspec

from imagist.digest import Digest, sha256
from imagist.errors import InputError, NotFound
from imagist.oci import mediatype
from imagist.oci.image import Image, Index, Layer
from imagist.oci.manifest import Descriptor, ImageConfig, IndexManifest, Manifest, decode
from imagist.oci.platform import Platform

_SCHEMA_1: Final = "application/vnd.docker.distribution.manifest.v1"
_CONFIGS: Final = frozenset({mediatype.CONFIG, mediatype.DOCKER_CONFIG})
MAX_DOCUMENT: Final = 4 << 20
"""Bytes of the largest manifest, index or configuration that is read; registries agree on it."""


class MemoryImage(msgspec.Struct, frozen=True):
    """An image whose documents are held in memory; an `Image`."""

    raw_manifest: bytes
    raw_config: bytes
    layers: tuple[Layer, ...] = ()
    media_type: str = mediatype.MANIFEST


class MemoryIndex(msgspec.Struct, frozen=True):
    """An index with its children by digest; an `Index`."""

    raw_manifest: bytes
    children: Mapping[str, Image | Index] = {}
    media_type: str = mediatype.INDEX

    def child(self, descriptor: Descriptor) -> Image | Index:
        """The child with the descriptor's digest.

        Raises:
            NotFound: there is none.
        """
        try:
            return self.children[descriptor.digest]
        except KeyError:
            raise NotFound(f"the index does not hold {descriptor.digest}") from None


class BytesLayer(msgspec.Struct, frozen=True, dict=True):
    """A layer held in memory; a `Layer`."""

    data: bytes
    diff_id: str
    media_type: str = mediatype.LAYER_GZIP

    @cached_property
    def digest(self) -> str:
        """Digest of the blob."""
        return sha256(self.data)

    @property
    def size(self) -> int:
        """Bytes of the blob."""
        return len(self.data)

    def compressed(self) -> BinaryIO:
        """Open the blob."""
        return io.BytesIO(self.data)


class BlobLayer(msgspec.Struct, frozen=True):
    """A layer whose blob is opened where it is needed; a `Layer`."""

    digest: str
    diff_id: str
    size: int
    media_type: str
    opener: Callable[[], BinaryIO]

    def compressed(self) -> BinaryIO:
        """Open the blob; the caller closes it."""
        return self.opener()


def digest(thing: Image | Index) -> Digest:
    """The digest of an image or index: of its manifest's bytes."""
    return sha256(thing.raw_manifest)


def manifest(image: Image) -> Manifest:
    """The manifest of an image.

    Raises:
        InputError: the bytes are not a manifest of schema 2.
    """
    return parse_manifest(image.raw_manifest)


def index_manifest(index: Index) -> IndexManifest:
    """The document of an index.

    Raises:
        InputError: the bytes are not an index.
    """
    return parse_index(index.raw_manifest)


def config(image: Image) -> ImageConfig:
    """The configuration of an image.

    Raises:
        InputError: this is an artifact whose configuration is of another type (which nobody
            may read as an image configuration, manifest.md), or the bytes are not one.
    """
    kind = manifest(image).config.media_type
    if kind not in _CONFIGS:
        raise InputError(f"{digest(image)} is an artifact with a `{kind}`, not a container image")
    return decode(ImageConfig, image.raw_config, f"the configuration of {digest(image)}")


def platform(image: Image) -> Platform:
    """The platform that the image's configuration is for.

    Raises:
        InputError: this is no container image.
    """
    return config(image).platform


def describe_image(
    thing: Image | Index,
    *,
    platform: Platform | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Descriptor:
    """The descriptor that a parent index or a layout names this image or index by."""
    raw = thing.raw_manifest
    return Descriptor(
        media_type=thing.media_type,
        digest=sha256(raw),
        size=len(raw),
        annotations=dict(annotations or {}),
        platform=platform,
    )


def children(index: Index) -> list[tuple[Descriptor, Image | Index]]:
    """Each child of an index with its descriptor; of unknown media types none (image-index.md).

    Raises:
        NotFound: the medium does not hold a child.
    """
    return [
        (item, index.child(item)) for item in index_manifest(index).manifests if is_child(item)
    ]


def images(index: Index) -> list[tuple[Platform, Image]]:
    """The container images of an index and of the indexes in it, each with its platform.

    The platform is the descriptor's, else the configuration's. Attestations of BuildKit, which
    are marked `unknown/unknown`, and artifacts are no images.

    Raises:
        NotFound: the medium does not hold a child.
    """
    return list(_images(index, depth=0))


def _images(index: Index, depth: int) -> Iterator[tuple[Platform, Image]]:
    if depth > 8:
        raise InputError(f"indexes are nested more than 8 deep above {digest(index)}")
    for item, child in children(index):
        if isinstance(child, Index):
            yield from _images(child, depth + 1)
            continue
        if item.platform is not None and item.platform.architecture == "unknown":
            continue
        if parse_manifest(child.raw_manifest).config.media_type in _CONFIGS:
            yield item.platform or platform(child), child


def is_child(item: Descriptor) -> bool:
    """Whether a descriptor in an index names an image or an index."""
    return item.media_type in mediatype.MANIFESTS or item.media_type in mediatype.INDEXES


def is_image_config(item: Descriptor) -> bool:
    """Whether a descriptor names the configuration of a container image."""
    return item.media_type in _CONFIGS


def parse_manifest(raw: bytes) -> Manifest:
    """Read an image manifest.

    Raises:
        InputError: the bytes are not a manifest of schema 2.
    """
    _refuse_schema_1(raw)
    return decode(Manifest, raw, f"manifest {sha256(raw)}")


def parse_index(raw: bytes) -> IndexManifest:
    """Read an image index.

    Raises:
        InputError: the bytes are not an index.
    """
    _refuse_schema_1(raw)
    return decode(IndexManifest, raw, f"index {sha256(raw)}")


class _Kind(msgspec.Struct, frozen=True, rename="camel"):
    schema_version: int = 0
    media_type: str = ""
    config: msgspec.Raw = msgspec.Raw()
    manifests: msgspec.Raw = msgspec.Raw()


def detect_media_type(raw: bytes) -> str:
    """The media type of a manifest or index by its own words.

    Documents may leave `mediaType` out; then what they hold decides, and they are OCI's.

    Raises:
        InputError: the bytes are neither.
    """
    _refuse_schema_1(raw)
    kind = decode(_Kind, raw, f"document {sha256(raw)}")
    if kind.media_type in mediatype.MANIFESTS or kind.media_type in mediatype.INDEXES:
        return kind.media_type
    if not kind.media_type and bytes(kind.manifests):
        return mediatype.INDEX
    if not kind.media_type and bytes(kind.config):
        return mediatype.MANIFEST
    raise InputError(f"{sha256(raw)} is neither an image manifest nor an index")


def _refuse_schema_1(raw: bytes) -> None:
    if len(raw) > MAX_DOCUMENT:
        raise InputError(f"a manifest of {len(raw)} bytes is larger than any registry accepts")
    if b'"schemaVersion"' not in raw:
        return
    kind = decode(_Kind, raw, f"document {sha256(raw)}")
    if kind.schema_version == 1 or kind.media_type.startswith(_SCHEMA_1):
        raise InputError(
            f"{sha256(raw)} is a Docker schema 1 manifest, a format withdrawn since 2019",
            help="pull it with an old Docker and push it again; that converts it to schema 2",
        )


def layers_of(
    document: Manifest, image_config: ImageConfig | None, opener: Callable[[Descriptor], BinaryIO]
) -> Sequence[BlobLayer]:
    """The layers a manifest names, paired with the diff_ids of its configuration.

    Layers of an artifact, whose configuration is of another type, have the diff_id `""`.

    Raises:
        InputError: the configuration has another number of diff_ids than there are layers.
    """
    diff_ids: tuple[str, ...] = ("",) * len(document.layers)
    if image_config is not None:
        diff_ids = image_config.rootfs.diff_ids
    if len(diff_ids) != len(document.layers):
        raise InputError(
            f"an image has {len(document.layers)} layers, but its configuration "
            f"({document.config.digest}) has {len(diff_ids)} diff_ids"
        )
    return [
        BlobLayer(item.digest, diff_id, item.size, item.media_type, partial(opener, item))
        for item, diff_id in zip(document.layers, diff_ids, strict=True)
    ]
