"""Merging packages into one tree, by the rules its format has for files that two packages own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from imagist.build.derived.place import make_folders
from imagist.build.overlay import copy_as
from imagist.errors import InputError, Problem
from imagist.packages.files import Described, PackageFiles
from imagist.packages.listing import is_one_file
from imagist.rootfs.entry import Entry, order, parent
from imagist.rootfs.tree import Node, Tree
from imagist.rootfs.whiteout import PREFIX, is_reserved


class Merged(msgspec.Struct, frozen=True):
    """What merging found out beside the tree itself."""

    altered: dict[str, str]
    """Packages whose data segment cannot be a layer as it is in this tree, with the reason."""
    landed: dict[str, dict[str, str]]
    """For each package the entries that a symlinked folder led elsewhere: path to place."""
    lost: set[str] = set()
    """Packages that another one may have taken a file from; no other has lost any."""


def merge_packages(tree: Tree, packages: Sequence[PackageFiles]) -> Merged:
    """Put every entry of the packages, in order, into the tree.

    Two packages may own a path when the content is equal, or when their format says
    which of them prevails; otherwise every such path is an error.

    Raises:
        InputError: packages own the same path with different content, or block each other's path.
    """
    by_name = {files.package.name: files.package for files in packages}
    arbiter = _Arbiter(by_name)
    altered: dict[str, str] = {}
    landed: dict[str, dict[str, str]] = {}
    for files in packages:
        name = files.package.name
        reason = files.verbatim
        moved = _add_package(tree, files, arbiter)
        if moved:
            landed[name] = moved
            first, place = next(iter(moved.items()))
            reason = reason or f"/{first} leads through a symlink to /{place}"
        if reason:
            altered[name] = reason
        if len(arbiter.problems) > _MOST_PROBLEMS:
            break
    if arbiter.problems:
        raise InputError(arbiter.problems[:_MOST_PROBLEMS])
    merged = Merged(altered, landed, arbiter.losers)
    settle_hardlinks(tree, packages, merged)
    return merged


def _add_package(tree: Tree, files: PackageFiles, arbiter: _Arbiter) -> dict[str, str]:
    """Put the entries of one package into the tree; those that landed elsewhere, and where."""
    name = files.package.name
    moved: dict[str, str] = {}
    for entry in files.entries:
        if PREFIX in entry.path and is_reserved(entry.path):
            arbiter.problems.append(
                Problem(f"{name} contains /{entry.path}, a name that deletes files in layers")
            )
            continue
        node = _packed_node(entry, files)
        if tree.add_new(node):
            continue
        place = _add(tree, node, arbiter)
        stays = tree.get(place)
        if stays is None or not (entry.is_directory or stays.owner == name):
            arbiter.losers.add(name)
        if place != entry.path:
            moved[entry.path] = place
    return moved


def _packed_node(entry: Entry, files: PackageFiles) -> Node:
    """An entry of a package as a node; files that a slice makes up are in no blob."""
    is_packed = entry.offset >= 0 or entry.kind != "file"
    return Node(entry, files.package.name, files.data if is_packed else "")


_MOST_PROBLEMS = 20
"""Two packages that are the same thing conflict in every file: nobody reads on after this many."""


class _Arbiter:
    """Decides who keeps a path; remembers every refusal so that all are told at once."""

    def __init__(self, packages: Mapping[str, Described]) -> None:
        self._packages = packages
        self.problems: list[Problem] = []
        self.losers: set[str] = set()

    def __call__(self, old: Node, new: Node) -> Node:
        self.losers.add(old.owner)
        if old.entry.is_directory:  # a file cannot replace a folder and what may lie in it
            return self._refuse(old, new)
        if not old.owner:  # the image's own skeleton gives way to packages, except for keys
            return (
                new if not old.entry.path.startswith("etc/apk/keys/") else self._refuse(old, new)
            )
        prevails = self._packages[new.owner].prevails_over(self._packages[old.owner])
        if prevails is None:
            return self._refuse(old, new)
        return new if prevails else old

    def _refuse(self, old: Node, new: Node) -> Node:
        owners = f"{old.owner or 'the image'} and {new.owner or 'the image'}"
        kinds = f"as a {old.entry.kind} and as a {new.entry.kind}"
        how = "with different content" if old.entry.kind == new.entry.kind else kinds
        self.problems.append(
            Problem(
                f"{owners} both own /{old.entry.path}, {how}",
                help="install only one of them, or let one declare that it replaces the other",
            )
        )
        return old


def _add(tree: Tree, node: Node, arbiter: _Arbiter) -> str:
    try:
        _make_folder(tree, node)
        place = tree.add(node, arbiter)
    except InputError as error:
        arbiter.problems += error.placed(f"package {node.owner}").problems
        return node.entry.path
    if node.entry.kind == "hardlink":
        _follow_target(tree, place, node, arbiter)
    return place


def _make_folder(tree: Tree, node: Node) -> None:
    """Make the folder of an entry that comes without it, or where a symlink leads, as apk does."""
    folder = parent(node.entry.path)
    above = tree.get(folder)
    if not folder or (above is not None and above.entry.is_directory):
        return
    try:
        make_folders(tree, folder, mtime=node.entry.mtime)
    except InputError as error:
        raise InputError(f"{node.owner} owns /{node.entry.path}, but {error}") from None


def _follow_target(tree: Tree, place: str, node: Node, arbiter: _Arbiter) -> None:
    """Give a hardlink that two packages have to the one that has what it links to."""
    old = tree.get(place)
    target = tree.get(tree.resolve(node.entry.link))
    if old is None or target is None or old.entry.kind != "hardlink":
        return
    if old.owner != node.owner and target.owner == node.owner:
        arbiter.losers.add(old.owner)
        entry = msgspec.structs.replace(node.entry, path=place)
        tree.put(msgspec.structs.replace(node, entry=entry))


def settle_hardlinks(
    tree: Tree, packages: Sequence[PackageFiles], merged: Merged, base: Iterable[Node] = ()
) -> None:
    """Make sure that every hardlink of the tree is one more name of the file it was packed with.

    Where that file is now another (another package's, or changed by the image), the link becomes
    a file of its own, with the content it was packed with. Links of merged folders (/usr) are
    pointed to where their targets are.

    Raises:
        InputError: hardlinks that lead back to themselves.
    """
    links = [node for node in tree.nodes() if node.entry.kind == "hardlink"]
    if not links:
        return
    owners = {link.owner for link in links}
    packed = {(node.owner, node.entry.path): node for node in base} if "" in owners else {}
    for files in packages:
        name = files.package.name
        if name in owners:
            moved = merged.landed.get(name, {})
            for entry in files.entries:
                packed[name, moved.get(entry.path, entry.path)] = _packed_node(entry, files)
    ends: dict[tuple[str, str], str] = {}
    for link in sorted(links, key=lambda link: order(link.entry.path)):
        tree.put(_settle(tree, link, packed, ends))


def _settle(
    tree: Tree,
    link: Node,
    packed: Mapping[tuple[str, str], Node],
    ends: dict[tuple[str, str], str],
) -> Node:
    target = _find_end(tree, link, packed, ends)
    origin = packed.get((link.owner, target))
    if origin is None:  # of a base image that the caller did not give: nothing changed it yet
        return link
    here = tree.get(target)
    if here is not None and _holds(here, origin) and is_one_file(link.entry, here.entry):
        return msgspec.structs.replace(
            link, entry=msgspec.structs.replace(link.entry, link=target)
        )
    return copy_as(link, origin.entry, origin.blob)


def _find_end(
    tree: Tree,
    link: Node,
    packed: Mapping[tuple[str, str], Node],
    ends: dict[tuple[str, str], str],
) -> str:
    """Where the links that start with this one end; `ends` remembers, as chains may be long.

    Raises:
        InputError: they lead back to themselves, as symlinked folders make possible.
    """
    owner = link.owner
    target = tree.resolve(link.entry.link)
    passed: dict[str, None] = {}
    while (owner, target) not in ends:
        origin = packed.get((owner, target))
        if origin is None or origin.entry.kind != "hardlink":
            break
        if target in passed:
            who = f"package {owner}" if owner else "the base image"
            raise InputError(f"{who}: the hardlink /{link.entry.path} leads back to itself")
        passed[target] = None
        target = tree.resolve(origin.entry.link)
    end = ends.get((owner, target), target)
    ends.update(((owner, each), end) for each in passed)
    return end


def _holds(node: Node, origin: Node) -> bool:
    """Whether a node is still the very file that a package or layer packed."""
    there, packed = node.entry, origin.entry
    return (there.kind, there.offset, there.link, node.blob) == (
        packed.kind,
        packed.offset,
        packed.link,
        origin.blob,
    )


def refuse_markers(tree: Tree) -> None:
    """Refuse names that mean something else to whoever unpacks a layer, whoever put them there.

    Raises:
        InputError: with every name that would delete files of lower layers, or leads out.
    """
    found = [
        node for node in tree.nodes() if (path := node.entry.path) == "" or "/." in f"/{path}"
    ]
    problems = [
        Problem(f"/{node.entry.path} of {node.owner or 'the image'} {wrong}")
        for node in sorted(found, key=lambda node: order(node.entry.path))
        if (wrong := _find_mistake(node.entry))
    ]
    if problems:
        raise InputError(problems[:_MOST_PROBLEMS])


def _find_mistake(entry: Entry) -> str:
    if not entry.path:
        return "" if entry.is_directory else f"is a {entry.kind}, and no folder"
    if {".", ".."} & {*entry.path.split("/")}:
        return "is a name that leads out of its folder"
    return "is a name that deletes files" if is_reserved(entry.path) else ""


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
