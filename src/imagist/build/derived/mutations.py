"""Scripts of slices, carried out in a tree; then what was there for their sake alone goes."""

from __future__ import annotations

from collections.abc import Sequence

from imagist.build.derived.place import put_file, read_file, rewrite_file
from imagist.errors import InputError
from imagist.packages.deb.mutation import run_mutation
from imagist.packages.deb.slices import Slice
from imagist.packages.globs import Glob
from imagist.rootfs.content import Contents
from imagist.rootfs.entry import parent
from imagist.rootfs.tree import Tree


def mutate_slices(tree: Tree, contents: Contents, slices: Sequence[Slice], *, epoch: int) -> None:
    """Carry out the scripts of slices.

    Args:
        tree: the packages, cut to their slices and merged.
        contents: reads files of packages that are in the tree.
        slices: in order, those that others need first (`slices.choose_slices`).
        epoch: mtime of what is written, in seconds since 1970.

    Raises:
        InputError: a script does what is not understood, or may not be done.
    """
    for each in slices:
        if each.mutate:
            run_mutation(each.mutate, _Access(tree, contents, each, epoch), str(each))
    _remove_aids(tree, slices)


class _Access:
    """The files of a tree as the script of one slice sees them."""

    def __init__(self, tree: Tree, contents: Contents, own: Slice, epoch: int) -> None:
        self._tree = tree
        self._contents = contents
        self._own = own
        self._epoch = epoch
        self._mutable = {content.path for content in own.contents if content.mutable}

    def read(self, path: str) -> str:
        """The text of a file."""
        data = read_file(self._tree, self._contents, path)
        if data is None:
            raise InputError(f"the script of {self._own} reads {path}, which is not there")
        return data.decode("utf-8", "surrogateescape")

    def write(self, path: str, text: str) -> None:
        """Replace the text of a file that the slice calls mutable."""
        node = self._tree.find(path)
        if path not in self._mutable:
            raise InputError(f"the script of {self._own} writes {path}, which is not mutable")
        try:
            data = text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise InputError(f"the script of {self._own} writes what is no UTF-8") from None
        if node is None or node.entry.kind != "file":
            put_file(self._tree, path, data, epoch=self._epoch)
        else:
            rewrite_file(self._tree, node, data, epoch=self._epoch)

    def list(self, path: str) -> list[str]:
        """The names in a folder."""
        folder = self._tree.resolve(path, follow_last=True)
        below = [node.entry for node in self._tree.below(folder)]
        names = [
            entry.path.rpartition("/")[2] + ("/" if entry.is_directory else "")
            for entry in below
            if parent(entry.path) == folder
        ]
        if not names and folder not in self._tree:
            raise InputError(f"the script of {self._own} lists {path}, which is not there")
        return sorted(names)


def _remove_aids(tree: Tree, slices: Sequence[Slice]) -> None:
    """Remove what is marked `until: mutate`, unless another slice has it for good."""
    contents = [content for each in slices for content in each.contents if not content.is_made]
    aids = [Glob(content.path) for content in contents if content.until]
    if not aids:
        return
    kept = [Glob(content.path) for content in contents if not content.until]
    nodes = list(tree)
    for node in reversed(nodes):  # what lies in a folder before the folder
        entry = node.entry
        if not any(glob.matches(entry) for glob in aids):
            continue
        if any(glob.matches(entry) for glob in kept):
            continue
        if not entry.is_directory or not any(tree.below(entry.path)):
            tree.remove(entry.path)
    _remove_empty(tree, {parent(node.entry.path) for node in nodes if node.entry.path not in tree})


def _remove_empty(tree: Tree, folders: set[str]) -> None:
    """Remove folders that nothing is left in."""
    for folder in sorted(folders, key=len, reverse=True):
        place = folder
        while place and place in tree and not any(tree.below(place)):
            tree.remove(place)
            place = parent(place)
