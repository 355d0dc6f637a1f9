"""What is in the image that files are added to. What a layer lists is remembered by its digest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from imagist.inspection.layers import list_layers
from imagist.oci.image import Image, Layer
from imagist.rootfs.entry import Entry
from imagist.rootfs.flatten import flatten
from imagist.rootfs.tree import Node, Tree
from imagist.store.memo import memo_key
from imagist.store.store import Store

STEP: Final = "layer-list"
FORMAT: Final = 1
"""Raise it whenever the same layer would be listed otherwise."""

_PACK: Final = msgspec.msgpack.Encoder()
_UNPACK: Final = msgspec.msgpack.Decoder(list[Entry])


def read_base(image: Image, store: Store, *, jobs: int = 1) -> Tree:
    """What a runtime sees of an image, without its contents.

    A layer is read, and checked, the first time that it is met.

    Raises:
        UnreadableLayer: a layer is of a form that imagist cannot read.
        InputError: the image is damaged.
    """
    known = {layer.digest: _recall(layer, store) for layer in image.layers}
    unknown = [layer for layer in image.layers if known[layer.digest] is None]
    if unknown:
        listings = list_layers(unknown, jobs=jobs)
        for layer in unknown:
            entries = [_outline(entry) for entry in listings[layer.digest].entries]
            known[layer.digest] = entries
            _remember(layer, entries, store)
    return flatten(_nodes(known[layer.digest] or ()) for layer in image.layers)


def _outline(entry: Entry) -> Entry:
    """An entry without what only its content is found by."""
    return Entry(
        entry.path, entry.kind, entry.mode, entry.uid, entry.gid, entry.mtime, 0, entry.link,
        xattrs=entry.xattrs,
    )  # fmt: skip


def _nodes(entries: Sequence[Entry]) -> list[Node]:
    return [Node(entry) for entry in entries]


def _key(layer: Layer) -> str:
    return memo_key(STEP, FORMAT, str(layer.digest), str(layer.diff_id))


def _recall(layer: Layer, store: Store) -> list[Entry] | None:
    packed = store.memo.get(STEP, _key(layer))
    return None if packed is None else _UNPACK.decode(packed)


def _remember(layer: Layer, entries: list[Entry], store: Store) -> None:
    try:
        packed = _PACK.encode(entries)
    except UnicodeEncodeError:  # names that are not UTF-8, which msgpack cannot carry
        return
    store.memo.put(STEP, _key(layer), packed, blobs=[])
