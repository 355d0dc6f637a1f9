"""An image with its layers read: the flattened tree, what is installed, who owns what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from imagist.inspection.layers import DATABASES, Listing, list_layers, read_files
from imagist.oci.image import Image, Layer
from imagist.packages.apk.database import parse_installed
from imagist.packages.apk.index import Package
from imagist.rootfs.flatten import flatten
from imagist.rootfs.tree import Node, Tree


class View(msgspec.Struct, frozen=True):
    """What can be seen of an image from outside."""

    image: Image
    listings: Mapping[str, Listing]
    """By the digest of the layer."""
    tree: Tree
    """What a runtime sees; the `blob` of a node is the digest of the layer it is from."""
    packages: tuple[Package, ...]
    """What the APK database in the image lists; none where it has none."""
    owners: Mapping[str, Package]
    """Paths of the tree to the package that owns them. Folders have no owner: many share them."""

    def numbers(self) -> dict[str, int]:
        """Digest of a layer -> its number, 1 for the base; of a repeated one the last."""
        return {layer.digest: number for number, layer in enumerate(self.image.layers, 1)}


def view_image(image: Image, *, jobs: int = 1) -> View:
    """Read the layers of an image, each once.

    Raises:
        UnreadableLayer: the only thing wrong is that a layer is of an unknown form.
        InputError: the image is damaged, or something of it cannot be.
    """
    return flatten_listings(image, list_layers(image.layers, jobs=jobs))


def flatten_listings(image: Image, listings: Mapping[str, Listing]) -> View:
    """The same from layers that were read already.

    Raises:
        InputError: the layers do not fit together, or the package database is malformed.
    """
    tree = flatten(_nodes(layer, listings[layer.digest]) for layer in image.layers)
    packages: list[Package] = []
    owners: dict[str, Package] = {}
    for record in parse_installed(_read_database(image.layers, listings, tree)):
        packages.append(record.package)
        for entry in record.entries:
            path = tree.resolve(entry.path)
            node = tree.get(path)
            if node is not None and not node.entry.is_directory:
                owners[path] = record.package
    return View(image, listings, tree, tuple(packages), owners)


def owners_in_layer(view: View, layer: Layer) -> tuple[Package, ...]:
    """The packages that own paths which a layer holds, in the order of the database."""
    paths = (entry.path for entry in view.listings[layer.digest].entries)
    found = {view.owners[path] for path in map(view.tree.resolve, paths) if path in view.owners}
    return tuple(package for package in view.packages if package in found)


def _nodes(layer: Layer, listing: Listing) -> Iterator[Node]:
    return (Node(entry, blob=layer.digest) for entry in listing.entries)


def _read_database(layers: Sequence[Layer], listings: Mapping[str, Listing], tree: Tree) -> bytes:
    node = next(filter(None, map(tree.find, DATABASES)), None)
    if node is not None and node.entry.kind == "hardlink":
        node = tree.get(node.entry.link)
    if node is None or node.entry.kind != "file":
        return b""
    kept = listings[node.blob].databases.get(node.entry.offset)
    if kept is not None:
        return kept
    # A link of another name leads to it, which could not be known while the layer passed by.
    layer = next(layer for layer in layers if layer.digest == node.blob)
    [(_, content)] = [
        (entry, b"".join(pieces)) for entry, pieces in read_files(layer, [node.entry])
    ]
    return content
