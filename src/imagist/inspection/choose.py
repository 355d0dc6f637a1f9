"""Which images of an index are meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from imagist.errors import InputError, NotFound, RequestError
from imagist.oci import derive, mediatype
from imagist.oci.image import Image, Index
from imagist.oci.manifest import Descriptor
from imagist.oci.mutate import keep_images
from imagist.oci.platform import Platform, parse_platform

_DEPTH: Final = 8
"""Indexes within indexes that are followed."""


class Found(msgspec.Struct, frozen=True):
    """A member of an index: a container image where `image` is there, or something else."""

    platform: Platform | None
    image: Image | None
    descriptor: Descriptor
    note: str = ""
    """Why it is no image: `artifact`, `attestation`, `absent`, `unknown`."""


class Paired(msgspec.Struct, frozen=True):
    """The images of two sources by platform."""

    both: list[tuple[str, Image, Image]]
    only_old: list[Platform]
    only_new: list[Platform]


def survey(thing: Image | Index) -> list[Found]:
    """The images of an index, of the indexes in it, and what else they name; or the one image.

    An image that the medium does not hold is noted as absent: layouts may lack some of an index
    (image-layout.md).

    Raises:
        InputError: a document is not what the image specification allows.
    """
    if isinstance(thing, Index):
        return list(_members(thing, 0, set()))
    return [_judge(thing, derive.describe_image(thing))]


def choose_images(thing: Image | Index, names: Sequence[str]) -> list[Found]:
    """The container images for some platforms; without names all of them.

    Args:
        thing: where to look.
        names: platforms as `parse_platform` takes them, or as an index writes them.

    Raises:
        NotFound: there is none for a platform, or none at all.
        InputError: a document is not what the image specification allows.
    """
    found = [item for item in survey(thing) if item.image is not None]
    chosen = [item for item in found if not names or any(_fits(item, name) for name in names)]
    for name in names:
        if not any(_fits(item, name) for item in found):
            raise _nothing_for(name, thing, found)
    if not chosen:
        raise NotFound(f"{derive.digest(thing)} has no container image")
    return chosen


def choose_image(thing: Image | Index, names: Sequence[str], host: Platform | None) -> Image:
    """The one image that is meant: by name, else the only one, else the one for the host.

    Raises:
        NotFound: there is none for the platform, or none at all.
        RequestError: several could be meant; the error lists them.
    """
    found = choose_images(thing, names)
    if len(found) > 1 and not names and host is not None:
        found = [
            item for item in found if item.platform and is_alike(host, item.platform)
        ] or found
    first = found[0].image
    if len(found) > 1 or first is None:
        have = ", ".join(str(item.platform) for item in found)
        raise RequestError(
            f"one image is needed, but {derive.digest(thing)} has several: {have}",
            help=f"name one: `--platform {found[0].platform}`",
        )
    return first


def restrict(thing: Image | Index, names: Sequence[str]) -> Image | Index:
    """What of an index is for some platforms: one image as itself, several as an index.

    Descriptors that state platforms suffice; then no other image is looked at.

    Args:
        thing: where to look; without names it stays as it is.
        names: platforms as `choose_images` takes them.

    Raises:
        NotFound: there is none for a platform.
        InputError: a document is not what the image specification allows.
    """
    if not names or "all" in names:
        return thing
    if isinstance(thing, Index):
        stated = [
            Found(item.platform, None, item)
            for item in derive.index_manifest(thing).manifests
            if item.media_type in mediatype.MANIFESTS
        ]
        meant = [item for item in stated if any(_fits(item, name) for name in names)]
        if meant and all(any(_fits(item, name) for item in meant) for name in names):
            if len(meant) == 1:
                return thing.child(meant[0].descriptor)
            return keep_images(thing, {item.descriptor.digest for item in meant})
    found = choose_images(thing, names)
    if len(found) > 1 and isinstance(thing, Index):
        return keep_images(thing, {item.descriptor.digest for item in found})
    image = found[0].image
    assert image is not None  # noqa: S101 - `choose_images` gives no others
    return image


def pair_images(old: Image | Index, new: Image | Index, names: Sequence[str]) -> Paired:
    """The images for the same platforms; two single images are a pair whatever they are for.

    Raises:
        NotFound: a side has none for a platform that was named, or none at all.
        InputError: a document is not what the image specification allows.
    """
    sides = [_by_platform(choose_images(thing, names)) for thing in (old, new)]
    if not isinstance(old, Index) and not isinstance(new, Index):
        [(platform, _)] = sides[0].values()
        return Paired([(str(platform), old, new)], [], [])
    both = [
        (str(platform), image, sides[1][key][1])
        for key, (platform, image) in sides[0].items()
        if key in sides[1]
    ]
    alone = [
        [platform for key, (platform, _) in side.items() if key not in other]
        for side, other in (sides, sides[::-1])
    ]
    return Paired(both, *alone)


def _by_platform(found: Sequence[Found]) -> dict[tuple[str, int], tuple[Platform, Image]]:
    """Images by platform, and their place among those that an index has for the same."""
    images: dict[tuple[str, int], tuple[Platform, Image]] = {}
    for item in found:
        if item.platform is None or item.image is None:
            continue
        name = str(item.platform).replace("arm64/v8", "arm64")
        place = sum(known == name for known, _ in images)
        images[name, place] = item.platform, item.image
    return images


def is_alike(wanted: Platform, found: Platform) -> bool:
    """Whether an image for a platform is what was asked for; arm64 has one variant, v8."""
    if (wanted.os, wanted.architecture) != (found.os, found.architecture):
        return False
    if wanted.os_version and wanted.os_version != found.os_version:
        return False
    variants = [platform.variant for platform in (wanted, found)]
    if wanted.architecture == "arm64":
        variants = [variant or "v8" for variant in variants]
    return variants[0] == variants[1] or not wanted.variant


def _fits(item: Found, name: str) -> bool:
    if item.platform is None:
        return False
    if name in {"all", str(item.platform), item.platform.architecture}:
        return True
    try:
        return is_alike(parse_platform(name), item.platform)
    except RequestError:  # none that is built for, but others have more
        return False


def _nothing_for(name: str, thing: Image | Index, found: Sequence[Found]) -> NotFound:
    have = ", ".join(str(item.platform) for item in found) or "none"
    return NotFound(f"{derive.digest(thing)} has no image for `{name}`", help=f"it has {have}")


def _members(index: Index, depth: int, seen: set[str]) -> Iterator[Found]:
    if depth > _DEPTH:
        raise InputError(
            f"indexes are nested more than {_DEPTH} deep above {derive.digest(index)}"
        )
    for item in derive.index_manifest(index).manifests:
        if not derive.is_child(item):
            yield Found(item.platform, None, item, "unknown")
            continue
        try:
            child = index.child(item)
        except NotFound:
            yield Found(item.platform, None, item, "absent")
            continue
        if isinstance(child, Index):
            if item.digest not in seen:  # one that is named twice says nothing new
                seen.add(item.digest)
                yield from _members(child, depth + 1, seen)
        else:
            yield _judge(child, item)


def _judge(image: Image, item: Descriptor) -> Found:
    """An image with its platform, unless it is something else in the form of an image."""
    if item.platform is not None and item.platform.architecture == "unknown":
        return Found(item.platform, None, item, "attestation")
    if not derive.is_image_config(derive.manifest(image).config):
        return Found(item.platform, None, item, "artifact")
    return Found(item.platform or derive.platform(image), image, item)
