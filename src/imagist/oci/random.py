"""Images, indexes and layers from a seed: for tests and measurements that need no fixtures."""

from __future__ import annotations

import io
import random
import tarfile
import zlib
from collections.abc import Sequence
from typing import Final

from imagist.digest import sha256
from imagist.oci.derive import BytesLayer, MemoryImage, MemoryIndex
from imagist.oci.empty import EMPTY_IMAGE
from imagist.oci.image import Image
from imagist.oci.manifest import History
from imagist.oci.mutate import append_layers, make_index, set_config
from imagist.oci.platform import Platform

AMD64: Final = Platform("amd64")
ARM64: Final = Platform("arm64")


def random_layer(seed: int, size: int = 1024) -> BytesLayer:
    """A gzip layer with one file of `size` bytes that do not compress."""
    content = random.Random(seed).randbytes(size)  # noqa: S311 - no secret
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        member = tarfile.TarInfo(f"random-{seed}")
        member.size = size
        archive.addfile(member, io.BytesIO(content))
    tar = buffer.getvalue()
    gzip = zlib.compressobj(1, wbits=31)
    return BytesLayer(gzip.compress(tar) + gzip.flush(), sha256(tar))


def random_image(
    seed: int, *, layers: int = 2, size: int = 1024, platform: Platform = AMD64
) -> MemoryImage:
    """An image with so many random layers."""
    image = set_config(
        EMPTY_IMAGE, {"architecture": platform.architecture, "variant": platform.variant}
    )
    return append_layers(
        image,
        [
            (random_layer(seed * 1000 + number, size), History(created_by=f"random {number}"))
            for number in range(layers)
        ],
    )


def random_index(
    seed: int,
    *,
    platforms: Sequence[Platform] = (AMD64, ARM64),
    layers: int = 2,
    size: int = 1024,
) -> MemoryIndex:
    """An index with one random image for each platform."""
    images: list[tuple[Platform | None, Image]] = [
        (platform, random_image(seed + number, layers=layers, size=size, platform=platform))
        for number, platform in enumerate(platforms)
    ]
    return make_index(images)
