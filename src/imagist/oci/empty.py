"""FROM scratch, as values: an image without layers and an index without children."""

from __future__ import annotations

from typing import Final

from imagist.oci import mediatype
from imagist.oci.derive import MemoryImage, MemoryIndex
from imagist.oci.manifest import ImageConfig, IndexManifest, Manifest, describe, encode

_CONFIG: Final = encode(ImageConfig(architecture="amd64", os="linux"))

EMPTY_IMAGE: Final = MemoryImage(
    encode(Manifest(schema_version=2, config=describe(_CONFIG, mediatype.CONFIG))), _CONFIG
)
EMPTY_INDEX: Final = MemoryIndex(encode(IndexManifest(schema_version=2)))
