"""The `files` of a declaration: content that the caller already read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from imagist.build.derived.place import make_folders, put_entry
from imagist.errors import InputError, RequestError
from imagist.rootfs.entry import MODE_BITS, Entry
from imagist.rootfs.tree import Tree


class DeclaredFile(msgspec.Struct, frozen=True):
    """A file, folder or symlink to place; a declared folder is given as one of these for each."""

    path: str
    data: bytes = b""
    kind: Literal["file", "directory", "symlink"] = "file"
    link: str = ""
    uid: int = 0
    gid: int = 0
    permissions: int | None = None
    """None: 0644, a folder 0755."""
    mtime: int | None = None
    """None: the image's epoch."""


def put_files(tree: Tree, files: Sequence[DeclaredFile], *, epoch: int) -> list[str]:
    """Place declared files over whatever is there; what was a package's is told as a warning.

    Folders in the path that are symlinks are followed; a symlink at the path itself is replaced.

    Raises:
        RequestError: a file where a folder is, or below something that is no folder.
    """
    warnings = []
    for number, file in enumerate(files):
        where = f"files[{number}] ({file.path})"
        if file.permissions is not None and file.permissions & ~MODE_BITS:
            raise RequestError(f"{where}: permissions {file.permissions:#o} exceed 0o7777")
        try:
            replaced = _put(tree, file, epoch if file.mtime is None else file.mtime)
        except InputError as error:
            raise RequestError(f"{where}: {error}") from None
        if replaced:
            warnings.append(f"{where} replaces the file of package {replaced}")
    return warnings


def _put(tree: Tree, file: DeclaredFile, mtime: int) -> str:
    """Place one file; the name of the package whose file it replaces, or ``""``."""
    mode = file.permissions
    if file.kind == "directory":
        path = make_folders(tree, file.path, mtime=mtime)
        entry = Entry(
            path, "directory", 0o755 if mode is None else mode, file.uid, file.gid, mtime
        )
        if path:
            put_entry(tree, entry)
        return ""
    path = tree.resolve(file.path)
    old = tree.get(path)
    if not path or (old is not None and old.entry.is_directory):
        raise InputError("there is a folder already")
    if file.kind == "symlink":
        entry = Entry(path, "symlink", 0o777, file.uid, file.gid, mtime, link=file.link)
    else:
        permissions = 0o644 if mode is None else mode
        size = len(file.data)
        entry = Entry(path, "file", permissions, file.uid, file.gid, mtime, size, data=file.data)
    put_entry(tree, entry)
    return old.owner if old is not None else ""
