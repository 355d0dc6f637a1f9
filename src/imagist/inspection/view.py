"""An image with its layers read: the flattened tree, what is installed, who owns what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from imagist.errors import RequestError, Untrusted
from imagist.inspection.contents import read_nodes
from imagist.inspection.databases import find_databases, read_records
from imagist.inspection.layers import Listing, list_layers
from imagist.oci import derive
from imagist.oci.image import Image, Layer
from imagist.packages.installed import Installed
from imagist.rootfs.flatten import flatten
from imagist.rootfs.tree import Node, Tree

_MAX_DATABASES: Final = 128 << 20
_MAX_PACKAGES: Final = 100_000
"""More than any distribution has."""
_MAX_PATH: Final = 4096
"""No layer has a longer one, and databases may say anything."""


class View(msgspec.Struct, frozen=True):
    """What can be seen of an image from outside."""

    image: Image
    listings: Mapping[str, Listing]
    """By the digest of the layer."""
    tree: Tree
    """What a runtime sees; the `blob` of a node is the digest of the layer it is from."""
    packages: tuple[Installed, ...]
    """What the package databases in the image list; none where it has none."""
    owners: Mapping[str, Installed]
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
        InputError: the layers do not fit together, or a package database is malformed.
    """
    tree = flatten(_nodes(layer, listings[layer.digest]) for layer in image.layers)
    packages: dict[Installed, None] = {}
    owners: dict[str, Installed] = {}
    files = _read_databases(image, listings, tree)
    records = read_records(files, _tell_architecture(image))
    for number, (package, paths) in enumerate(records, 1):
        packages[package] = None  # another database may list it, too
        if number > _MAX_PACKAGES:
            raise Untrusted(f"the image lists more than {_MAX_PACKAGES} packages as installed")
        for path in paths:
            if len(path) > _MAX_PATH:
                continue
            place = tree.resolve(path)
            node = tree.get(place)
            if node is not None and not node.entry.is_directory:
                owners[place] = package
    return View(image, listings, tree, tuple(packages), owners)


def owners_in_layer(view: View, layer: Layer) -> tuple[Installed, ...]:
    """The packages that own paths which a layer holds, in the order of the databases."""
    paths = (entry.path for entry in view.listings[layer.digest].entries)
    found = {view.owners[path] for path in map(view.tree.resolve, paths) if path in view.owners}
    return tuple(package for package in view.packages if package in found)


def _nodes(layer: Layer, listing: Listing) -> Iterator[Node]:
    return (Node(entry, blob=layer.digest) for entry in listing.entries)


def _read_databases(image: Image, listings: Mapping[str, Listing], tree: Tree) -> dict[str, bytes]:
    """The files of the package databases, by path."""
    found = find_databases(tree)
    if sum(node.entry.size for node in found.values()) > _MAX_DATABASES:
        raise Untrusted(
            f"the package databases of the image have more than {_MAX_DATABASES >> 20} MiB"
        )
    files: dict[str, bytes] = {}
    missing: dict[str, Node] = {}
    for path, node in found.items():
        kept = listings[node.blob].databases.get(node.entry.offset)
        if kept is None:
            missing[path] = node
        files[path] = kept or b""
    # Links from other names may lead there, which could not be known while the layers passed by.
    files.update(read_nodes({layer.digest: layer for layer in image.layers}, missing))
    return files


def _tell_architecture(image: Image) -> str:
    """As Debian names it; empty where it has no name for it."""
    try:
        return derive.platform(image).deb
    except RequestError:
        return ""
