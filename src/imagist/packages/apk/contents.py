"""The data segment of a package: its entries, each compared with the checksum recorded for it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec.structs import replace

from imagist.errors import Untrusted
from imagist.packages.listing import Listing
from imagist.rootfs.elf import LibraryScanner, SharedObject, is_library_name
from imagist.rootfs.entry import Entry
from imagist.rootfs.tarread import TarReader

_HELP: Final = "the package was damaged, or made to mislead; do not use it"


class Contents(msgspec.Struct, frozen=True):
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
    listing = Listing(reader, what)
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
            entry = replace(entry, sha1=actual)  # noqa: PLW2901
        if listing.add(entry):
            entries.append(entry)
    listing.check_links()
    reason = next((f"{why} (/{path})" for why, path in reader.oddities.items()), "")
    return Contents(tuple(entries), tuple(libraries), reason)


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
