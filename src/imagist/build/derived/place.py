"""Putting nodes of the image into a tree: parents are made, symlinked folders are followed."""

from __future__ import annotations

import msgspec

from imagist.errors import InputError
from imagist.rootfs.content import Contents
from imagist.rootfs.entry import Entry, parent
from imagist.rootfs.tree import Node, Tree


def put_entry(tree: Tree, entry: Entry) -> str:
    """Set an entry of the image, replacing what is there, and return the path it landed at.

    Symlinks among the folders above it are followed inside the tree; the last part is not.

    Raises:
        InputError: something above the path is not a folder.
    """
    path = tree.resolve(entry.path)
    make_folders(tree, parent(path), mtime=entry.mtime)
    tree.put(Node(entry if path == entry.path else msgspec.structs.replace(entry, path=path)))
    return path


def put_file(
    tree: Tree,
    path: str,
    data: bytes,
    *,
    epoch: int,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
) -> str:
    """Write a file as a process would: a symlink at the path is followed.

    Raises:
        InputError: something above the path is not a folder, or the path is one.
    """
    path = tree.resolve(path, follow_last=True)
    old = tree.get(path)
    if old is not None and old.entry.is_directory:
        raise InputError(f"/{path} is to be written as a file, but it is a folder")
    return put_entry(
        tree,
        Entry(path, mode=mode, uid=uid, gid=gid, mtime=epoch, size=len(data), data=data),
    )


def rewrite_file(tree: Tree, node: Node, data: bytes, *, epoch: int) -> None:
    """Give a file other content; mode, owner and extended attributes stay."""
    entry = msgspec.structs.replace(
        node.entry, size=len(data), data=data, mtime=epoch, offset=-1, sha1=b""
    )
    tree.put(Node(entry))


def make_folders(tree: Tree, path: str, *, mtime: int) -> str:
    """Make a folder and those above it where missing, 0755 and root's; return where it is.

    Raises:
        InputError: something on the way is not a folder.
    """
    path = tree.resolve(path, follow_last=True)
    above = path
    while above:
        node = tree.get(above)
        if node is not None and not node.entry.is_directory:
            raise InputError(f"/{path} cannot be a folder: /{above} is a {node.entry.kind}")
        above = parent(above)
    if path and path not in tree:
        tree.make_parents(path, mtime=mtime)
        tree.put(Node(Entry(path, "directory", 0o755, mtime=mtime)))
    return path


def find_file(tree: Tree, path: str) -> Node | None:
    """The regular file a process would read by this path, hardlinks and symlinks followed."""
    node = tree.find(path)
    for _ in range(len(tree)):
        if node is None or node.entry.kind != "hardlink":
            break
        node = tree.get(node.entry.link)
    return node if node is not None and node.entry.kind == "file" else None


def read_file(tree: Tree, contents: Contents, path: str) -> bytes | None:
    """The content of the file at a path, symlinks followed; None where there is no file."""
    node = find_file(tree, path)
    return None if node is None else contents.read([node])[node.entry.path]
