"""Images that need not be constructed: remembered by the fingerprint of their inputs.

What a lock states is compared, and never believed: whoever could write another digest into it
would else choose among all images that happen to be in the store or the registry, such as last
year's. An image of the store is found by the fingerprint; one of the registry, by the digest that
the lock states, must itself say that it was made from the same inputs.
"""

from __future__ import annotations

from typing import Final

import msgspec

from imagist.build.context import Context, Options
from imagist.build.fingerprint import INPUTS, Fingerprint
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
    fingerprint: Fingerprint, platform: Platform, options: Options, context: Context
) -> KnownImage | None:
    """The image with these inputs, out of the store or where it is to go; None: construct it.

    Raises:
        Untrusted: a lock states another digest for the same inputs.
        NetworkError: the registry cannot be asked.
    """
    locked = stated_image(fingerprint, platform, options)
    if not locked and options.lock and options.lock.image_for(platform):
        context.report.warn(
            f"{options.lock_name} states another image for {platform}: options, local files or "
            "imagist have changed since"
        )
    known = _recall_own(fingerprint, context)
    if known is not None:
        _check_digest(known.digest, locked, platform, options)
        image = context.store.find_image(known.digest)
        if image is not None and not isinstance(image, Index):
            return KnownImage(image, known.warnings)
    if locked and context.target is not None:
        image = context.target.find_image(locked)
        if isinstance(image, Image) and _states(image, fingerprint):
            return KnownImage(image)
    return None


def _recall_own(fingerprint: Fingerprint, context: Context) -> _Remembered | None:
    value = context.store.memo.get(STEP, fingerprint.inputs)
    if value is None:
        return None
    try:
        return msgspec.msgpack.decode(value, type=_Remembered)
    except msgspec.DecodeError:
        return None


def _states(image: Image, fingerprint: Fingerprint) -> bool:
    """Whether an image says that it was made from these inputs."""
    return derive.manifest(image).annotations.get(INPUTS) == fingerprint.stated


def remember_image(
    fingerprint: Fingerprint,
    platform: Platform,
    made: KnownImage,
    options: Options,
    context: Context,
) -> None:
    """Keep an image and its fingerprint.

    Raises:
        Untrusted: a lock states another digest for the same inputs.
    """
    check_lock(made.image, fingerprint, platform, options)
    context.store.add_blobs(made.image)
    blobs = [blob.digest for blob in contents.blobs(made.image)]
    value = msgspec.msgpack.encode(_Remembered(str(derive.digest(made.image)), made.warnings))
    context.store.memo.put(STEP, fingerprint.inputs, value, blobs)


def stated_image(fingerprint: Fingerprint, platform: Platform, options: Options) -> str:
    """The digest that a lock states for these inputs; empty where it has nothing to say."""
    locked = options.lock.image_for(platform) if options.lock else None
    return locked.digest if locked and locked.inputs == fingerprint.inputs else ""


def check_lock(
    image: Image,
    fingerprint: Fingerprint,
    platform: Platform,
    options: Options,
) -> None:
    """Compare an image with what the lock states, if it states anything.

    Raises:
        Untrusted: the lock states another digest for the same inputs.
    """
    locked = stated_image(fingerprint, platform, options)
    _check_digest(derive.digest(image), locked, platform, options)


def _check_digest(digest: str, locked: str, platform: Platform, options: Options) -> None:
    if locked and locked != digest:
        raise Untrusted(
            f"the image for {platform} is {digest}, where the lock states {locked} for the "
            "same inputs",
            where=options.lock_name,
            help="if nobody changed the lock, please report this; else lock again",
        )
