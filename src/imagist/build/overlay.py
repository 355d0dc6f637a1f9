"""The top layer: what must be added to the layers below so that they yield the wanted tree.

A runtime applies layers one over the other (image-spec layer.md). `Stack` predicts what it then
sees; `difference` lists what the tree has otherwise. This makes every way of dividing packages
among layers right by construction: overwritten files, changed modes, folders whose time or owner
differs between packages, files that no longer exist.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from imagist.rootfs.entry import Entry, order, parent
from imagist.rootfs.tree import Node, Tree
from imagist.rootfs.whiteout import whiteout_path

_UNKNOWN = Node(Entry("", "fifo", mtime=-1), owner="?")
"""A folder that a layer did not list: extractors give it metadata of their own."""


class Stack:
    """What a runtime sees after the layers applied so far."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}

    def apply(self, nodes: Iterable[Node]) -> None:
        """Lay one layer over the stack; folders it needs but does not list become unknown."""
        layer = {node.entry.path: node for node in nodes}
        implied = _all_folders_above(layer) - layer.keys()
        for path in layer.keys() & self._nodes.keys():
            # What is no folder takes the place of one with everything below it.
            if not layer[path].entry.is_directory and self._may_be_folder(path):
                self._forget_below(path)
        self._nodes.update(dict.fromkeys(implied, _UNKNOWN))
        self._nodes.update(layer)

    def _may_be_folder(self, path: str) -> bool:
        old = self._nodes.get(path)
        return old is not None and (old is _UNKNOWN or old.entry.is_directory)

    def _forget_below(self, folder: str) -> None:
        for path in [path for path in self._nodes if path.startswith(f"{folder}/")]:
            del self._nodes[path]

    def difference(self, tree: Tree) -> list[Node]:
        """The nodes of a layer that turns this stack into the tree, each with its folders."""
        wanted: dict[str, Node] = {}
        for node in tree.nodes():
            below = self._nodes.get(node.entry.path)
            if below is not node and not _yields_same(below, node, tree):
                wanted[node.entry.path] = node
        gone = [path for path in self._nodes if path not in tree]
        for path in sorted(gone, key=order):
            if all(_is_folder(tree.get(folder)) for folder in _folders_above(path)):
                hidden = whiteout_path(path)
                wanted[hidden] = Node(Entry(hidden, mode=0))
        return complete_layer(wanted, tree)


def complete_layer(nodes: dict[str, Node], tree: Tree) -> list[Node]:
    """The nodes of a layer in order, with every folder above them.

    Hardlinks that lead out of the layer become copies (layer.md, Hardlinks).
    """
    for folder in _all_folders_above(nodes):
        above = tree.get(folder)
        if above is not None:
            nodes.setdefault(folder, above)
    for path, node in nodes.items():
        if node.entry.kind == "hardlink" and node.entry.link not in nodes:
            nodes[path] = copy_of_target(node, tree)
    return [nodes[path] for path in sorted(nodes, key=order)]


def _folders_above(path: str) -> list[str]:
    folders = []
    while path := parent(path):
        folders.append(path)
    return folders


def _all_folders_above(paths: Iterable[str]) -> set[str]:
    found = {path.rpartition("/")[0] for path in paths}
    for path in list(found):
        while (path := parent(path)) and path not in found:
            found.add(path)
    found.discard("")
    return found


def _is_folder(node: Node | None) -> bool:
    return node is not None and node.entry.is_directory


def _yields_same(below: Node | None, node: Node, tree: Tree) -> bool:
    if below is None or below is _UNKNOWN:
        return False
    there, here = below.entry, node.entry
    if (there.kind, there.mode, there.uid, there.gid, there.mtime, there.xattrs) != (
        here.kind,
        here.mode,
        here.uid,
        here.gid,
        here.mtime,
        here.xattrs,
    ):
        return False
    if here.kind == "file":
        return has_same_content(below, node)
    if here.kind == "hardlink":
        return there.link == here.link and below.blob == node.blob and here.link in tree
    return there.link == here.link and there.device == here.device


def has_same_content(one: Node, other: Node) -> bool:
    """Whether two file nodes provably hold the same bytes."""
    if one.entry.size != other.entry.size:
        return False
    if one.blob and one.blob == other.blob and one.entry.offset == other.entry.offset:
        return True
    if one.entry.sha1 and one.entry.sha1 == other.entry.sha1:
        return True
    return not one.blob and not other.blob and one.entry.data == other.entry.data


def copy_of_target(node: Node, tree: Tree) -> Node:
    """The hardlink node as what it links to, with owner, mode and time of its own."""
    target = tree.get(node.entry.link)
    return node if target is None else copy_as(node, target.entry, target.blob)


def copy_as(link: Node, target: Entry, blob: str) -> Node:
    """A hardlink as a file of its own; attributes it does not list are those of its target."""
    entry = msgspec.structs.replace(
        target,
        path=link.entry.path,
        mode=link.entry.mode,
        uid=link.entry.uid,
        gid=link.entry.gid,
        mtime=link.entry.mtime,
        xattrs=link.entry.xattrs or target.xattrs,
    )
    return Node(entry, link.owner, blob)
