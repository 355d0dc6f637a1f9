"""Pushing images: only blobs that are missing, then manifests, and tags when all is there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from imagist.digest import Digest
from imagist.errors import NotFound, RequestError
from imagist.oci import contents, derive, mediatype
from imagist.oci.contents import Blob
from imagist.oci.image import Image, Index
from imagist.oci.manifest import Descriptor
from imagist.oci.reference import Reference
from imagist.progress import SILENT, Meter
from imagist.registry.client import Registries
from imagist.registry.repository import Repository
from imagist.registry.upload import SMALL
from imagist.store.parallel import Brake

_FEW: Final = 3
"""Large blobs that are asked for one by one; of more a manifest may tell in one request."""


class Push(msgspec.Struct, frozen=True):
    """What shall be where."""

    thing: Image | Index
    references: Sequence[Reference]


class _Target(msgspec.Struct, frozen=True):
    """One image for one reference."""

    thing: Image | Index
    digest: Digest
    repository: Repository
    reference: Reference

    @property
    def tag(self) -> str:
        """What it is to be called; empty where the digest is enough."""
        return self.reference.tag


class _Wanted(msgspec.Struct, frozen=True):
    """One blob that a repository must have."""

    repository: Repository
    blob: Blob


def push_image(
    registries: Registries,
    thing: Image | Index,
    references: Sequence[Reference],
    *,
    meter: Meter = SILENT,
    nondistributable: bool = False,
) -> list[Reference]:
    """Push an image or index under some names; see `push_images`."""
    pushes = [Push(thing, references)]
    return push_images(registries, pushes, meter=meter, nondistributable=nondistributable)


def push_images(
    registries: Registries,
    pushes: Sequence[Push],
    *,
    meter: Meter = SILENT,
    nondistributable: bool = False,
) -> list[Reference]:
    """Push images: each blob once, whoever shares it; what a registry has is not sent.

    All blobs come before all manifests, children before their indexes, and tags last, so that
    nobody sees an image that is not whole. What is pushed already costs one request a tag.

    Args:
        registries: where to.
        pushes: what, and under which names.
        meter: counts the bytes of blobs.
        nondistributable: push layers, too, that are not meant to be distributed.

    Returns:
        The references that did not name their images yet, in order.

    Raises:
        RequestError: a reference has a digest that the image has not.
        Untrusted: a blob is not what its digest says.
        NetworkError: a registry cannot be reached, or refuses.
    """
    targets = [target for push in pushes for target in _targets(registries, push)]
    open_ones = _without_done(registries, targets)
    lists = registries.each(lambda t: _list_missing(t, nondistributable), open_ones)
    _put_blobs(registries, [wanted for found in lists for wanted in found or ()], meter)
    partly = [t for t, found in zip(open_ones, lists, strict=True) if found is not None]
    _put_manifests(registries, partly)
    registries.each(_put_tag, open_ones)
    return [target.reference for target in open_ones]


def missing_blobs(
    repository: Repository, thing: Image | Index, *, nondistributable: bool = False
) -> list[Blob]:
    """The configurations and layers of an image that a repository lacks; nothing is sent.

    Raises:
        NetworkError: the registry cannot be reached, or refuses.
    """
    if repository.resolve(derive.digest(thing)) is not None:
        return []
    wanted = _blobs(thing, nondistributable)
    return [blob for blob in wanted if not repository.has_blob(blob.digest)]


def _targets(registries: Registries, push: Push) -> list[_Target]:
    digest = derive.digest(push.thing)
    for reference in push.references:
        if reference.digest not in {"", digest}:
            raise RequestError(
                f"{reference} cannot be pushed: the image is {digest}",
                help="leave the digest out; it is told when the image is pushed",
            )
    return [
        _Target(push.thing, digest, registries.repository(reference), reference)
        for reference in push.references
    ]


def _without_done(registries: Registries, targets: Sequence[_Target]) -> list[_Target]:
    """Those whose tag is not yet what it shall be; what else it is tells what blobs are there."""

    def ask(target: _Target) -> Descriptor | None:
        return target.repository.resolve(target.tag or target.digest, push=True)

    found = zip(targets, registries.each(ask, targets), strict=True)
    left = [pair for pair in found if pair[1] is None or pair[1].digest != pair[0].digest]
    registries.each(lambda pair: _learn(*pair), left)
    return [target for target, _ in left]


def _learn(target: _Target, predecessor: Descriptor | None) -> None:
    """See which blobs the image had that a tag named before: most are often the same."""
    if predecessor is None:
        return
    blobs = _blobs(target.thing, nondistributable=False)
    if sum(blob.size > SMALL for blob in blobs) <= _FEW:
        return
    try:
        found = target.repository.get_manifest(predecessor.digest)
        if found.media_type in mediatype.INDEXES and isinstance(target.thing, Index):
            wanted = {item.platform for item in derive.index_manifest(target.thing).manifests}
            for item in derive.parse_index(found.raw).manifests:
                if item.platform in wanted and derive.is_child(item):
                    target.repository.get_manifest(item.digest)
    except NotFound:
        pass  # moved or deleted in the meantime: then nothing is known


def _blobs(thing: Image | Index, nondistributable: bool) -> list[Blob]:
    found: dict[str, Blob] = {}
    for part in contents.manifests(thing):
        if not isinstance(part, Index):
            for blob in contents.image_blobs(part, nondistributable=nondistributable):
                found.setdefault(blob.digest, blob)
    return list(found.values())


def _list_missing(target: _Target, nondistributable: bool) -> list[_Wanted] | None:
    """The blobs that the repository is not known to have; None where it lacks only the tag."""
    repository = target.repository
    unknown = [
        blob
        for blob in _blobs(target.thing, nondistributable)
        if not repository.is_known_to_hold(blob.digest)
    ]
    many = sum(blob.size > SMALL for blob in unknown) > _FEW
    if target.tag and many and repository.resolve(target.digest, push=True) is not None:
        return None
    return [_Wanted(repository, blob) for blob in unknown]


def _put_blobs(registries: Registries, wanted: Iterable[_Wanted], meter: Meter) -> None:
    """Each blob once to each repository; where several of a registry want it, one after another.

    The first upload makes all others mounts.
    """
    groups: dict[tuple[str, str], dict[str, _Wanted]] = {}
    for item in wanted:
        key = (item.repository.registry, item.blob.digest)
        groups.setdefault(key, {}).setdefault(item.repository.name, item)
    total = sum(item.blob.size for group in groups.values() for item in group.values())
    brake = Brake(meter)
    brake.expect(total)

    def put(group: Iterable[_Wanted]) -> None:
        for item in group:
            blob = item.blob
            sent = item.repository.put_blob(blob, meter=brake)
            if not sent:
                brake.add(blob.size)
            brake.finish(blob.digest, remembered=not sent)

    # The largest first: the last one then ends soon after the others.
    ordered = sorted(groups.values(), key=lambda g: -next(iter(g.values())).blob.size)
    registries.each(lambda group: put(group.values()), ordered, brake=brake)


def _put_manifests(registries: Registries, targets: Iterable[_Target]) -> None:
    """Everything that its tag does not bring: by height, so that children come first."""
    levels: dict[int, dict[tuple[str, str, str], tuple[Repository, Image | Index]]] = {}
    targets = list(targets)
    for target in targets:
        for part, height in _heights(target.thing).values():
            # Of several, a registry that refuses must do so before another one has the tag.
            if derive.digest(part) == target.digest and target.tag and len(targets) == 1:
                continue
            repository = target.repository
            key = (repository.registry, repository.name, derive.digest(part))
            levels.setdefault(height, {})[key] = (repository, part)
    for height in sorted(levels):
        registries.each(_put_part, levels[height].values())


def _put_part(item: tuple[Repository, Image | Index]) -> None:
    repository, part = item
    if repository.is_known_to_have_manifest(derive.digest(part)):
        return
    repository.put_manifest(part.raw_manifest, part.media_type)


def _put_tag(target: _Target) -> None:
    if target.tag:
        thing = target.thing
        target.repository.put_manifest(thing.raw_manifest, thing.media_type, tag=target.tag)


def _heights(thing: Image | Index) -> dict[str, tuple[Image | Index, int]]:
    """Each part of an image by its digest, with how many levels of parts are below it."""
    found: dict[str, tuple[Image | Index, int]] = {}
    for part in contents.manifests(thing):
        height = 0
        if isinstance(part, Index):
            names = [item.digest for item in derive.index_manifest(part).manifests]
            height = 1 + max((found[name][1] for name in names if name in found), default=-1)
        found[derive.digest(part)] = (part, height)
    return found
