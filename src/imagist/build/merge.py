"""Merging packages into one tree, by the rules APK has for files that two packages own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from imagist.errors import InputError, Problem
from imagist.packages.apk.archive import PackageFiles
from imagist.packages.apk.index import Package, replaces_files
from imagist.rootfs.entry import Entry
from imagist.rootfs.tree import Node, Tree
from imagist.rootfs.whiteout import is_reserved


class Merged(msgspec.Struct, frozen=True):
    """What merging found out beside the tree itself."""

    altered: dict[str, str]
    """Packages whose data segment cannot be a layer as it is in this tree, with the reason."""
    landed: dict[str, dict[str, str]]
    """For each package the entries that a symlinked folder led elsewhere: path to place."""


def merge_packages(tree: Tree, packages: Sequence[PackageFiles]) -> Merged:
    """Put every entry of the packages, in order, into the tree.

    Two packages may own a path when the content is equal, when one of them `replaces` the other,
    or when both come from the same origin; otherwise every such path is an error.

    Raises:
        InputError: packages own the same path with different content, or block each other's path.
    """
    by_name = {files.package.name: files.package for files in packages}
    arbiter = _Arbiter(by_name)
    altered: dict[str, str] = {}
    landed: dict[str, dict[str, str]] = {}
    for files in packages:
        name = files.package.name
        if files.verbatim:
            altered[name] = files.verbatim
        moved: dict[str, str] = {}
        for entry in files.entries:
            if is_reserved(entry.path):
                arbiter.problems.append(
                    Problem(f"{name} contains /{entry.path}, a name that deletes files in layers")
                )
                continue
            place = _add(tree, Node(entry, name, files.data), arbiter)
            if place != entry.path:
                moved[entry.path] = place
        if moved:
            landed[name] = moved
            first, place = next(iter(moved.items()))
            altered.setdefault(name, f"/{first} leads through a symlink to /{place}")
        if len(arbiter.problems) > _MOST_PROBLEMS:
            break
    if arbiter.problems:
        raise InputError(arbiter.problems[:_MOST_PROBLEMS])
    _redirect_hardlinks(tree, landed)
    return Merged(altered, landed)


_MOST_PROBLEMS = 20
"""Two packages that are the same thing conflict in every file: nobody reads on after this many."""


class _Arbiter:
    """Decides who keeps a path; remembers every refusal so that all are told at once."""

    def __init__(self, packages: Mapping[str, Package]) -> None:
        self._packages = packages
        self.problems: list[Problem] = []

    def __call__(self, old: Node, new: Node) -> Node:
        if not old.owner:  # the image's own skeleton gives way to packages, except for keys
            return (
                new if not old.entry.path.startswith("etc/apk/keys/") else self._refuse(old, new)
            )
        one, other = self._packages[old.owner], self._packages[new.owner]
        old_wins = replaces_files(one, other)
        new_wins = replaces_files(other, one)
        if old_wins and new_wins:
            return new if other.replaces_priority >= one.replaces_priority else old
        if old_wins:
            return old
        if new_wins or (one.origin and one.origin == other.origin):
            return new
        return self._refuse(old, new)

    def _refuse(self, old: Node, new: Node) -> Node:
        owners = f"{old.owner or 'the image'} and {new.owner or 'the image'}"
        self.problems.append(
            Problem(
                f"{owners} both own /{old.entry.path}, with different content",
                help="install only one of them, or let one declare that it replaces the other",
            )
        )
        return old


def _add(tree: Tree, node: Node, arbiter: _Arbiter) -> str:
    try:
        return tree.add(node, arbiter)
    except InputError as error:
        arbiter.problems.extend(error.problems)
        return node.entry.path


def _redirect_hardlinks(tree: Tree, landed: Mapping[str, Mapping[str, str]]) -> None:
    """Let hardlinks whose target moved (merged /usr) point to where it is now."""
    for moved in landed.values():
        for place in moved.values():
            node = tree.get(place)
            if node is not None and node.entry.kind == "hardlink":
                target = tree.resolve(node.entry.link)
                if target != node.entry.link:
                    entry = msgspec.structs.replace(node.entry, link=target)
                    tree.put(msgspec.structs.replace(node, entry=entry))


def owned_entries(tree: Tree, files: PackageFiles, moved: Mapping[str, str]) -> Iterator[Entry]:
    """The entries of a package that are its own in the tree: folders, and files it did not lose.

    Paths are the package's; mode and ownership are what the tree has in that place.
    """
    for entry in files.entries:
        node = tree.get(moved.get(entry.path, entry.path))
        if node is None:
            continue
        if entry.is_directory or node.owner == files.package.name:
            yield entry
