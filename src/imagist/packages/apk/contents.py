"""The data segment of a package: its entries, each compared with the checksum recorded for it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from imagist.errors import Untrusted
from imagist.rootfs.elf import LibraryScanner, SharedObject, is_library_name
from imagist.rootfs.entry import Entry
from imagist.rootfs.tarread import TarReader

_WHITEOUT: Final = ".wh."
_OVERLAY_XATTRS: Final = ("trusted.overlay.", "user.overlay.", "user.fuseoverlayfs.")
_HELP: Final = "the package was damaged, or made to mislead; do not use it"


class Contents(NamedTuple):
    """What a data segment holds."""

    entries: tuple[Entry, ...]
    """In tar order, every path once; each file and symlink with its SHA-1."""
    libraries: tuple[SharedObject, ...]
    verbatim: str
    """Why the segment cannot be a layer as it is; empty where it can."""


def read_contents(reader: TarReader, what: str) -> Contents:
    """Read a whole data segment.

    Files and symlinks without a recorded checksum (packages of old tools) get the one they have:
    the hash of the whole segment vouches for them.

    Raises:
        Untrusted: a file is not the one that was recorded, or entries contradict each other.
    """
    listing = _Listing(reader, what)
    entries: list[Entry] = []
    libraries: list[SharedObject] = []
    legacy = True
    for entry in reader:
        path = entry.path
        # Packages of old tools have control files before the first file of the package.
        if legacy:
            if path[:1] == "." and "/" not in path and entry.kind == "file":
                reader.note("has control files among its files", path)
                continue
            legacy = not path
        kind = entry.kind
        if kind == "file":
            if is_library_name(path[path.rfind("/") + 1 :]):
                actual = _read_library(reader, path, libraries)
            else:
                actual = _hash(reader.content())
        elif kind == "symlink":
            actual = hashlib.sha1(entry.link.encode("utf-8", "surrogateescape")).digest()
        else:
            actual = entry.sha1
        if actual != entry.sha1:
            if entry.sha1:
                raise Untrusted(
                    f"/{path} in {what} does not have the SHA-1 that is recorded for it: "
                    f"{entry.sha1.hex()} is, {actual.hex()} was found",
                    help=_HELP,
                )
            entry = msgspec.structs.replace(entry, sha1=actual)  # noqa: PLW2901
        if listing.add(entry):
            entries.append(entry)
    listing.check_links()
    reason = next((f"{why} (/{path})" for why, path in reader.oddities.items()), "")
    return Contents(tuple(entries), tuple(libraries), reason)


class _Listing:
    """The paths seen so far, and what they rule out."""

    def __init__(self, reader: TarReader, what: str) -> None:
        self._reader = reader
        self._what = what
        self._seen: dict[str, Entry] = {}
        self._folders = {""}
        self._early_links: list[Entry] = []

    def add(self, entry: Entry) -> bool:
        """Note an entry; false where it says again what was said, or is the root itself."""
        path = entry.path
        if entry.xattrs or entry.kind == "char":
            self._check_markers(entry)
        if not path:
            self._reader.note("has an entry for the root folder", "")
            return False
        first = self._seen.setdefault(path, entry)
        if first is not entry:
            self._check_same(first, entry)
            return False
        folder = path.rpartition("/")[0]
        if folder not in self._folders:
            self._check_parents(path)
        if _WHITEOUT in path and f"/{_WHITEOUT}" in f"/{path}":
            raise Untrusted(
                f"{self._what} has /{path}, a name that in an image removes other files",
                help=_HELP,
            )
        if entry.kind == "directory":
            if folder in self._folders:
                self._folders.add(path)
        elif path in self._folders:
            raise Untrusted(
                f"{self._what} has files below /{path}, which is a {entry.kind}", help=_HELP
            )
        elif entry.kind == "hardlink":
            target = self._seen.get(entry.link)
            if target is None or target is entry:
                self._early_links.append(entry)
            else:
                self._check_target(entry, target)
        return True

    def _check_markers(self, entry: Entry) -> None:
        """Refuse what overlay file systems take for their own marks (Linux overlayfs.rst)."""
        if entry.kind == "char" and entry.device == (0, 0):
            raise Untrusted(
                f"{self._what} has /{entry.path}, a device 0:0, which in an image removes "
                "other files",
                help=_HELP,
            )
        for name, _ in entry.xattrs:
            if name.startswith(_OVERLAY_XATTRS):
                raise Untrusted(
                    f"{self._what} gives /{entry.path} the attribute {name}, which in an image "
                    "can hide other files",
                    help=_HELP,
                )

    def check_links(self) -> None:
        """Check the hard links that stood before what they link to."""
        for entry in self._early_links:
            target = self._seen.get(entry.link)
            if target is None or target is entry:
                raise Untrusted(
                    f"{self._what} has a hard link /{entry.path} to /{entry.link}, "
                    "which is not in the package",
                    help=_HELP,
                )
            self._check_target(entry, target)
            self._reader.note("has hard links before the files they link to", entry.path)

    def _check_target(self, entry: Entry, target: Entry) -> None:
        if target.kind in {"directory", "hardlink"} and not self._ends_in_file(target):
            raise Untrusted(
                f"{self._what} has a hard link /{entry.path} to /{entry.link}, "
                f"a {target.kind} that is no file",
                help=_HELP,
            )

    def _ends_in_file(self, entry: Entry) -> bool:
        passed = set()
        while entry.kind == "hardlink" and entry.path not in passed:
            passed.add(entry.path)
            entry = self._seen.get(entry.link, entry)
        return entry.kind not in {"directory", "hardlink"}

    def _check_same(self, first: Entry, again: Entry) -> None:
        self._reader.note("lists a path twice", again.path)
        if first.kind != again.kind or (first.sha1, first.link) != (again.sha1, again.link):
            raise Untrusted(f"{self._what} has two different files /{again.path}", help=_HELP)

    def _check_parents(self, path: str) -> None:
        """Check the folders above a path that are not known to be folders all the way."""
        folder = path.rpartition("/")[0]
        clean = True
        while folder:
            above = self._seen.get(folder)
            if above is not None and above.kind == "symlink":
                clean = False
                self._reader.note("has files below its own symlinks", path)
            elif above is not None and above.kind != "directory":
                raise Untrusted(
                    f"{self._what} has /{path} below /{folder}, which is a {above.kind}",
                    help=_HELP,
                )
            folder = folder.rpartition("/")[0]
        while clean and path:
            path = path.rpartition("/")[0]
            self._folders.add(path)


def _hash(pieces: Iterable[bytes | memoryview]) -> bytes:
    state = hashlib.sha1()
    for piece in pieces:
        state.update(piece)
    return state.digest()


def _read_library(reader: TarReader, path: str, libraries: list[SharedObject]) -> bytes:
    """The SHA-1 of a shared library, noting it on the way if it is one."""
    state = hashlib.sha1()
    scanner = LibraryScanner(path)
    for piece in reader.content():
        state.update(piece)
        scanner.feed(piece)
    found = scanner.finish()
    if found is not None:
        libraries.append(found)
    return state.digest()


def find_obstacle(entries: Sequence[Entry]) -> str:
    """Why runtimes may unpack these entries each in its way, or to what the tree has not."""
    folders = {""}
    links: list[Entry] = []
    for entry in entries:
        if entry.path.rpartition("/")[0] not in folders:
            return f"/{entry.path} comes without its folder"
        if entry.kind == "directory":
            folders.add(entry.path)
        elif entry.kind == "hardlink":
            links.append(entry)
    by_path = {entry.path: entry for entry in entries} if links else {}
    for link in links:
        target = by_path.get(link.link)
        if target is not None and not is_one_file(link, target):
            return f"the hardlink /{link.path} differs from its target in owner, mode or time"
    return ""


def is_one_file(link: Entry, target: Entry) -> bool:
    """Whether a hardlink says the same of the file as its target does."""
    return (
        (link.mode, link.uid, link.gid, link.mtime)
        == (target.mode, target.uid, target.gid, target.mtime)
    ) and link.xattrs in {(), target.xattrs}
