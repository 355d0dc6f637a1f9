"""Putting files into an image as a layer: what is there already decides how folders are listed.

A layer lists every folder above its entries, and what it says of a folder holds. So a folder that
the image has is listed as the image has it, and a path is taken through the image's own symlinks:
else /tmp/x would take the sticky bit from /tmp, /home/app/x give /home/app to root, and /bin/x put
a folder in place of the link /bin.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from imagist.editing.additions import Item
from imagist.errors import InputError, Problem
from imagist.rootfs.entry import Entry, order, parent
from imagist.rootfs.tree import Tree


class Ownership(msgspec.Struct, frozen=True):
    """What entries get that were not in the image: owner, group, and a time since 1970."""

    uid: int = 0
    gid: int = 0
    mtime: int = 0


class Placed(msgspec.Struct, frozen=True):
    """An entry of the new layer, and what its content is read from."""

    entry: Entry
    item: Item | None = None


def place_items(items: Iterable[Item], base: Tree, ownership: Ownership) -> list[Placed]:
    """The entries of a layer that adds the items to what is there, folders above them included.

    Raises:
        InputError: a file would replace a folder, or lie in what is none; all of them are told.
    """
    layer = _Layer(base, ownership)
    problems = []
    for item in items:
        try:
            layer.add(item)
        except InputError as error:
            problems += [Problem(each.message, item.source or None) for each in error.problems]
    if problems:
        raise InputError(problems)
    return layer.placed()


class _Layer:
    def __init__(self, base: Tree, ownership: Ownership) -> None:
        self._base = base
        self._ownership = ownership
        self._above = Ownership(mtime=ownership.mtime)
        self._placed: dict[str, Placed] = {}

    def placed(self) -> list[Placed]:
        return [self._placed[path] for path in sorted(self._placed, key=order)]

    def add(self, item: Item) -> None:
        path = self._base.resolve(item.path, follow_last=item.kind == "directory")
        if item.kind == "directory":
            self._add_folder(path, self._ownership)
            return
        self._add_folder(parent(path), self._above)
        old = self._base.get(path)
        if old is not None and item.kind == "file":  # a symlink to a folder, perhaps
            old = self._base.find(path)
        if not path or (old is not None and old.entry.is_directory):
            raise InputError(f"/{path} is a folder in the image, which a file cannot replace")
        if path in self._placed:
            raise InputError(f"/{path} is reached by two paths, through a symlink of the image")
        self._placed[path] = Placed(self._entry(path, item), item)

    def _entry(self, path: str, item: Item) -> Entry:
        own = self._ownership
        if item.kind == "symlink":
            return Entry(path, "symlink", 0o777, own.uid, own.gid, own.mtime, link=item.link)
        mode = 0o755 if item.is_executable else 0o644
        return Entry(path, "file", mode, own.uid, own.gid, own.mtime, size=item.size)

    def _add_folder(self, path: str, own: Ownership) -> None:
        """List a folder and those above it; new ones are 0755, and those above root's."""
        while path and path not in self._placed:
            old = self._base.get(path)
            if old is not None and not old.entry.is_directory:
                raise InputError(f"/{path} is a {old.entry.kind} in the image, not a folder")
            new = Entry(path, "directory", 0o755, own.uid, own.gid, own.mtime)
            self._placed[path] = Placed(new if old is None else old.entry)
            path, own = parent(path), self._above
        if path and not self._placed[path].entry.is_directory:
            raise InputError(f"/{path} is added both as a file and as a folder")
