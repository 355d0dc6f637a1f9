"""Layers on top of an image, on every platform of an index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from imagist.editing.additions import Addition, Item, find_items
from imagist.editing.base import read_base
from imagist.editing.layers import LayerWriter, NewLayer
from imagist.editing.place import Ownership, place_items
from imagist.editing.readytar import is_layer_tar
from imagist.editing.whole import Change, Warn
from imagist.errors import InputError, RequestError
from imagist.inspection.layers import UnreadableLayer
from imagist.oci import derive
from imagist.oci.image import HARD_LIMIT, Image
from imagist.oci.manifest import History, format_time
from imagist.oci.mutate import append_layers
from imagist.oci.platform import Platform
from imagist.rootfs.tree import Node, Tree
from imagist.store.store import Store

_NO_LAYERS: Final = (".tar.bz2", ".tbz", ".tbz2", ".tar.xz", ".txz", ".tar.lz", ".tar.lzma")


class Addable(msgspec.Struct, frozen=True):
    """One layer to come, read as far as that does not depend on the image."""

    layer: NewLayer | None
    """A tar that is a layer as it is."""
    items: Sequence[Item] = ()
    place: str = ""
    """Where in the image it goes, for its history."""


def prepare(additions: Sequence[Addition], writer: LayerWriter) -> list[Addable]:
    """Read what shall be added: each addition becomes a layer.

    Raises:
        NotFound: something is not there.
        InputError: something cannot be read or carried, or is damaged.
        RequestError: a ready layer is given a place, which it cannot have.
    """
    return [_prepare(addition, writer) for addition in additions]


def appending(
    addables: Sequence[Addable],
    writer: LayerWriter,
    ownership: Ownership,
    *,
    warn: Warn,
    jobs: int = 1,
) -> Change:
    """The change that puts these layers on an image, with one line of history for each."""
    created = format_time(ownership.mtime)

    def change(_: Platform, image: Image) -> Image:
        if derive.config(image).os == "windows":
            raise InputError(
                f"{derive.digest(image)} is for Windows, whose layers are laid out otherwise",
                help="leave it out with --platform",
            )
        seen: Tree | None = None
        for each in addables:
            layer = each.layer
            if layer is None:
                seen = _read_base(image, writer.store, warn, jobs) if seen is None else seen
                placed = place_items(each.items, seen, ownership)
                for new in placed:
                    seen.put(Node(new.entry))
                layer = writer.write(placed)
            else:
                seen = None
            line = History(created=created, created_by=f"imagist append{each.place}")
            image = append_layers(image, [(layer.of_kind(image.media_type), line)])
        if len(image.layers) > HARD_LIMIT:
            count = len(image.layers)
            warn(
                f"an image has {count} layers, of which Docker mounts {HARD_LIMIT} at most: "
                "`imagist flatten` makes one of them"
            )
        return image

    return change


def _prepare(addition: Addition, writer: LayerWriter) -> Addable:
    if addition.place and not addition.place.endswith("/"):
        return _of_files(addition)
    if not is_layer_tar(addition.source):
        if addition.source.endswith(_NO_LAYERS) and not addition.place:
            raise InputError(
                f"`{addition.source}` is compressed as no layer can be",
                help="decompress it, or use gzip or zstd; to add it as a file, say where: "
                f"`{addition.source}:/PLACE/`",
            )
        return _of_files(addition)
    if addition.place:
        name = addition.source.rpartition("/")[2]
        raise RequestError(
            f"`{addition.source}` is a ready layer, whose paths are in it: it has no other place",
            help=f"`{addition.source}:{addition.place}{name}` adds the file as it is",
        )
    return Addable(writer.adopt(addition.source))


def _of_files(addition: Addition) -> Addable:
    items = find_items(addition)
    if not items:
        raise InputError(f"`{addition.source}` is an empty folder: there is nothing to add")
    place = items[0].path if len(items) == 1 else addition.place.strip("/")
    shown = place.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return Addable(None, items, f" /{shown}")


def _read_base(image: Image, store: Store, warn: Warn, jobs: int) -> Tree:
    try:
        return read_base(image, store, jobs=jobs)
    except UnreadableLayer as error:
        warn(f"{error}; folders above what is added get the mode 0755 and belong to root")
        return Tree()
