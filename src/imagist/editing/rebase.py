"""Rebasing whole indexes: each platform from the old base's image for it to the new one's.

No layer is opened: layers of the new base are named instead of the old one's, so a fix in a base
reaches what stands on it without building that again.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from imagist.editing.whole import Warn, edit_images
from imagist.errors import NotFound, RequestError
from imagist.inspection.choose import choose_images, is_alike
from imagist.oci import derive
from imagist.oci.image import Image, Index
from imagist.oci.mutate import annotate_image, annotate_index
from imagist.oci.platform import Platform
from imagist.oci.rebase import BASE_DIGEST, BASE_NAME, note_base, rebase
from imagist.oci.reference import Reference


class StatedBase(msgspec.Struct, frozen=True):
    """What images say of their base (image-spec annotations.md)."""

    name: str = ""
    """Empty where they say none."""
    digests: Mapping[Platform, str] = {}
    """By the platform of the image; each may be of an index or of an image."""


def find_stated_base(thing: Image | Index) -> StatedBase:
    """The base that the annotations of an index, or of all its images, name.

    Raises:
        RequestError: the images name different ones.
    """
    whole = derive.index_manifest(thing).annotations if isinstance(thing, Index) else {}
    found = [
        (platform, whole if BASE_NAME in whole else derive.manifest(image).annotations)
        for platform, image in _images(thing)
    ]
    names = sorted({annotations.get(BASE_NAME, "") for _, annotations in found})
    if len(names) > 1:
        told = ", ".join(name or "none" for name in names)
        raise RequestError(
            f"the images of {derive.digest(thing)} state different bases: {told}",
            help="name the bases with --old_base and --new_base, or one image with --platform",
        )
    stated = {platform: annotations.get(BASE_DIGEST, "") for platform, annotations in found}
    return StatedBase("".join(names), stated if all(stated.values()) else {})


def rebase_images(
    thing: Image | Index,
    old: Image | Index,
    new: Image | Index,
    *,
    reference: Reference | None = None,
    warn: Warn,
) -> Image | Index:
    """The image, or every image of an index, lifted from the old base to the new; it is noted.

    Args:
        thing: what stands on the old base.
        old: an image, or an index with one for each platform.
        new: the same of what it shall stand on.
        reference: where others find the new base; None where they cannot.
        warn: is told of attestations that are left out.

    Raises:
        Unrelated: an image does not begin with the layers of the old base.
        NotFound: a base has no image for a platform.
        InputError: this is an artifact, or has no container image.
    """
    unsaid = {BASE_NAME: ""}  # what is not said anew is no longer true

    def change(platform: Platform, image: Image) -> Image:
        onto = choose_base(new, platform, "new")
        lifted = rebase(image, choose_base(old, platform, "old"), onto)
        return annotate_image(lifted, {**unsaid, **note_base(onto, new, reference)})

    edited = edit_images(thing, change, warn)
    if isinstance(edited, Index) and BASE_DIGEST in derive.index_manifest(edited).annotations:
        return annotate_index(edited, {**unsaid, **note_base(new, new, reference)})
    return edited


def _images(thing: Image | Index) -> list[tuple[Platform, Image]]:
    return derive.images(thing) if isinstance(thing, Index) else [(derive.platform(thing), thing)]


def choose_base(base: Image | Index, platform: Platform, what: str) -> Image:
    """A base's image for a platform.

    Raises:
        NotFound: it has none; `what` says which base it is.
    """
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
