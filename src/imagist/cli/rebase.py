"""`imagist rebase`: an image on another base, without a layer being touched."""

from __future__ import annotations

import argparse

from msgspec.structs import replace

from imagist.cli.delivery import read_destination
from imagist.cli.edits import Source, aim, finish, open_source, open_whole
from imagist.cli.messages import Messages
from imagist.editing.rebase import StatedBase, choose_base, find_stated_base, rebase_images
from imagist.errors import NotFound, RequestError
from imagist.oci.mutate import make_index
from imagist.oci.reference import parse_reference


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
    name = str(new.reference) if new.reference else ""
    edited = rebase_images(source.thing, old.thing, new.thing, name=name, warn=messages.warn)
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


def _open_old(values: argparse.Namespace, stated: StatedBase, new: Source) -> Source:
    if values.old_base:
        return open_whole(values.old_base, values)
    if not stated.digests:
        raise RequestError(
            f"{values.image} does not state its base by the annotation "
            "org.opencontainers.image.base.digest",
            help="name the base it stands on with --old_base",
        )
    place = new.reference or (parse_reference(stated.name) if stated.name else None)
    bases: dict[str, Source] = {}
    for digest in stated.digests.values():
        if digest not in bases and place is not None:
            name = replace(place, tag="", digest=digest)
            bases[digest] = _open_stated(str(name), values)
        elif digest not in bases:
            bases[digest] = _open_kept(digest, values)
    if len(bases) == 1:
        return next(iter(bases.values()))
    # Each platform states its own image rather than the index of them all.
    images = (
        (platform, choose_base(bases[digest].thing, platform, "old"))
        for platform, digest in stated.digests.items()
    )
    return Source(make_index(images), None)


def _open_kept(digest: str, values: argparse.Namespace) -> Source:
    """A base that is stated without a name: only this store can have it."""
    try:
        return open_whole(f"store:{digest}", values)
    except NotFound:
        raise NotFound(
            f"{values.image} states its base by digest alone, and the store has not {digest}",
            help="name the base it stands on with --old_base",
        ) from None


def _open_stated(name: str, values: argparse.Namespace) -> Source:
    """A base that an image states: it is in a registry, whatever lies here under its name."""
    return open_whole(f"docker://{name}", values)
