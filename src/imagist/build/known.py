"""Images that need not be constructed: remembered by the fingerprint of their inputs.

What a lock states is compared, and never believed: whoever could write another digest into it
would else choose among all images that happen to be in the store, such as last year's.
"""

from __future__ import annotations

from typing import Final

import msgspec

from imagist.build.context import Context, Options
from imagist.digest import Digest
from imagist.errors import Untrusted
from imagist.oci import contents, derive
from imagist.oci.image import Image, Index
from imagist.oci.platform import Platform

STEP: Final = "image"


class KnownImage(msgspec.Struct, frozen=True):
    """The image of one platform, and what was odd about it."""

    image: Image
    warnings: tuple[str, ...] = ()


class _Remembered(msgspec.Struct, frozen=True, array_like=True):
    digest: str
    warnings: tuple[str, ...]


def recall_image(
    inputs: Digest, platform: Platform, options: Options, context: Context
) -> KnownImage | None:
    """The image with these inputs, out of the store; None where it must be constructed.

    Raises:
        Untrusted: a lock states another digest for the same inputs.
    """
    locked = _locked_digest(inputs, platform, options, context)
    value = context.store.memo.get(STEP, inputs)
    if value is None:
        return None
    try:
        known = msgspec.msgpack.decode(value, type=_Remembered)
    except msgspec.DecodeError:
        return None
    _check_lock(known.digest, locked, platform, options)
    image = context.store.find_image(known.digest)
    return None if image is None or isinstance(image, Index) else KnownImage(image, known.warnings)


def remember_image(
    inputs: Digest, platform: Platform, made: KnownImage, options: Options, context: Context
) -> None:
    """Keep an image and its fingerprint.

    Raises:
        Untrusted: a lock states another digest for the same inputs.
    """
    digest = derive.digest(made.image)
    _check_lock(digest, _locked_digest(inputs, platform, options, context), platform, options)
    context.store.add_blobs(made.image)
    blobs = [blob.digest for blob in contents.blobs(made.image)]
    value = msgspec.msgpack.encode(_Remembered(str(digest), made.warnings))
    context.store.memo.put(STEP, inputs, value, blobs)


def _locked_digest(inputs: Digest, platform: Platform, options: Options, context: Context) -> str:
    """What a lock states for these inputs; empty where it has nothing to say."""
    locked = options.lock.image_for(platform) if options.lock else None
    if locked is None:
        return ""
    if locked.inputs != inputs:
        context.report.warn(
            f"{options.lock_name} states another image for {platform}: options, local files or "
            "imagist have changed since"
        )
        return ""
    return locked.digest


def _check_lock(digest: str, locked: str, platform: Platform, options: Options) -> None:
    if locked and locked != digest:
        raise Untrusted(
            f"the image for {platform} is {digest}, where the lock states {locked} for the "
            "same inputs",
            where=options.lock_name,
            help="if nobody changed the lock, please report this; else lock again",
        )
