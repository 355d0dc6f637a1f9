"""What the command line names to be put on an image."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Sequence

from imagist.cli.environment import read_epoch
from imagist.cli.images import count_jobs
from imagist.editing.additions import Addition, parse_addition
from imagist.editing.append import appending, prepare
from imagist.editing.layers import LayerWriter
from imagist.editing.place import Ownership
from imagist.editing.whole import Change, Warn
from imagist.errors import RequestError


def read_additions(names: Iterable[str], folder: str = "") -> list[Addition]:
    """What -f names; by comma where nothing has that name, as crane takes it.

    Raises:
        RequestError: a place is no path from the image's root.
    """
    if folder and not folder.startswith("/"):
        raise RequestError(f"--to takes a path from the image's root, not `{folder}`")
    parts = [part for name in names for part in _split_paths(name)]
    return [parse_addition(part, folder) for part in parts]


def read_ownership(text: str) -> Ownership:
    """The owner that --owner names, `UID[:GID]`, and the time that SOURCE_DATE_EPOCH states.

    Raises:
        RequestError: they are no numbers.
    """
    uid, _, gid = text.partition(":")
    try:
        owner = int(uid or 0), int(gid or uid or 0)
    except ValueError:
        owner = (-1, -1)
    if not all(0 <= number < (1 << 32) - 1 for number in owner):
        raise RequestError(f"--owner takes numbers, UID or UID:GID, not `{text}`")
    return Ownership(*owner, read_epoch(os.environ) or 0)


def append_change(
    additions: Sequence[Addition],
    writer: LayerWriter,
    values: argparse.Namespace,
    warn: Warn,
    owner: str = "",
) -> Change:
    """The change that puts what was named on an image."""
    ownership = read_ownership(owner)
    addables = prepare(additions, writer)
    return appending(addables, writer, ownership, warn=warn, jobs=count_jobs(values))


def _split_paths(name: str) -> list[str]:
    if os.path.lexists(name) or os.path.lexists(name.rpartition(":")[0]):
        return [name]
    parts = name.split(",")
    return parts if all(map(os.path.lexists, parts)) else [name]
