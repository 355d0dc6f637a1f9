"""`imagist rebase`: an image on another base, without a layer being touched."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from imagist.cli.delivery import read_destination
from imagist.cli.edits import Source, aim, finish, open_source, open_whole
from imagist.cli.messages import Messages
from imagist.cli.stores import open_store
from imagist.editing.rebase import StatedBase, choose_base, find_stated_base, rebase_images
from imagist.errors import ImagistError, NetworkError, NotFound, Problem, RequestError
from imagist.oci import derive
from imagist.oci.image import Image, Index
from imagist.oci.mutate import make_index
from imagist.oci.platform import Platform
from imagist.oci.reference import Reference, parse_reference

_NAME_IT: Final = "name the base it stands on with --old_base"


def run(values: argparse.Namespace) -> None:
    """Rebase, bring the image where the flags say, and print its digest."""
    to = read_destination(values)
    messages = Messages(values)
    source = open_source(values.image, values)
    to = aim(to, source)
    stated = StatedBase()
    if not (values.old_base and values.new_base):
        stated = find_stated_base(source.thing)
    new = _open_new(values, stated)
    old = _open_old(values, stated, new)
    edited = rebase_images(
        source.thing, old, new.thing, reference=new.reference, warn=messages.warn
    )
    finish(edited, to, values)


def _open_new(values: argparse.Namespace, stated: StatedBase) -> Source:
    if values.new_base:
        return open_whole(values.new_base, values)
    if not stated.name:
        raise RequestError(
            f"{values.image} does not state its base by the annotation "
            "org.opencontainers.image.base.name",
            help="name the bases with --old_base and --new_base",
        )
    return _open_stated(stated.name, values)


def _open_old(values: argparse.Namespace, stated: StatedBase, new: Source) -> Image | Index:
    """The base that is named, or else the one that is stated: for each platform its own.

    A base that was built here is in no registry, so the store is asked first.
    """
    if values.old_base:
        return open_whole(values.old_base, values).thing
    if not stated.digests:
        raise RequestError(
            f"{values.image} does not state its base by the annotation "
            "org.opencontainers.image.base.digest",
            help=_NAME_IT,
        )
    place = parse_reference(stated.name) if stated.name else new.reference
    bases: dict[str, Image | Index] = {}
    problems: list[Problem] = []
    for digest in dict.fromkeys(stated.digests.values()):
        platforms = [platform for platform, each in stated.digests.items() if each == digest]
        try:
            kept = _find_kept(digest, platforms, values)
            bases[digest] = kept or _fetch_old(digest, place, values)
        except NotFound as error:
            problems += error.problems
    if problems:
        raise NotFound(problems)
    if len(bases) == 1:
        return next(iter(bases.values()))
    # Each platform states its own image rather than the index of them all.
    images = (
        (platform, choose_base(bases[digest], platform, "old"))
        for platform, digest in stated.digests.items()
    )
    return make_index(images)


def _find_kept(
    digest: str, platforms: Iterable[Platform], values: argparse.Namespace
) -> Image | Index | None:
    """A base of which the store has what is read of it: documents, and none of the layers."""
    try:
        base = open_store(values).image(digest)
        for platform in platforms:
            derive.config(choose_base(base, platform, "old"))
    except ImagistError:
        return None
    return base


def _fetch_old(digest: str, place: Reference | None, values: argparse.Namespace) -> Image | Index:
    """A base that another machine built or pulled: where it has its name, if it has one."""
    missing = f"{values.image} is built on the base {digest}, which the store has not"
    if place is None:
        raise NotFound(missing, help=_NAME_IT)
    sought = replace(place, tag="", digest=digest)
    try:
        return _open_stated(str(sought), values).thing
    except NotFound:
        where = f"{place.registry}/{place.repository}"
        raise NotFound(f"{missing}, nor has {where}", help=_NAME_IT) from None
    except NetworkError as error:
        raise type(error)([*error.problems, Problem(missing, help=_NAME_IT)]) from None


def _open_stated(name: str, values: argparse.Namespace) -> Source:
    """A base that an image states: it is in a registry, whatever lies here under its name."""
    return open_whole(f"docker://{name}", values)
