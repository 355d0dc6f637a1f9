"""`imagist pull`: an image comes from a registry."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from imagist.cli.answer import print_json
from imagist.cli.images import read_platform_names, read_reference
from imagist.cli.messages import Messages
from imagist.cli.stores import open_store
from imagist.errors import RequestError
from imagist.oci import derive
from imagist.oci.image import Image, Index
from imagist.oci.reference import Reference
from imagist.progress import Meter
from imagist.registry.client import Registries
from imagist.registry.source import gather, load_image
from imagist.store.store import Store


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
        write(thing, place, values.format, reference, store, registries, meter)
    digest = derive.digest(thing)
    if values.json:
        document = {"digest": digest, "media_type": thing.media_type}
        print_json(document | ({"output": place} if place else {}))
    else:
        sys.stdout.write(f"{digest}\n")


def write(
    thing: Image | Index,
    place: str,
    form: str,
    reference: Reference,
    store: Store,
    registries: Registries,
    meter: Meter,
) -> None:
    """Write an image to a path, or into the store where there is none."""
    if not place:
        store.add_image(thing, meter=meter, jobs=registries.jobs)
    elif form == "tarball" or (not form and place.endswith(".tar")):
        from imagist.store.archive import write_archive

        tags = [str(reference).partition("@")[0]] if reference.tag else []
        write_archive(thing, Path(place), tags=tags, meter=meter, jobs=registries.jobs)
    else:
        from imagist.store.layout import write_layout

        names = [reference.tag] if reference.tag else []
        write_layout(thing, Path(place), names=names, meter=meter, jobs=registries.jobs)


def _read_place(values: argparse.Namespace) -> str:
    """Where the image shall go; empty for the store."""
    from imagist.cli.delivery import check_output

    if values.output and values.path:
        raise RequestError("the path is given twice", help="leave -o out, or the second word")
    place = values.output or values.path or ""
    if place and not (values.format == "tarball" and not Path(place).is_dir()):
        check_output(place)
    if values.format and not place:
        raise RequestError("--format needs a path", help="name one: `-o image.tar`")
    return str(place)
