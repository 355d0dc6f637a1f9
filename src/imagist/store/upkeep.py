"""How much a store holds, and whether all of it is what it should be."""

from __future__ import annotations

import errno
import os

import msgspec

from imagist.digest import Digest, sha256_stream
from imagist.errors import InputError, NotFound
from imagist.store.blobs import storage_error
from imagist.store.store import Store


class Usage(msgspec.Struct, frozen=True):
    """How much a store holds."""

    blobs: int
    size: int
    """Bytes of the blobs."""
    images: int
    results: int
    results_size: int
    """Bytes of the remembered results."""


class Damage(msgspec.Struct, frozen=True):
    """What a store held that was not what it should be."""

    blobs: list[Digest]
    results: int


def measure(store: Store) -> Usage:
    """Count what is in a store."""
    sizes = store.blob_sizes()
    images = len(os.listdir(store.images))  # noqa: PTH208 - names only
    rows = store.memo.rows()
    return Usage(len(sizes), sum(sizes.values()), images, len(rows), sum(r.size for r in rows))


def remove_damaged(store: Store) -> Damage:
    """Read everything and remove what changed since it was written.

    Everything in a store can be fetched or built again; what is damaged is worth nothing.

    Raises:
        InputError: something cannot be read or removed.
    """
    results = store.memo.remove_damaged()
    digests = map(Digest, sorted(store.blob_sizes()))
    return Damage([digest for digest in digests if _remove_if_damaged(store, digest)], results)


def _remove_if_damaged(store: Store, digest: Digest) -> bool:
    try:
        stream = store.open_blob(digest)
    except NotFound:
        return False  # another process removed it in the meantime
    with stream:
        try:
            if sha256_stream(stream)[0] == digest:
                return False
        except OSError as error:
            if error.errno != errno.EIO:  # what the disk cannot read is damaged
                raise InputError(f"the blob {digest} cannot be read: {error.strerror}") from error
        place = store.blobs.place(digest)
        try:
            # Another process may have found the same, and a third one written it anew.
            if os.path.samestat(os.fstat(stream.fileno()), os.stat(place)):  # noqa: PTH116
                os.unlink(place)  # noqa: PTH108 - str paths
        except FileNotFoundError:
            pass
        except OSError as error:
            raise storage_error(error, store.root) from error
    return True
