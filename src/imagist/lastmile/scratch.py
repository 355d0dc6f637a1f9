"""A base of nothing, for whatever needs nothing: `base: scratch`, as Dockerfiles call it."""

from __future__ import annotations

from collections.abc import Sequence

from imagist.errors import RequestError
from imagist.oci.empty import EMPTY_IMAGE
from imagist.oci.image import Image, Index
from imagist.oci.mutate import make_index, set_config
from imagist.oci.platform import Platform


def empty_base(platforms: Sequence[Platform]) -> Index:
    """An image without layers for each platform.

    Raises:
        RequestError: there are none.
    """
    if not platforms:
        raise RequestError(
            "`scratch` is for no platform of its own",
            help="name some with `platforms`, or with --platform",
        )
    images: list[tuple[Platform | None, Image | Index]] = []
    for platform in platforms:
        changes = {"os": platform.os, "architecture": platform.architecture}
        variant = {"variant": platform.variant} if platform.variant else {}
        images.append((platform, set_config(EMPTY_IMAGE, {**changes, **variant})))
    return make_index(images)
