"""`imagist cache`: how large the store is, and making it smaller."""

from __future__ import annotations

import argparse
import sys

from imagist.cli.answer import print_json
from imagist.cli.session import open_store
from imagist.errors import RequestError

_DAY = 24 * 3600.0


def run(values: argparse.Namespace) -> None:
    """Say what is there, or remove what was not used."""
    store = open_store(values)
    if values.what == "info":
        blobs = [item.stat().st_size for item in store.blobs.folder.iterdir()]
        images = sum(1 for _ in store.images.iterdir())
        answer = {
            "folder": str(store.root),
            "blobs": len(blobs),
            "size": sum(blobs),
            "images": images,
        }
    else:
        older_than, max_size = _number(values, "older_than"), _number(values, "max_size")
        pruned = store.prune(
            older_than=older_than * _DAY if older_than is not None else None,
            max_size=int(max_size) if max_size is not None else None,
        )
        answer = {"removed": dict(pruned._asdict())}
    if values.json:
        print_json(answer)
        return
    for name, value in answer.items():
        sys.stdout.write(f"{name}: {value}\n")


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
