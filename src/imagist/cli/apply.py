"""`imagist apply`: a plan carried out, so that references name what a declaration becomes."""

from __future__ import annotations

import argparse
import sys

from imagist.build.shipment import cargo_of, plan_shipments
from imagist.cli.delivery import tell
from imagist.cli.plan import open_pushing, show
from imagist.cli.publishing import publish
from imagist.oci import derive


def run(values: argparse.Namespace) -> None:
    """Say what moves, move it, and print the references with the digest."""
    work = open_pushing(values)
    thing = work.recall() or work.build()
    if not values.quiet and not values.json:
        assert work.registries is not None  # noqa: S101 - `open_pushing` sees to it
        digest = derive.digest(thing)
        shipments = plan_shipments(work.registries, digest, cargo_of(thing), work.to.references)
        sys.stderr.write("\n".join(show(digest, each, full=values.verbose) for each in shipments))
    publish(work, thing)
    tell(thing, work.to, values)
