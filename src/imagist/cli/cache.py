"""`imagist cache`: how large the store is, and making it smaller."""

from __future__ import annotations

import argparse
import sys

from imagist.cli.answer import print_json
from imagist.cli.session import open_store
from imagist.errors import CheckFailed, Problem, RequestError
from imagist.store.prune import prune
from imagist.store.store import Store
from imagist.store.upkeep import measure, remove_damaged

_DAY = 24 * 3600.0


def run(values: argparse.Namespace) -> None:
    """Say what is there, remove what was not used, or read all of it."""
    store = open_store(values)
    answer: dict[str, object]
    if values.what == "info":
        answer = {"folder": str(store.root), **measure(store)._asdict()}
    elif values.what == "verify":
        answer = _verify(store)
    else:
        older_than, max_size = _number(values, "older_than"), _number(values, "max_size")
        pruned = prune(
            store,
            older_than=older_than * _DAY if older_than is not None else None,
            max_size=int(max_size) if max_size is not None else None,
        )
        answer = pruned._asdict()
    if values.json:
        print_json(answer)
        return
    for name, value in answer.items():
        sys.stdout.write(f"{name}: {value}\n")


def _verify(store: Store) -> dict[str, object]:
    """Read every blob; damaged ones are removed, so that they are fetched or built again."""
    damaged = remove_damaged(store)
    if damaged:
        advice = "it was removed; the next build gets it again"
        raise CheckFailed(Problem(f"the blob {each} is damaged", help=advice) for each in damaged)
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
