"""The flattened root file system of an image as one tar."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from imagist.inspection.layers import list_layers, read_files
from imagist.inspection.view import flatten_listings
from imagist.oci.image import Image
from imagist.rootfs.batch import Content
from imagist.rootfs.entry import Entry
from imagist.rootfs.tarwrite import write_tar
from imagist.rootfs.tree import Tree


def export_tar(image: Image, write: Callable[[bytes], object], *, jobs: int = 1) -> None:
    """Write what a runtime sees of an image; the same image always gives the same bytes.

    Layers are read twice, first to find what is visible and whether they are whole, so nothing is
    written of an image that is damaged; contents pass through and are never held. Folders come
    first, then what has no content, then the files in the order of layers, then further names of
    files: whoever extracts has each folder and each link's target before it is needed.

    Raises:
        InputError: the image is damaged, or a layer is of a form that imagist cannot read.
    """
    tree = flatten_listings(image, list_layers(image.layers, jobs=jobs)).tree
    write_tar(_items(image, tree), write)


def _items(image: Image, tree: Tree) -> Iterator[tuple[Entry, Content]]:
    files: dict[str, list[Entry]] = {}
    links: list[Entry] = []
    others: list[Entry] = []
    for node in tree:
        entry = node.entry
        if entry.is_directory:
            yield entry, b""
        elif entry.kind == "file" and entry.size:
            files.setdefault(node.blob, []).append(entry)
        else:
            (links if entry.kind == "hardlink" else others).append(entry)
    for entry in others:
        yield entry, b""
    for layer in image.layers:
        yield from read_files(layer, files.pop(layer.digest, ()))
    for entry in links:
        yield entry, b""
