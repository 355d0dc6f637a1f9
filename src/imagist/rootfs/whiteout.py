"""Whiteouts: how a layer says that paths of the layers below are gone (image-spec layer.md)."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from imagist.errors import InputError
from imagist.rootfs.entry import parent

PREFIX: Final = ".wh."
OPAQUE: Final = ".wh..wh..opq"
_AUFS: Final = ".wh..wh."


class Mark(msgspec.Struct, frozen=True):
    """What a marker file means. `path` is what is gone, or the folder whose lower content is.

    `aufs` is book-keeping of a file system that old images carry; it is no file of the image.
    """

    kind: Literal["whiteout", "opaque", "aufs"]
    path: str


def parse_mark(path: str) -> Mark | None:
    """What a path of a layer marks; None where it is an entry like any other.

    Raises:
        InputError: the name is a bare `.wh.`, which marks nothing, or marks `.` or `..`.
    """
    if PREFIX not in path:
        return None
    folder = parent(path)
    name = path[len(folder) + 1 :] if folder else path
    if not name.startswith(PREFIX):
        return None
    if name == OPAQUE:
        return Mark("opaque", folder)
    if name.startswith(_AUFS):
        return Mark("aufs", path)
    gone = name.removeprefix(PREFIX)
    if gone in {"", ".", ".."}:
        raise InputError(f"the layer's /{path} is a whiteout of nothing")
    return Mark("whiteout", f"{folder}/{gone}" if folder else gone)


def is_reserved(path: str) -> bool:
    """Whether an image cannot carry a path, because a part of it would be read as a marker."""
    return PREFIX in path and any(part.startswith(PREFIX) for part in path.split("/"))


def whiteout_path(path: str) -> str:
    """The name of the empty file that hides a path, and all below it, of lower layers."""
    folder = parent(path)
    return f"{folder}/{PREFIX}{path[len(folder) + 1 :]}" if folder else PREFIX + path


def opaque_path(folder: str) -> str:
    """The name of the empty file that hides everything below a folder of lower layers."""
    return f"{folder}/{OPAQUE}" if folder else OPAQUE
