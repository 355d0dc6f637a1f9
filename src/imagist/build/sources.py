"""What lies at a local path that `files` names: read once, described, and told apart."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from imagist.digest import sha256
from imagist.errors import InputError, NotFound
from imagist.store.memo import memo_key

MAX_FILE: Final = 1 << 30
"""Bytes of the largest local file; larger things belong into packages."""


class SourceItem(msgspec.Struct, frozen=True):
    """A file, folder or symlink of a source."""

    path: str
    """Below the source; empty for the source itself."""
    kind: Literal["file", "directory", "symlink"]
    link: str = ""
    data: bytes = b""
    executable: bool = False


def read_source(source: Path) -> list[SourceItem]:
    """A file, or a folder with all that lies in it, in the order of their paths.

    Raises:
        NotFound: there is nothing.
        InputError: something cannot be read, or is neither file, folder nor symlink.
    """
    try:
        status = source.stat()
    except OSError as error:
        raise NotFound(f"`{source}` cannot be read: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode):
        return [_read_file(source, "")]
    below = sorted(_walk(source), key=lambda path: path.parts)
    return [SourceItem("", "directory"), *(_read_item(source, path) for path in below)]


def digest_of(items: Sequence[SourceItem]) -> str:
    """What tells apart what was read: names, links, bytes, run bits."""
    return memo_key(
        [(each.path, each.kind, each.link, sha256(each.data), each.executable) for each in items]
    )


def source_digest(path: str) -> str:
    """What `digest_of` gives for what lies at a path now; empty where it cannot be read."""
    try:
        return digest_of(read_source(Path(path)))
    except (InputError, NotFound):
        return ""


def _walk(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise InputError(f"`{error.filename}` cannot be read: {error.strerror}") from error

    for above, folders, files in os.walk(folder, onerror=refuse):
        yield from (Path(above, name) for name in (*folders, *files))


def _read_item(source: Path, path: Path) -> SourceItem:
    name = path.relative_to(source).as_posix()
    if path.is_symlink():
        return SourceItem(name, "symlink", str(path.readlink()))
    if path.is_dir():
        return SourceItem(name, "directory")
    return _read_file(path, name)


def _read_file(path: Path, name: str) -> SourceItem:
    try:
        # A pipe without a writer would keep the opening waiting for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"`{path}` is neither a file nor a folder")
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            data = stream.read(MAX_FILE + 1)
    except OSError as error:
        raise InputError(f"`{path}` cannot be read: {error.strerror}") from error
    if len(data) > MAX_FILE:
        raise InputError(f"`{path}` has more than {MAX_FILE} bytes; put it into a package")
    return SourceItem(name, "file", "", data, bool(status.st_mode & stat.S_IXUSR))
