"""`imagist push`: images go to a registry."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imagist.cli.answer import print_json
from imagist.cli.images import open_local, open_remote, read_reference, restrict_platforms
from imagist.cli.messages import Messages
from imagist.errors import NotFound, RequestError
from imagist.oci import derive
from imagist.registry.push import Push, push_images

if TYPE_CHECKING:
    from imagist.oci.reference import Reference


def run(values: argparse.Namespace) -> None:
    """Push, and print the reference with its digest."""
    from imagist.cli.registries import open_registries

    registries = open_registries(values)
    pushes = _find_all(values) if values.all_tags else [_find_one(values)]
    with Messages(values).meter(f"blobs to {pushes[0].references[0].registry}") as meter:
        push_images(
            registries,
            pushes,
            meter=meter,
            nondistributable=values.allow_nondistributable_artifacts,
        )
    _tell(pushes, values)


def _find_one(values: argparse.Namespace) -> Push:
    thing = open_local(values.image, values) or open_remote(values.image, values)
    return Push(restrict_platforms(thing, values), [read_reference(values.reference)])


def _find_all(values: argparse.Namespace) -> list[Push]:
    """Every named image of a layout, for the tag of that name."""
    from imagist.cli.registries import read_repository
    from imagist.store.layout import read_named

    read_repository(values.reference)
    folder = Path(values.image.removeprefix("oci:"))
    if not folder.is_dir():
        raise RequestError(
            f"{values.image} is no layout folder", help="--all-tags takes the images of a layout"
        )
    repository = values.reference.removeprefix("docker://")
    named = read_named(folder)
    if not named:
        raise NotFound(f"no image in {folder} has a name", help="push it without --all-tags")
    return [
        Push(restrict_platforms(thing, values), [_named(repository, name)])
        for name, thing in named.items()
    ]


def _named(repository: str, name: str) -> Reference:
    """The reference of an image in a layout; full names count by their tag."""
    from imagist.oci.reference import parse_reference

    _, slash, last = name.rpartition("/")
    tag = last.partition(":")[2] if slash or ":" in last else name
    return parse_reference(f"{repository}:{tag or 'latest'}")


def _tell(pushes: Sequence[Push], values: argparse.Namespace) -> None:
    lines = []
    for push in pushes:
        digest = derive.digest(push.thing)
        lines += [f"{str(each).partition('@')[0]}@{digest}" for each in push.references]
    if values.image_refs:
        from imagist.store.output import replace_file

        replace_file(Path(values.image_refs), "".join(f"{line}\n" for line in lines).encode())
    if values.json:
        print_json({"references": lines})
    else:
        sys.stdout.write("".join(f"{line}\n" for line in lines))
