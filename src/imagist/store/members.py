"""What repositories need of a store, and tidying them: the registry's part of `prune`."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Final

from imagist.errors import ImagistError
from imagist.oci.manifest import AnyManifest, decode
from imagist.store.repositories import Repositories, Repository

GRACE: Final = 86_400.0
"""Seconds that a blob has to be named by a manifest: it may belong to an image on its way."""


def tidy(repositories: Repositories, grace: float = GRACE) -> set[str]:
    """Drop members that no manifest names; the digests of all content that is needed still.

    The store must be held alone.

    Args:
        repositories: all of a store.
        grace: seconds since a member was added or asked for, during which it stays.
    """
    needed: set[str] = set()
    for name in repositories.all_names():
        needed |= _tidy(repositories.get(name), time.time() - grace)
    _remove_empty(repositories.folder)
    return needed


def _tidy(repository: Repository, oldest: float) -> set[str]:
    needed: set[str] = set()
    used: set[str] = set()
    is_known = True
    for _, stored in repository.manifests():
        needed.add(stored.content)
        try:
            raw = Path(repository.blobs.place(stored.content)).read_bytes()
            manifest = decode(AnyManifest, raw, "a manifest")
        except (OSError, ImagistError):
            is_known = False  # it is damaged; whoever pushes it again may count on its blobs
        else:
            used.update(blob.digest for blob in manifest.blobs)
    for digest, content, looked in repository.blob_links():
        if is_known and digest not in used and looked < oldest:
            repository.remove_blob(digest)
        else:
            needed.add(content)
    return needed


def _remove_empty(folder: Path) -> None:
    """Remove folders in which nothing is left but locks."""
    for path, _, files in os.walk(folder, topdown=False):
        if files == ["_lock"] and os.listdir(path) == files:  # noqa: PTH208 - names only
            Path(path, "_lock").unlink()
        if path != str(folder):
            with contextlib.suppress(OSError):  # not empty
                Path(path).rmdir()
