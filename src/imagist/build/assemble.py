"""From layers and a declaration to the image of a platform, and from images to an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from imagist.declaration.model import Declaration
from imagist.oci import derive, mediatype
from imagist.oci.derive import MemoryImage
from imagist.oci.image import Image, Index, Layer
from imagist.oci.manifest import (
    History,
    ImageConfig,
    Manifest,
    RootFS,
    RunConfig,
    describe,
    encode,
    format_time,
)
from imagist.oci.mutate import describe_layer, make_index
from imagist.oci.platform import Platform

if TYPE_CHECKING:
    from imagist.build.context import Options

AUTHOR = "imagist"
CREATED = "org.opencontainers.image.created"
SOURCE = "org.opencontainers.image.source"
REVISION = "org.opencontainers.image.revision"


class BuiltLayer(msgspec.Struct, frozen=True):
    """A layer with the sentence its history tells."""

    layer: Layer
    created_by: str


def assemble_image(
    layers: Sequence[BuiltLayer],
    run: RunConfig,
    platform: Platform,
    *,
    created: int,
    annotations: Mapping[str, str],
    base: ImageConfig | None = None,
) -> Image:
    """The image of one platform (image-spec manifest.md, config.md).

    Args:
        layers: base first; those of a base image, if any, are the first of them.
        run: what a runtime does with the image.
        platform: what it runs on; written to the configuration.
        created: seconds since 1970.
        annotations: of the manifest.
        base: the configuration of the base image, whose history comes first.
    """
    history = tuple((base.history or ()) if base else ())
    own = layers[len(base.rootfs.diff_ids) if base else 0 :]
    moment = format_time(created)
    config = ImageConfig(
        created=moment,
        author=AUTHOR,
        architecture=platform.architecture,
        os=platform.os,
        os_version=platform.os_version,
        os_features=platform.os_features,
        variant=platform.variant,
        config=run,
        rootfs=RootFS(diff_ids=tuple(str(built.layer.diff_id) for built in layers)),
        history=(
            *history,
            *(
                History(created=moment, created_by=built.created_by, author=AUTHOR)
                for built in own
            ),
        ),
    )
    raw_config = encode(config)
    manifest = Manifest(
        schema_version=2,
        config=describe(raw_config, mediatype.CONFIG),
        layers=tuple(describe_layer(built.layer) for built in layers),
        annotations=dict(annotations),
    )
    return MemoryImage(encode(manifest), raw_config, tuple(built.layer for built in layers))


def assemble_index(images: Sequence[Image], declaration: Declaration, options: Options) -> Index:
    """The index over the images of several platforms, as new as the newest of them."""
    # What a manifest says of its platform goes into the index: EROFS layers need a feature.
    described = [(derive.platform(image), image) for image in images]
    ordered = sorted(described, key=lambda item: item[0].arch)
    created = max(derive.config(image).created or "" for image in images)
    return make_index(ordered, annotations=annotations_of(declaration, created, options))


def annotations_of(declaration: Declaration, created: str, options: Options) -> dict[str, str]:
    """The annotations of index and manifests (image-spec annotations.md).

    `created` is a time as `format_time` writes it.
    """
    annotations = dict(declaration.annotations)
    vcs_url = declaration.vcs_url or options.vcs_url
    if vcs_url:
        from imagist.build.vcs import split_vcs_url  # noqa: PLC0415 - few need it

        url, revision = split_vcs_url(vcs_url)
        annotations.setdefault(SOURCE, url)
        if revision:
            annotations.setdefault(REVISION, revision)
    annotations.setdefault(CREATED, created)
    return annotations
