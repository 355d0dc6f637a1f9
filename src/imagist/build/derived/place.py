"""Putting nodes of the image into a tree: parents are made, symlinked folders are followed."""

from __future__ import annotations

from typing import Final

import msgspec

from imagist.errors import InputError
from imagist.rootfs.content import Contents
from imagist.rootfs.entry import Entry, parent
from imagist.rootfs.tree import Node, Tree

MAX_PATH: Final = 4096
MAX_NAME: Final = 255
"""Bytes of a path and of each of its parts, as Linux has them (PATH_MAX and NAME_MAX)."""


def is_too_long(path: str) -> bool:
    """Whether no process could open a file by this path; ask before going through its parts."""
    if len(path) > MAX_PATH:
        return True
    raw = path.encode("utf-8", "replace")  # one byte for each that was not UTF-8
    return len(raw) > MAX_PATH or any(len(part) > MAX_NAME for part in raw.split(b"/"))


def _resolve(tree: Tree, path: str, *, follow_last: bool = False) -> str:
    """`Tree.resolve` for paths of whatever length.

    Raises:
        InputError: the path, or where it leads, is too long.
    """
    if not is_too_long(path):
        place = tree.resolve(path, follow_last=follow_last)
        if not is_too_long(place):
            return place
    raise InputError(
        f"`{path[:60]}...` is too long: a path may have {MAX_PATH} bytes, and {MAX_NAME} "
        "between two slashes"
    )


def put_entry(tree: Tree, entry: Entry) -> str:
    """Set an entry of the image, replacing what is there, and return the path it landed at.

    Symlinks among the folders above it are followed inside the tree; the last part is not.

    Raises:
        InputError: something above the path is not a folder, or the path is too long.
    """
    path = _resolve(tree, entry.path)
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
        InputError: something above the path is not a folder, the path is one, or it is too long.
    """
    path = _resolve(tree, path, follow_last=True)
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
        InputError: something on the way is not a folder, or the path is too long.
    """
    path = _resolve(tree, path, follow_last=True)
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
    """See `Tree.find_file`."""
    return tree.find_file(path)


def read_file(tree: Tree, contents: Contents, path: str) -> bytes | None:
    """The content of the file at a path, symlinks followed; None where there is no file."""
    node = find_file(tree, path)
    return None if node is None else contents.read([node])[node.entry.path]
