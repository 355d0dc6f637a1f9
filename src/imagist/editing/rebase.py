"""Rebasing whole indexes: each platform from the old base's image for it to the new one's.

No layer is opened: layers of the new base are named instead of the old one's, so a fix in a base
reaches what stands on it without building that again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from imagist.editing.whole import Warn, edit_images
from imagist.errors import NotFound, RequestError
from imagist.inspection.choose import choose_images, is_alike
from imagist.oci import derive
from imagist.oci.image import Image, Index
from imagist.oci.mutate import annotate_image, annotate_index
from imagist.oci.platform import Platform
from imagist.oci.rebase import rebase

BASE_NAME: Final = "org.opencontainers.image.base.name"
BASE_DIGEST: Final = "org.opencontainers.image.base.digest"


class StatedBase(NamedTuple):
    """What an image says of its base (image-spec annotations.md); empty where it says nothing."""

    name: str = ""
    digest: str = ""


def find_stated_base(thing: Image | Index) -> StatedBase:
    """The base that the annotations of an index, or of all its images, name.

    Raises:
        RequestError: the images name different ones.
    """
    if isinstance(thing, Index):
        stated = _read_base(derive.index_manifest(thing).annotations)
        if stated.name:
            return stated
    found = {_read_base(derive.manifest(image).annotations) for image in _images(thing)}
    if len(found) > 1:
        names = ", ".join(sorted(f"{each.name or 'none'}@{each.digest}" for each in found))
        raise RequestError(
            f"the images of {derive.digest(thing)} state different bases: {names}",
            help="name the bases with --old_base and --new_base, or one image with --platform",
        )
    return found.pop() if found else StatedBase()


def rebase_images(
    thing: Image | Index, old: Image | Index, new: Image | Index, *, name: str, warn: Warn
) -> Image | Index:
    """The image, or every image of an index, lifted from the old base to the new; it is noted.

    Args:
        thing: what stands on the old base.
        old: an image, or an index with one for each platform.
        new: the same of what it shall stand on.
        name: what the new base is called where others find it; empty where they cannot.
        warn: is told of attestations that are left out.

    Raises:
        Unrelated: an image does not begin with the layers of the old base.
        NotFound: a base has no image for a platform.
        InputError: this is an artifact, or has no container image.
    """
    noted = {BASE_NAME: name, BASE_DIGEST: str(derive.digest(new))}

    def change(platform: Platform, image: Image) -> Image:
        bases = [_choose(thing, platform, what) for thing, what in ((old, "old"), (new, "new"))]
        return annotate_image(rebase(image, *bases), noted)

    edited = edit_images(thing, change, warn)
    if isinstance(edited, Index) and _read_base(derive.index_manifest(edited).annotations).digest:
        return annotate_index(edited, noted)
    return edited


def _read_base(annotations: dict[str, str]) -> StatedBase:
    return StatedBase(annotations.get(BASE_NAME, ""), annotations.get(BASE_DIGEST, ""))


def _images(thing: Image | Index) -> Iterable[Image]:
    return [image for _, image in derive.images(thing)] if isinstance(thing, Index) else [thing]


def _choose(base: Image | Index, platform: Platform, what: str) -> Image:
    """A base's image for a platform."""
    if not isinstance(base, Index):
        return base
    found = choose_images(base, ())
    # Of several versions of a system its own is preferred, and any other will do.
    for wanted in (
        platform,
        Platform(platform.architecture, platform.os, "", (), platform.variant),
    ):
        for item in found:
            if item.platform and item.image and is_alike(wanted, item.platform):
                return item.image
    have = ", ".join(str(item.platform) for item in found)
    raise NotFound(
        f"the {what} base {derive.digest(base)} has no image for {platform}; it has {have}",
        help="rebase those platforms alone that it has, with --platform",
    )
