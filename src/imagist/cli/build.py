"""`imagist build`: a declaration or a project becomes an image, and its digest the answer."""

from __future__ import annotations

import argparse

from imagist.cli.delivery import Destination, deliver, read_destination, tell
from imagist.cli.things import is_project
from imagist.cli.work import Work
from imagist.errors import RequestError
from imagist.oci.image import Image, Index


def run(values: argparse.Namespace) -> None:
    """Build, write where -o says or push where -t says, and print the digest."""
    to = read_destination(values)
    if is_project(values.thing):
        from imagist.cli.project import build_project

        thing = build_project(values, to)
        deliver(thing, to, values)
    else:
        thing = _build_declared(values, to)
    tell(thing, to, values)


def _build_declared(values: argparse.Namespace, to: Destination) -> Image | Index:
    if values.base:
        raise RequestError(
            "--base is for projects",
            help="an image's YAML names its base itself: `contents: {baseimage: {image: ...}}`",
        )
    work = Work(values, to)
    thing = work.recall() or work.build()
    if work.registries is None:
        deliver(thing, to, values)
    else:
        from imagist.cli.publishing import publish

        publish(work, thing)
    return thing
