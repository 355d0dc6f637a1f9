"""`imagist build`: a declaration or a project becomes an image, and its digest the answer."""

from __future__ import annotations

import argparse

from imagist.cli.delivery import deliver, read_destination, tell
from imagist.cli.things import Making, open_work
from imagist.oci.image import Image, Index


def run(values: argparse.Namespace) -> None:
    """Build, write where -o says or push where -t says, and print the digest."""
    if values.watch:
        _watch(values)
        return
    work = open_work(values, read_destination(values))
    _bring(work, work.recall() or work.build())


def _watch(values: argparse.Namespace) -> None:
    from imagist.cli.watch import build_again

    def begin() -> Making:
        # Work changes what it is given: a lock becomes the declaration that it is of.
        return open_work(argparse.Namespace(**vars(values)), read_destination(values))

    build_again(values, begin, _bring)


def _bring(work: Making, thing: Image | Index) -> None:
    """Bring an image where it goes, and tell its digest."""
    if work.registries is None:
        deliver(thing, work.to, work.values)
    else:
        from imagist.cli.publishing import publish

        publish(work, thing)
    tell(thing, work.to, work.values)
