"""Removing what the store need not keep.

1. Images and remembered results that were not used for `older_than` seconds are forgotten.
2. While what the rest needs is larger than `max_size`, the least recently used results are
   forgotten, and only then images. Results themselves count with their size.
3. Members of repositories that no manifest there names are dropped, once they are a day old:
   before, they may belong to an image that is being pushed.
4. Blobs that nothing needs any more are removed; without `older_than` and `max_size` this is all.

A blob is needed when an image consists of it, a remembered result names it, or a repository of the
registry has it. Uses are noted to the day. The store's lock is held alone, so nobody is half-way
through a build; a registry that runs waits with what it would commit, and goes on giving.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from imagist.errors import ImagistError
from imagist.oci import contents, lazy
from imagist.store.blobs import storage_error
from imagist.store.members import tidy
from imagist.store.memo import Remembered
from imagist.store.repositories import Repositories
from imagist.store.store import Store
from imagist.store.uploads import remove_abandoned

_HEX: Final = re.compile("[0-9a-f]{64}")


class Pruned(msgspec.Struct, frozen=True):
    """What was removed."""

    blobs: int
    size: int
    """Bytes of these blobs."""
    images: int
    results: int


class _Holder(msgspec.Struct, frozen=True):
    """Something that needs blobs: an image (a file in `images/`) or a remembered result."""

    used: float
    what: Path | Remembered
    blobs: frozenset[str]
    size: int = 0
    """Bytes of its own."""


def prune(store: Store, *, older_than: float | None = None, max_size: int | None = None) -> Pruned:
    """Remove what is not needed, as the head of this module says.

    Raises:
        RequestError: another process is using the store.
        InputError: the store cannot be written.
    """
    with store.alone():
        try:
            return _prune(store, older_than, max_size)
        except OSError as error:
            raise storage_error(error, store.root) from error


def _prune(store: Store, older_than: float | None, max_size: int | None) -> Pruned:
    store.blobs.remove_rests()
    repositories = Repositories(store.blobs)
    remove_abandoned(repositories)
    pinned = tidy(repositories)
    sizes = store.blob_sizes()
    holders = sorted([*_results(store), *_images(store)], key=_order)
    oldest = time.time() - older_than if older_than is not None else 0.0
    kept = [holder for holder in holders if holder.used >= oldest and holder.blobs <= sizes.keys()]
    if max_size is not None:
        kept = _shrink(kept, sizes, max_size, pinned)
    gone = set(holders) - set(kept)
    images = [holder.what for holder in gone if isinstance(holder.what, Path)]
    results = [holder.what for holder in gone if isinstance(holder.what, Remembered)]
    # References go before what they refer to.
    for image in images:
        image.unlink(missing_ok=True)
    store.memo.delete_all(results)
    unneeded = sizes.keys() - _needed(kept) - pinned
    for digest in unneeded:
        Path(store.blobs.place(digest)).unlink(missing_ok=True)
    return Pruned(len(unneeded), sum(sizes[d] for d in unneeded), len(images), len(results))


def _order(holder: _Holder) -> tuple[bool, float, str]:
    """Results before images, least recently used first."""
    return isinstance(holder.what, Path), holder.used, str(holder.what)


def _results(store: Store) -> Iterator[_Holder]:
    for row in store.memo.rows():
        yield _Holder(row.used, row, frozenset(row.blobs), row.size)


def _images(store: Store) -> Iterator[_Holder]:
    for item in _files(store.images):
        if not _HEX.fullmatch(item.name):  # not ours
            continue
        digest = f"sha256:{item.name}"
        try:
            thing = lazy.load_digest(store, digest)
            needed = frozenset(str(blob.digest) for blob in contents.blobs(thing))
        except ImagistError:
            needed = frozenset({digest, "damaged"})  # cannot be whole, so it is forgotten
        yield _Holder(item.stat().st_mtime, Path(item.path), needed)


def _files(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as items:
        return list(items)


def _needed(holders: Iterable[_Holder]) -> set[str]:
    return {digest for holder in holders for digest in holder.blobs}


def _shrink(
    holders: list[_Holder], sizes: dict[str, int], limit: int, pinned: set[str]
) -> list[_Holder]:
    """Leave out the first holders until what the others need is no larger than the limit.

    What is pinned counts, and stays.
    """
    users = dict.fromkeys(pinned & sizes.keys(), 1)
    for holder in holders:
        for digest in holder.blobs:
            users[digest] = users.get(digest, 0) + 1
    total = sum(sizes[digest] for digest in users) + sum(holder.size for holder in holders)
    for position, holder in enumerate(holders):
        if total <= limit:
            return holders[position:]
        total -= holder.size
        for digest in holder.blobs:
            users[digest] -= 1
            total -= sizes[digest] if not users[digest] else 0
    return []
