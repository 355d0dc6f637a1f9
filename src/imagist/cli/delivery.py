"""Where a finished image goes: to a path (-o), to registries (-t), or to the store alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from imagist.errors import NetworkError, Problem, RequestError
from imagist.oci import derive
from imagist.oci.image import Image, Index

if TYPE_CHECKING:
    from imagist.cli.places import Place
    from imagist.oci.reference import Reference
    from imagist.registry.client import Registries


class Destination(msgspec.Struct, frozen=True):
    """What -o and -t say."""

    place: Place | None = None
    """On this machine; None: nothing is written."""
    names: tuple[str, ...] = ()
    """What the image is called at the path."""
    references: tuple[Reference, ...] = ()
    """Where it is pushed; none where there is a path."""
    unplaced: tuple[str, ...] = ()
    """Those names to push to that name no registry, and so mean Docker Hub."""


def read_destination(values: argparse.Namespace) -> Destination:
    """What -o and -t say; beside a path, -t gives names, else it pushes.

    Raises:
        RequestError: an image cannot go there, or be called so.
    """
    if values.output:
        from imagist.cli.places import parse_place

        return Destination(parse_place(values.output), tuple(values.tag))
    if not values.tag:
        return Destination()
    from imagist.oci.reference import names_registry, parse_reference

    references = tuple(dict.fromkeys(map(parse_reference, values.tag)))
    for reference in references:
        if reference.digest:
            raise RequestError(
                f"-t takes a name to give, and {reference} has a digest",
                help=f"write {reference.registry}/{reference.repository}:TAG",
            )
    unplaced = tuple(name for name in values.tag if not names_registry(name))
    return Destination(references=references, unplaced=unplaced)


def deliver(thing: Image | Index, to: Destination, values: argparse.Namespace) -> None:
    """Write an image to its path, or push it; with neither there is nothing to do.

    Raises:
        InputError: the path cannot be written.
        NetworkError: a registry cannot be reached, or refuses.
    """
    if to.place is not None:
        from imagist.cli.messages import Messages
        from imagist.cli.places import write_place

        with Messages(values).meter(Path(to.place.path).name) as meter:
            write_place(thing, to.place, names=to.names, meter=meter)
    elif to.references:
        from imagist.cli.registries import open_registries

        with explain_names(to):
            push(thing, to.references, open_registries(values), values)


def ask_to_push(to: Destination, registries: Registries | None) -> None:
    """Find out before any work whether its result may be pushed, where it is to be.

    Raises:
        NetworkError: a registry cannot be reached, or refuses.
    """
    if registries is not None:
        with explain_names(to):
            for reference in to.references:
                registries.repository(reference).resolve(reference.tag, push=True)


@contextmanager
def explain_names(to: Destination) -> Iterator[None]:
    """Where a registry refuses, or is not reached, say which names mean one by not naming any."""
    try:
        yield
    except NetworkError as error:
        if not to.unplaced:
            raise
        names = ", ".join(f"`{name}`" for name in to.unplaced)
        what = f"{names} names no registry, and so means Docker Hub"
        advice = "write registry/repository:tag, as in localhost:5000/" + to.unplaced[0]
        raise type(error)([*error.problems, Problem(what, "-t", advice)]) from None


def push(
    thing: Image | Index,
    references: Sequence[Reference],
    registries: Registries,
    values: argparse.Namespace,
) -> list[Reference]:
    """Push an image under some names, and show how it goes; those that did not name it yet."""
    from imagist.cli.messages import Messages
    from imagist.registry.push import push_image

    with Messages(values).meter(f"blobs to {references[0].registry}") as meter:
        return push_image(registries, thing, references, meter=meter)


def tell(thing: Image | Index, to: Destination, values: argparse.Namespace) -> None:
    """Print the answer: the digest, with the names under which it was pushed."""
    digest = derive.digest(thing)
    pushed = [f"{reference}@{digest}" for reference in to.references]
    if values.json:
        from imagist.cli.answer import print_json

        print_json(describe(thing) | ({"references": pushed} if pushed else {}))
    else:
        sys.stdout.write("".join(f"{line}\n" for line in pushed or [digest]))


def describe(thing: Image | Index) -> dict[str, object]:
    """The digests of an image, and of all that it consists of."""
    images = (
        derive.images(thing) if isinstance(thing, Index) else [(derive.platform(thing), thing)]
    )
    platforms = {
        str(platform): {
            "digest": derive.digest(image),
            "layers": [
                {"digest": layer.digest, "size": layer.size, "diff_id": layer.diff_id}
                for layer in image.layers
            ],
        }
        for platform, image in images
    }
    return {
        "digest": derive.digest(thing),
        "media_type": thing.media_type,
        "platforms": platforms,
    }
