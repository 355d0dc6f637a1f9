"""An edit is made of whole things: of an image, or of every image of an index."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from imagist.errors import InputError, NotFound
from imagist.inspection.choose import choose_images
from imagist.oci import derive
from imagist.oci.image import Image, Index
from imagist.oci.manifest import Descriptor
from imagist.oci.mutate import keep_images, map_images
from imagist.oci.platform import Platform

Change = Callable[[Platform, Image], Image]
"""What is done to the image of one platform."""
Warn = Callable[[str], object]


def edit_images(thing: Image | Index, change: Change, warn: Warn) -> Image | Index:
    """The image, or the index with every container image in it, after a change.

    Artifacts in an index stay as they are. Attestations about images that change are left out,
    with a warning: they say by digest of what they speak, which would be gone.

    Raises:
        InputError: this is an artifact, or an index without a container image.
    """
    if not isinstance(thing, Index):
        return change(derive.platform(thing), thing)
    left_out: list[Descriptor] = []
    if not derive.images(thing):
        raise NotFound(f"{derive.digest(thing)} has no container image")
    edited = map_images(thing, change, left_out=left_out.append)
    if left_out:
        what = "an attestation is" if len(left_out) == 1 else f"{len(left_out)} attestations are"
        warn(f"{what} left out, about images as they were before the edit")
    return edited


def narrow(thing: Image | Index, names: Sequence[str]) -> Image | Index:
    """The image for one platform, or an index of those for some; without names, all of it.

    Raises:
        NotFound: there is none for a platform.
    """
    if not names:
        return thing
    found = choose_images(thing, names)
    if len(found) == 1 and found[0].image is not None:
        return found[0].image
    if not isinstance(thing, Index):
        raise InputError(f"{derive.digest(thing)} is one image")
    return keep_images(thing, {item.descriptor.digest for item in found})
