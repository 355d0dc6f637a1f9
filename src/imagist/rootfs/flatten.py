"""What a runtime sees after it applied layers in order (image-spec layer.md, "Applying").

Runtimes differ where the specification is silent; here paths are taken as all do that unpack
into one root: symlinks in the folders of a path are followed, its last part never is.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

import msgspec

from imagist.errors import InputError
from imagist.rootfs.entry import Entry, parent
from imagist.rootfs.tree import Node, Tree
from imagist.rootfs.whiteout import Mark, parse_mark


def flatten(layers: Iterable[Iterable[Node]]) -> Tree:
    """The tree that layers give, base first; a node's `blob` names the layer its bytes are in.

    Layers are read one after the other, so they may be generators over streams. In the result
    the first path of a file with several names, in the tree's order, is the file, and the others
    are hardlinks to it, whichever of them was the file in its layer.

    Raises:
        InputError: a marker marks nothing, a hardlink leads nowhere, or a file lies in a file.
    """
    root = _Root()
    for layer in layers:
        root.apply(layer)
    return root.name_hardlinks()


class _Root:
    """The root that layers are unpacked into. Every name of a file is a full entry here."""

    def __init__(self) -> None:
        self._tree = Tree()
        self._inodes: dict[str, int] = {}  # of files that ever had several names
        self._numbers = count()

    def apply(self, layer: Iterable[Node]) -> None:
        nodes: list[Node] = []
        marks: list[Mark] = []
        for node in layer:
            mark = parse_mark(node.entry.path)
            if mark is None:
                nodes.append(node)
            elif mark.kind != "aufs":
                marks.append(mark)
        # 1. Markers hide what lower layers have, wherever they stand in the archive.
        for mark in marks:
            self._hide(mark)
        # 2. Then the entries, in the archive's order.
        for node in nodes:
            self._add(node)

    def name_hardlinks(self) -> Tree:
        """The tree, with every further name of a file as a hardlink to its first."""
        first: dict[int, str] = {}
        if not self._inodes:
            return self._tree
        for node in self._tree:
            path = node.entry.path
            inode = self._inodes.get(path)
            if inode is None:
                continue
            target = first.setdefault(inode, path)
            if target != path:
                self._tree.put(_link(node, target))
        return self._tree

    def _hide(self, mark: Mark) -> None:
        tree = self._tree
        if mark.kind == "whiteout":
            tree.remove(tree.resolve(mark.path))
            return
        folder = tree.resolve(mark.path, follow_last=True)
        if not folder:
            for name in {node.entry.path.partition("/")[0] for node in tree}:
                tree.remove(name)
            return
        kept = tree.get(folder)
        tree.remove(folder)
        if kept is not None:
            tree.put(kept)

    def _add(self, node: Node) -> None:
        tree = self._tree
        path = tree.resolve(node.entry.path)
        entry = node.entry
        inode = None
        if entry.kind == "hardlink":
            target = self._find_target(entry)
            inode = self._inodes.setdefault(target.entry.path, next(self._numbers))
            if target.entry.path == path:
                return
            node = target
        old = tree.get(path)
        # A folder over a folder changes its attributes; all else replaces what was there.
        if old is None:
            self._check_parent(path, entry)
            tree.make_parents(path)
        elif old.entry.is_directory and not entry.is_directory:
            tree.remove(path)
        tree.put(_at(node, path))
        if inode is None:
            self._inodes.pop(path, None)
        else:
            self._inodes[path] = inode

    def _find_target(self, entry: Entry) -> Node:
        target = self._tree.get(self._tree.resolve(entry.link))
        if target is None:
            raise InputError(f"/{entry.path} is a hardlink to /{entry.link}, which is not there")
        if target.entry.is_directory:
            raise InputError(f"/{entry.path} is a hardlink to /{entry.link}, which is a folder")
        return target

    def _check_parent(self, path: str, entry: Entry) -> None:
        while folder := parent(path):
            above = self._tree.get(folder)
            if above is not None and above.entry.is_directory:
                return
            if above is not None:
                raise InputError(
                    f"/{entry.path} lies in /{folder}, which is a {above.entry.kind}, not a folder"
                )
            path = folder


def _at(node: Node, path: str) -> Node:
    if node.entry.path == path:
        return node
    return msgspec.structs.replace(node, entry=msgspec.structs.replace(node.entry, path=path))


def _link(node: Node, target: str) -> Node:
    """The same metadata, as one more name of the target."""
    entry = msgspec.structs.replace(
        node.entry,
        kind="hardlink",
        link=target,
        size=0,
        offset=-1,
        data=b"",
        sha1=b"",
        device=(0, 0),
    )
    return msgspec.structs.replace(node, entry=entry)
