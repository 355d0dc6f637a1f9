"""Contents of files of a flattened tree, found in the layers that they are from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from imagist.inspection.layers import read_files
from imagist.oci.image import Layer
from imagist.rootfs.tree import Node


def read_nodes(
    layers: Mapping[str, Layer], nodes: Mapping[str, Node]
) -> Iterator[tuple[str, bytes]]:
    """Files by the names they are given here, with one pass over each layer that has some.

    Raises:
        InputError: a layer cannot be read, or is not what the image says.
    """
    wanted: dict[str, dict[int, list[str]]] = {}
    for name, node in nodes.items():
        wanted.setdefault(node.blob, {}).setdefault(node.entry.offset, []).append(name)
    for blob, offsets in wanted.items():
        entries = [nodes[names[0]].entry for names in offsets.values()]
        for entry, pieces in read_files(layers[blob], entries):
            content = b"".join(pieces)
            for name in offsets[entry.offset]:
                yield name, content
