"""`imagist build`: a declaration or a project becomes an image, and its digest the answer."""

from __future__ import annotations

import argparse

from imagist.cli.delivery import deliver, read_destination, tell
from imagist.cli.things import open_work


def run(values: argparse.Namespace) -> None:
    """Build, write where -o says or push where -t says, and print the digest."""
    to = read_destination(values)
    work = open_work(values, to)
    thing = work.recall() or work.build()
    if work.registries is None:
        deliver(thing, to, values)
    else:
        from imagist.cli.publishing import publish

        publish(work, thing)
    tell(thing, to, values)
