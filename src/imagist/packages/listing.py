"""What the entries of one package rule out among each other, whatever its format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from imagist.errors import Untrusted
from imagist.rootfs.entry import Entry
from imagist.rootfs.tarread import TarReader

_WHITEOUT: Final = ".wh."
_OVERLAY_XATTRS: Final = ("trusted.overlay.", "user.overlay.", "user.fuseoverlayfs.")
_HELP: Final = "the package was damaged, or made to mislead; do not use it"


class Listing:
    """The paths seen so far, and what they rule out."""

    def __init__(self, reader: TarReader, what: str) -> None:
        """What is odd is noted by the reader; `what` names the package in errors."""
        self._reader = reader
        self._what = what
        self._seen: dict[str, Entry] = {}
        self._folders = {""}
        self._early_links: list[Entry] = []

    def add(self, entry: Entry) -> bool:
        """Note an entry; false where it says again what was said, or is the root itself.

        Raises:
            Untrusted: it contradicts what came before, or marks files of others as deleted.
        """
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
        """Check the hard links that stood before what they link to.

        Raises:
            Untrusted: one leads to no file of the package.
        """
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
