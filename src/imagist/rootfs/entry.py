"""One entry of a file tree with all the metadata a layer can carry."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Kind = Literal["file", "directory", "symlink", "hardlink", "char", "block", "fifo"]

MODE_BITS: Final = 0o7777
"""Permission bits with setuid, setgid and sticky."""
MAX_ID: Final = (1 << 32) - 2
"""The highest number of a user or a group on Linux; one more means none."""


class Entry(msgspec.Struct, frozen=True, gc=False, array_like=True, omit_defaults=True):
    """An entry as a layer stores it (image-spec layer.md); immutable and small.

    `path` is relative, without leading `./` or `/` and without trailing `/`; names that are not
    UTF-8 keep their bytes by the `surrogateescape` error handler.
    """

    path: str
    kind: Kind = "file"
    mode: int = 0o644
    """Permission and special bits only, at most 0o7777."""
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    """Seconds since 1970, UTC."""
    size: int = 0
    """Bytes of content; 0 for everything that is not a file."""
    link: str = ""
    """A symlink's target as written, or a hardlink's path in the same tree."""
    offset: int = -1
    """Where the content starts in the uncompressed tar the entry was read from; -1: none."""
    data: bytes = b""
    """The content itself, of an entry that comes from no tar."""
    sha1: bytes = b""
    """SHA-1 of the content, or of a symlink's target (what APK databases record); b"": unknown."""
    xattrs: tuple[tuple[str, bytes], ...] = ()
    """Extended attributes, sorted by name."""
    device: tuple[int, int] = (0, 0)
    """Major and minor number of a device."""

    @property
    def is_directory(self) -> bool:
        """Whether this is a directory."""
        return self.kind == "directory"


def parent(path: str) -> str:
    """The folder a path lies in; `""` is the root."""
    return path.rpartition("/")[0]


def parents(path: str) -> list[str]:
    """The folders above a path without the root, the highest first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: number + 1]) for number in range(len(parts))]


def order(path: str) -> str:
    """Sort key that puts every folder directly before what lies in it."""
    return path.replace("/", "\0")  # no name holds a NUL, and nothing sorts before it
