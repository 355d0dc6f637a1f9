"""How much a store holds, and whether all of it is what it should be."""

from __future__ import annotations

import os
from typing import NamedTuple

from imagist.digest import Digest, sha256_stream
from imagist.store.store import Store


class Usage(NamedTuple):
    """How much a store holds."""

    blobs: int
    size: int
    """Bytes of the blobs."""
    images: int
    results: int


def measure(store: Store) -> Usage:
    """Count what is in a store."""
    with os.scandir(store.blobs.folder) as items:
        sizes = [item.stat().st_size for item in items]
    images = len(os.listdir(store.images))  # noqa: PTH208 - names only
    return Usage(len(sizes), sum(sizes), images, len(store.memo.rows()))


def remove_damaged(store: Store) -> list[Digest]:
    """Read every blob and remove those whose bytes have another digest than their name.

    Everything in a store can be fetched or built again; a damaged blob is worth nothing.
    """
    damaged = []
    for name in sorted(os.listdir(store.blobs.folder)):  # noqa: PTH208 - names only
        digest = Digest(f"sha256:{name}")
        if not store.has(digest):
            continue
        with store.open_blob(digest) as stream:
            whole = sha256_stream(stream)[0] == digest
        if not whole:
            store.path(digest).unlink()
            damaged.append(digest)
    return damaged
