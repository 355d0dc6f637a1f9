"""An image lifted from one base onto another: only its manifest and its configuration change."""

from __future__ import annotations

from typing import Final

from imagist.errors import InputError
from imagist.oci import derive
from imagist.oci.derive import MemoryImage
from imagist.oci.documents import (
    Document,
    complete_history,
    has_layer,
    merge_members,
    read_members,
    with_config,
    with_diff_ids,
)
from imagist.oci.image import Image, Index
from imagist.oci.platform import Platform
from imagist.oci.reference import Reference

BASE_NAME: Final = "org.opencontainers.image.base.name"
BASE_DIGEST: Final = "org.opencontainers.image.base.digest"


class Unrelated(InputError):
    """An image is not built on the base that was named."""


def note_base(
    image: Image | Index, whole: Image | Index, reference: Reference | None = None
) -> dict[str, str]:
    """The annotations by which an image says what it is built on (image-spec annotations.md).

    The digest is of what the reference names, an index where it names one, so that a name that
    moved is told by its digest. A base that nobody else can name is stated by its image alone:
    which platforms an index has that was made here is chance.

    Args:
        image: what of the base is built on: its image for one platform.
        whole: the base with all its platforms.
        reference: where others find it; one that has a digest is no name that may move.
    """
    if reference is None:
        return {BASE_DIGEST: str(derive.digest(image))}
    name = {} if reference.digest else {BASE_NAME: str(reference)}
    return {BASE_DIGEST: str(derive.digest(whole)), **name}


def rebase(image: Image, old_base: Image, new_base: Image) -> MemoryImage:
    """The image with the layers of one base replaced by those of another.

    Only layers and their history move: what a runtime does stays as the image says. The version of
    an operating system (Windows') is the new base's.

    Raises:
        Unrelated: the image is not built on `old_base`; the first layer that differs is named.
        InputError: the bases differ in platform.
    """
    count = len(old_base.layers)
    _check_base(image, old_base)
    platform, other = derive.platform(image), derive.platform(new_base)
    if _without_version(platform) != _without_version(other):
        raise InputError(f"an image for {platform} cannot stand on a base for {other}")
    config, new_config = read_members(image.raw_config), read_members(new_base.raw_config)
    own = _own_history(config, read_members(old_base.raw_config).get("history") or [], count)
    own += [{}] * (len(image.layers) - count - sum(map(has_layer, own)))
    config["history"] = [*complete_history(new_config, len(new_base.layers)), *own]
    config = merge_members(config, {"os.version": new_config.get("os.version")})
    layers = (*new_base.layers, *image.layers[count:])
    config = with_diff_ids(config, (layer.diff_id for layer in layers))
    manifest = read_members(image.raw_manifest)
    manifest["layers"] = [
        *(read_members(new_base.raw_manifest).get("layers") or []),
        *(manifest.get("layers") or [])[count:],
    ]
    return with_config(image, manifest, config, layers)


def _check_base(image: Image, base: Image) -> None:
    """Whether an image begins with a base's layers, however they are compressed."""
    names = f"{derive.digest(image)} is not built on {derive.digest(base)}"
    what = "name the base it was built on"
    if len(base.layers) > len(image.layers):
        raise Unrelated(
            f"{names}: it has {len(image.layers)} layers, the base {len(base.layers)}", help=what
        )
    for number, (own, other) in enumerate(zip(image.layers, base.layers, strict=False), 1):
        if own.digest != other.digest and own.diff_id != other.diff_id:
            raise Unrelated(
                f"{names}: layer {number} is {own.digest}, but the base has {other.digest}",
                help=what,
            )


def _without_version(platform: Platform) -> tuple[str, str, str]:
    """What of a platform a base must share; arm64 has one variant, v8."""
    variant = "" if platform.architecture == "arm64" else platform.variant
    return platform.os, platform.architecture, variant


def _own_history(config: Document, base: list[Document], layers: int) -> list[Document]:
    """The lines after those of the base, which has so many layers."""
    lines = list(config.get("history") or [])
    if lines[: len(base)] == base and sum(map(has_layer, base)) == layers:
        return lines[len(base) :]
    # The base was described in other words: its lines end where the next layer begins.
    for number, line in enumerate(lines):
        layers -= has_layer(line)
        if layers < 0:
            return lines[number:]
    return []
