"""The data member of a .deb rewritten as a layer, while it is read.

Names lose their `./`, folders stand above what lies in them, owners are numbers; the tar is then
compressed as every layer that imagist writes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from typing import Final

import msgspec
from msgspec.structs import replace

from imagist.errors import Untrusted
from imagist.packages.deb.owners import GROUPS, USERS
from imagist.packages.listing import Listing, find_obstacle
from imagist.rootfs.compress import Compressed, GzipWriter
from imagist.rootfs.elf import LibraryScanner, SharedObject, is_library_name
from imagist.rootfs.entry import Entry, parent
from imagist.rootfs.tarread import TarReader
from imagist.rootfs.tarwrite import END, padding, tar_header

_HELP: Final = "the package was damaged, or made to mislead; do not use it"
_NAMES: Final = slice(265, 329)
"""User and group name in a header (POSIX ustar)."""


class Layer(msgspec.Struct, frozen=True):
    """What came of a data member."""

    compressed: Compressed
    entries: tuple[Entry, ...]
    """In the order of the new tar, which their offsets point into; with SHA-1."""
    libraries: tuple[SharedObject, ...]
    obstacle: str
    """Why the tar cannot be a layer as it is; empty where it can."""
    md5: dict[str, str]
    """MD5 of files in hex, of those that were asked for."""

    def md5sums(self, conffiles: Collection[str]) -> str:
        """The `md5sums` that dpkg makes of a package which brings none."""
        left_out = frozenset(conffiles)
        return "".join(
            f"{digest}  {path}\n" for path, digest in self.md5.items() if path not in left_out
        )


def rewrite_as_layer(
    reader: TarReader,
    write: Callable[[bytes], object],
    what: str,
    *,
    md5: Collection[str] | None = (),
) -> Layer:
    """Read a data member to its end, and write it as a gzip'd layer.

    Args:
        reader: the data member.
        write: takes the layer's bytes.
        what: names the package in errors.
        md5: the files whose MD5 is wanted; None: all.

    Raises:
        Untrusted: entries contradict each other, or carry what dpkg would not unpack.
    """
    rewriting = _Rewriting(reader, what, md5)
    # One thread for each package: several packages are worked on at a time.
    with GzipWriter(write, jobs=1) as gzip:
        rewriting.run(gzip.write)
    entries = tuple(rewriting.entries)
    return Layer(
        gzip.close(),
        entries,
        tuple(rewriting.libraries),
        rewriting.obstacle or find_obstacle(entries),
        rewriting.md5,
    )


class _Rewriting:
    """One pass over a data member."""

    def __init__(self, reader: TarReader, what: str, md5: Collection[str] | None) -> None:
        self.entries: list[Entry] = []
        self.libraries: list[SharedObject] = []
        self.md5: dict[str, str] = {}
        self.obstacle = ""
        self._reader = reader
        self._what = what
        self._wanted = md5
        self._listing = Listing(reader, what)
        self._folders = {""}
        self._made: dict[str, int] = {}
        """Place among the entries of folders that were made here."""
        self._size = 0
        self._owners: dict[bytes, tuple[int | None, int | None]] = {}

    def run(self, write: Callable[[bytes | memoryview], object]) -> None:
        for entry in self._reader:
            if not self._is_new(entry):
                continue
            self._add_folders(entry, write)
            entry = self._with_owner(entry)  # noqa: PLW2901
            if entry.path in self._made:
                self._correct(entry)
                continue
            header = tar_header(entry)
            self._size += len(header)
            write(header)
            if entry.kind == "file":
                entry = self._copy(entry, write)  # noqa: PLW2901
            elif entry.kind == "symlink":
                target = entry.link.encode("utf-8", "surrogateescape")
                entry = replace(entry, sha1=hashlib.sha1(target).digest())  # noqa: PLW2901
            elif entry.kind == "hardlink" and entry.link in self.md5:
                self.md5[entry.path] = self.md5[entry.link]
            self.entries.append(entry)
        self._listing.check_links()
        early = self._reader.oddities.get("has hard links before the files they link to")
        if early is not None:
            self.obstacle = f"/{early} is a hardlink before its file"
        write(END)

    def _is_new(self, entry: Entry) -> bool:
        if entry.xattrs or entry.sha1:
            raise self._refuse(f"has attributes on /{entry.path} that dpkg would not unpack")
        if self._listing.add(entry):
            return True
        if entry.path and not entry.is_directory:
            raise self._refuse(f"has /{entry.path} twice")
        return False

    def _add_folders(self, entry: Entry, write: Callable[[bytes], object]) -> None:
        """Write the folders above an entry that were not listed, as dpkg would make them."""
        path = entry.path
        if entry.is_directory:
            self._folders.add(path)
        missing = []
        while (path := parent(path)) not in self._folders:
            missing.append(path)
            self._folders.add(path)
        for folder in reversed(missing):
            made = Entry(folder, "directory", 0o755, mtime=entry.mtime)
            self._made[folder] = len(self.entries)
            header = tar_header(made)
            self._size += len(header)
            write(header)
            self.entries.append(made)

    def _correct(self, entry: Entry) -> None:
        """Take a folder that is listed after what lies in it; in the tar it stands otherwise."""
        if not entry.is_directory:
            raise self._refuse(f"has files below /{entry.path}, which is a {entry.kind}")
        self.entries[self._made[entry.path]] = entry
        self.obstacle = f"/{entry.path} is listed after what lies in it"

    def _with_owner(self, entry: Entry) -> Entry:
        """The entry with the numbers of the accounts it names, where all systems have them."""
        names = self._reader.header[_NAMES]
        owner = self._owners.get(names)
        if owner is None:
            user, group = names[:32].partition(b"\0")[0], names[32:].partition(b"\0")[0]
            owner = self._owners[names] = (
                USERS.get(user.decode("latin-1")),
                GROUPS.get(group.decode("latin-1")),
            )
        uid = entry.uid if owner[0] is None else owner[0]
        gid = entry.gid if owner[1] is None else owner[1]
        if (uid, gid) == (entry.uid, entry.gid):
            return entry
        return replace(entry, uid=uid, gid=gid)

    def _copy(self, entry: Entry, write: Callable[[bytes | memoryview], object]) -> Entry:
        """Copy the content of a file; the entry with its new place and its SHA-1."""
        path = entry.path
        offset = self._size
        sha1 = hashlib.sha1()
        md5 = hashlib.md5() if self._wanted is None or path in self._wanted else None
        name = path[path.rfind("/") + 1 :]
        scanner = LibraryScanner(path) if is_library_name(name) else None
        for piece in self._reader.content():
            sha1.update(piece)
            if md5 is not None:
                md5.update(piece)
            if scanner is not None:
                scanner.feed(piece)
            write(piece)
        end = padding(entry.size)
        if end:
            write(end)
        self._size += entry.size + len(end)
        found = scanner.finish() if scanner is not None else None
        if found is not None:
            self.libraries.append(found)
        if md5 is not None:
            self.md5[path] = md5.hexdigest()
        return replace(entry, offset=offset, sha1=sha1.digest())

    def _refuse(self, why: str) -> Untrusted:
        return Untrusted(f"{self._what} {why}", help=_HELP)
