"""`imagist plan`: the digest that a reference will name, and what must move for that."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

import msgspec

from imagist.build.shipment import Cargo, Shipment, cargo_of, plan_shipments
from imagist.cli.answer import print_json, print_text
from imagist.cli.delivery import read_destination
from imagist.cli.images import align, one_line, short_digest
from imagist.cli.progress import format_size
from imagist.cli.things import Making, open_work
from imagist.errors import RequestError
from imagist.oci import derive


def run(values: argparse.Namespace) -> int:
    """Say what `apply` would move; with --check, exit with 1 if anything would."""
    digest, cargo, shipments = find_shipments(open_pushing(values))
    if values.json:
        print_json(_document(digest, cargo, shipments))
    else:
        print_text("\n".join(show(digest, each, full=values.verbose) for each in shipments))
    moves = any(shipment.before != digest for shipment in shipments)
    return 1 if values.check and moves else 0


def open_pushing(values: argparse.Namespace) -> Making:
    """The work on what is to be pushed.

    Raises:
        RequestError: nothing says where to.
    """
    values.output = ""
    to = read_destination(values)
    if not to.references:
        raise RequestError(
            "what must move depends on where it is to go", help="add `-t registry/repository:tag`"
        )
    return open_work(values, to)


def find_shipments(work: Making) -> tuple[str, list[Cargo], list[Shipment]]:
    """The digest, the images, and what must move for each reference.

    From memory or from what a lock states where that is enough; what nobody knows is built.

    Raises:
        ImagistError: it cannot be built, or a registry cannot be asked.
    """
    assert work.registries is not None  # noqa: S101 - there are references
    thing = work.recall()
    stated = None if thing is not None else work.stated()
    if stated is not None:
        digest, cargo = stated.digest, stated.cargo
    else:
        thing = thing or work.build()
        digest, cargo = derive.digest(thing), cargo_of(thing)
    return digest, cargo, plan_shipments(work.registries, digest, cargo, work.to.references)


def show(digest: str, shipment: Shipment, *, full: bool) -> str:
    """What must move for a reference, for a person."""
    return "".join(_show(digest, shipment, full=full))


def _show(digest: str, shipment: Shipment, *, full: bool) -> Iterator[str]:
    yield f"{shipment.reference}@{digest}\n"
    if shipment.before == digest:
        yield "  is there already\n"
        return
    rows = [
        ["  +", format_size(part.size), short_digest(part.digest, full=full), one_line(part.what)]
        for part in shipment.missing
    ]
    if rows:
        yield align(rows, right=(1,))
    count = len(shipment.missing)
    yield (
        f"  {count} {'blob' if count == 1 else 'blobs'} to move ({format_size(shipment.size)}), "
        f"{shipment.there} there already\n"
    )
    if shipment.before:
        yield f"  the tag moves from {short_digest(shipment.before, full=full)}\n"
    else:
        yield "  the tag is new\n"


def _document(digest: str, cargo: Sequence[Cargo], shipments: Sequence[Shipment]) -> object:
    return {
        "digest": digest,
        "platforms": {image.platform: {"digest": image.digest} for image in cargo},
        "references": [
            {
                "reference": str(shipment.reference),
                "before": shipment.before or None,
                "changed": shipment.before != digest,
                "blobs": [msgspec.structs.asdict(part) for part in shipment.missing],
                "size": shipment.size,
                "there": shipment.there,
            }
            for shipment in shipments
        ],
    }
