"""`imagist cache`: how large the store is, making it smaller, and reading it all again."""

from __future__ import annotations

import argparse
import sys

import msgspec

from imagist.cli.answer import print_json
from imagist.cli.stores import open_store
from imagist.errors import CheckFailed, Problem, RequestError
from imagist.store.prune import prune
from imagist.store.store import Store
from imagist.store.upkeep import measure, remove_damaged

_DAY = 24 * 3600.0


def run(values: argparse.Namespace) -> None:
    """Carry out one of the three, and print what came of it."""
    store = open_store(values)
    answer = {"info": _describe, "prune": _prune, "verify": _verify}[values.what](store, values)
    if values.json:
        print_json(answer)
        return
    if values.what == "prune":
        sys.stdout.write("removed:\n")
    for name, value in answer.items():
        sys.stdout.write(f"{name}: {value}\n")


def _describe(store: Store, values: argparse.Namespace) -> dict[str, object]:
    del values
    return {"folder": str(store.root), **msgspec.structs.asdict(measure(store))}


def _prune(store: Store, values: argparse.Namespace) -> dict[str, object]:
    older_than, max_size = _number(values, "older_than"), _number(values, "max_size")
    pruned = prune(
        store,
        older_than=None if older_than is None else older_than * _DAY,
        max_size=None if max_size is None else int(max_size),
    )
    return msgspec.structs.asdict(pruned)


def _verify(store: Store, values: argparse.Namespace) -> dict[str, object]:
    del values
    damaged = remove_damaged(store)
    advice = "build again what needs it"
    problems = [
        Problem(f"the blob {digest} was damaged; it has been removed", help=advice)
        for digest in damaged.blobs
    ]
    if damaged.results:
        what = "remembered results were damaged; they have been forgotten"
        problems.append(Problem(what, help="nothing is lost: the next build finds out again"))
    if problems:
        raise CheckFailed(problems)
    return {"blobs": measure(store).blobs, "damaged": 0}


def _number(values: argparse.Namespace, field: str) -> float | None:
    text = getattr(values, field)
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number < float("inf"):
        raise RequestError(f"--{field.replace('_', '-')} takes a number, not `{text}`")
    return number
