"""The `paths` of a declaration: folders, empty files, links and permissions, in their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from imagist.build.derived.place import make_folders, put_entry
from imagist.errors import InputError, RequestError
from imagist.rootfs.content import Contents
from imagist.rootfs.entry import MODE_BITS, Entry
from imagist.rootfs.tree import Node, Tree


class PathMutation(msgspec.Struct, frozen=True):
    """One entry of `paths`."""

    path: str
    type: str
    """directory, empty-file, hardlink, symlink or permissions."""
    uid: int | None = None
    """Neither uid nor gid: the owner stays. Only one of them: the other becomes 0."""
    gid: int | None = None
    permissions: int | None = None
    """Up to 0o7777; None: 0755 for folders and 0644 for files made here, else as it is."""
    source: str = ""
    """What a link points to: a symlink's text, or the path of a hardlink's file."""
    recursive: bool = False
    """Apply owner and permissions to everything below too; symlinks are left alone."""


def mutate_paths(
    tree: Tree, contents: Contents, mutations: Sequence[PathMutation], *, epoch: int
) -> list[str]:
    """Apply mutations in order; what is made is the image's and has `epoch` as its mtime.

    Paths are taken inside the tree: symlinks in folders are followed there and `..` ends at the
    root. A hardlink becomes a second copy of the file; since both are one file on disk, owner
    and permissions of the mutation go to both.

    Raises:
        RequestError: a mutation that cannot be carried out, with its number.
    """
    del contents  # contents are referred to, never read
    warnings: list[str] = []
    for number, mutation in enumerate(mutations):
        where = f"paths[{number}] ({mutation.type} {mutation.path})"
        try:
            _check(mutation)
            touched = _APPLY[mutation.type](tree, mutation, epoch)
            if mutation.recursive:
                touched += [node.entry.path for top in touched for node in tree.below(top)]
            for path in _with_hardlinks(tree, touched):
                _set_metadata(tree, path, mutation)
        except InputError as error:
            raise RequestError(f"{where}: {error}") from None
        if mutation.type == "symlink" and mutation.permissions is not None:
            warnings.append(f"{where}: a symlink has no permissions of its own; left out")
    return warnings


def _make_directory(tree: Tree, mutation: PathMutation, epoch: int) -> list[str]:
    return [make_folders(tree, mutation.path, mtime=epoch)]


def _make_file(tree: Tree, mutation: PathMutation, epoch: int) -> list[str]:
    """Create the file, or empty the one that is there, as open(2) with O_TRUNC does."""
    path = tree.resolve(mutation.path, follow_last=True)
    old = tree.get(path)
    if old is None:
        return [put_entry(tree, Entry(path, mode=0o644, mtime=epoch))]
    if old.entry.kind not in {"file", "hardlink"}:
        raise InputError(f"there is a {old.entry.kind} already")
    kept = old.entry
    put_entry(tree, Entry(path, "file", kept.mode, kept.uid, kept.gid, epoch, xattrs=kept.xattrs))
    return [path]


def _make_symlink(tree: Tree, mutation: PathMutation, epoch: int) -> list[str]:
    if not mutation.source:
        raise InputError("a symlink needs a `source`, the text it points to")
    path = tree.resolve(mutation.path)
    old = tree.get(path)
    if old is not None and (old.entry.kind, old.entry.link) != ("symlink", mutation.source):
        raise InputError(f"there is a {old.entry.kind} of {old.owner or 'the image'} already")
    if old is None:
        put_entry(tree, Entry(path, "symlink", 0o777, mtime=epoch, link=mutation.source))
    return [path]


def _make_hardlink(tree: Tree, mutation: PathMutation, epoch: int) -> list[str]:
    source = tree.resolve(mutation.source)
    target = tree.get(source)
    while target is not None and target.entry.kind == "hardlink":
        target = tree.get(target.entry.link)
    if target is None or target.entry.is_directory:
        raise InputError(f"its source `{mutation.source}` is not a file of the image")
    path = tree.resolve(mutation.path)
    old = tree.get(path)
    if old is not None and old.entry.is_directory:
        raise InputError("there is a folder already")
    if path == target.entry.path:
        raise InputError("it would be a link to itself")
    make_folders(tree, path.rpartition("/")[0], mtime=epoch)
    copy = msgspec.structs.replace(target.entry, path=path)
    tree.put(Node(copy, blob=target.blob))
    return [path, target.entry.path]


def _find_existing(tree: Tree, mutation: PathMutation, epoch: int) -> list[str]:
    del epoch
    path = tree.resolve(mutation.path, follow_last=True)
    if path and path not in tree:
        raise InputError("there is nothing to change in the image")
    return [path]


_APPLY: Final[dict[str, Callable[[Tree, PathMutation, int], list[str]]]] = {
    "directory": _make_directory,
    "empty-file": _make_file,
    "symlink": _make_symlink,
    "hardlink": _make_hardlink,
    "permissions": _find_existing,
}


def _check(mutation: PathMutation) -> None:
    if mutation.type not in _APPLY:
        raise InputError(f"`{mutation.type}` is no type; there are {', '.join(_APPLY)}")
    if mutation.permissions is not None and mutation.permissions & ~MODE_BITS:
        raise InputError(f"permissions {mutation.permissions:#o} exceed 0o7777")


def _with_hardlinks(tree: Tree, paths: list[str]) -> list[str]:
    """The paths and all other names of the same files, which share their owner and mode."""
    nodes = [node for node in map(tree.get, paths) if node is not None]
    targets = {node.entry.link for node in nodes if node.entry.kind == "hardlink"}
    targets |= {node.entry.path for node in nodes if node.entry.kind == "file" and node.owner}
    if not targets:
        return paths
    links = [node.entry for node in tree if node.entry.kind == "hardlink"]
    names = [entry.path for entry in links if entry.link in targets]
    return list(dict.fromkeys([*paths, *targets, *names]))


def _set_metadata(tree: Tree, path: str, mutation: PathMutation) -> None:
    node = tree.get(path)
    if node is None:  # the root folder has no entry
        return
    entry = node.entry
    if mutation.permissions is not None and entry.kind != "symlink":
        entry = msgspec.structs.replace(entry, mode=mutation.permissions)
    if mutation.uid is not None or mutation.gid is not None:
        entry = msgspec.structs.replace(entry, uid=mutation.uid or 0, gid=mutation.gid or 0)
    if entry is not node.entry:
        tree.put(msgspec.structs.replace(node, entry=entry))
