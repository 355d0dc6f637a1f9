"""Copying between repositories: images with what refers to them, each byte at most once.

Signatures, attestations and SBOMs go along by default: referrers, theirs too, and what cosign
puts under tags made of a digest. Nothing is serialised anew, so every digest stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from imagist.digest import Digest, sha256
from imagist.errors import InputError
from imagist.oci import contents, derive
from imagist.oci.image import Image, Index
from imagist.oci.reference import Reference
from imagist.oci.referrer import Companion, fallback_tag
from imagist.progress import SILENT, Meter
from imagist.registry.client import Registries
from imagist.registry.companions import Beside, RemoteCompanions
from imagist.registry.push import Push, push_images
from imagist.registry.source import RegistrySource, gather
from imagist.registry.tree import COSIGN

Choose = Callable[[Image | Index], Image | Index]


class Copied(msgspec.Struct, frozen=True):
    """What became of one copy."""

    reference: Reference
    digest: Digest | None
    """None where the tag was there, and was to be left alone."""
    companions: int
    """Referrers and signatures that went along."""


def copy_images(
    registries: Registries,
    pairs: Sequence[tuple[Reference, Reference]],
    *,
    choose: Choose | None = None,
    referrers: bool = True,
    clobber: bool = True,
    nondistributable: bool = False,
    meter: Meter = SILENT,
) -> list[Copied]:
    """Copy images, each from the first to the second of a pair of references.

    Args:
        registries: where both are.
        pairs: from where to where.
        choose: what of an image to copy, such as some platforms of an index.
        referrers: whether what refers to an image goes along.
        clobber: whether tags that are there may be moved.
        nondistributable: copy layers, too, that are not meant to be distributed.
        meter: counts the bytes of blobs.

    Raises:
        NotFound: there is no such image.
        NetworkError: a registry cannot be reached, or refuses.
    """

    def load(pair: tuple[Reference, Reference]) -> tuple[Image | Index, list[Companion]] | None:
        origin, target = pair
        there = registries.repository(target)
        if not clobber and target.tag and there.resolve(target.tag, push=True) is not None:
            return None
        source = RegistrySource(registries.repository(origin))
        thing = source.load(origin.digest or origin.tag)
        thing = choose(thing) if choose is not None else thing
        beside = RemoteCompanions(source.repository)
        return thing, find_companions(beside, thing) if referrers else []

    loaded = registries.each(load, pairs)
    pushes: list[Push] = []
    told: list[Copied] = []
    for (_, target), item in zip(pairs, loaded, strict=True):
        if item is None:
            told.append(Copied(target, None, 0))
            continue
        thing, companions = item
        gather(registries, thing)
        pushes += pushes_of(companions, target)
        pushes.append(Push(thing, [target]))
        told.append(Copied(target, derive.digest(thing), len(companions)))
    push_images(registries, pushes, meter=meter, nondistributable=nondistributable)
    return told


def pushes_of(companions: Iterable[Companion], beside: Reference) -> list[Push]:
    """How companions are pushed into the repository of a reference."""
    return [
        Push(each.thing, [replace(beside, tag=each.tag, digest=derive.digest(each.thing))])
        for each in companions
    ]


_DEEPEST: Final = 8
"""Referrers of referrers that are followed."""
_MOST: Final = 10_000


def find_companions(beside: Beside, thing: Image | Index) -> list[Companion]:
    """What refers to an image, to the parts of an index, and to those referrers themselves.

    Raises:
        NetworkError: the registry cannot be reached, or refuses.
        InputError: a document is not what the specification allows.
    """
    found: dict[str, Companion] = {}
    waiting = [(str(derive.digest(part)), 0) for part in contents.manifests(thing)]
    seen = {digest for digest, _ in waiting}
    while waiting:
        digest, depth = waiting.pop()
        for item in beside.referrers(digest):
            if item.digest not in seen:
                if depth >= _DEEPEST or len(seen) > _MOST:
                    raise InputError(f"there is no end of what refers to {derive.digest(thing)}")
                seen.add(item.digest)
                waiting.append((item.digest, depth + 1))
                found[item.digest] = Companion(beside.load(item.digest), "")
        for suffix in COSIGN:
            tag = fallback_tag(digest) + suffix
            tagged = beside.tagged(tag)
            if tagged is not None:
                found[tag] = Companion(beside.load(sha256(tagged[0])), tag)
    return list(found.values())
