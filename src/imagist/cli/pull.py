"""`imagist pull`: an image comes from a registry."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from msgspec.structs import replace

from imagist.cli.answer import print_json
from imagist.cli.images import read_platform_names, read_reference
from imagist.cli.messages import Messages
from imagist.cli.places import Place, parse_place, write_place
from imagist.cli.stores import open_store
from imagist.errors import RequestError
from imagist.oci import derive
from imagist.oci.reference import Reference
from imagist.registry.source import gather, load_image


def run(values: argparse.Namespace) -> None:
    """Fetch what the store has not, and print the digest."""
    from imagist.cli.registries import open_registries

    reference = read_reference(values.reference)
    place = _read_place(values)
    registries = open_registries(values)
    store = open_store(values)
    thing = load_image(registries, reference, store=store)
    names = read_platform_names(values)
    if names:
        from imagist.inspection.choose import restrict

        thing = restrict(thing, names)
    gather(registries, thing)
    with Messages(values).meter(f"blobs of {reference}") as meter:
        if place is None:
            store.add_image(thing, meter=meter, jobs=registries.jobs)
        else:
            names = [_name(reference, place)] if reference.tag else []
            write_place(thing, place, names=names, meter=meter, jobs=registries.jobs)
    digest = derive.digest(thing)
    if values.json:
        document = {"digest": digest, "media_type": thing.media_type}
        print_json(document | ({"output": place.path} if place else {}))
    else:
        sys.stdout.write(f"{digest}\n")


def _read_place(values: argparse.Namespace) -> Place | None:
    """Where the image shall go; None for the store."""
    if values.output and values.path:
        raise RequestError("the path is given twice", help="leave -o out, or the second word")
    text = values.output or values.path or ""
    if not text:
        if values.format:
            raise RequestError("--format needs a path", help="name one: `-o image.tar`")
        return None
    if values.format == "tarball" and not Path(text).is_dir():
        return Place(text, "", is_archive=True)
    place = parse_place(text)
    return replace(place, is_archive=False) if values.format == "oci" else place


def _name(reference: Reference, place: Place) -> str:
    """What the image is called there: archives know whole names, layouts tags."""
    return str(reference).partition("@")[0] if place.is_archive else reference.tag
