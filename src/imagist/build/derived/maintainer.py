"""What maintainer scripts of Debian packages would have done, followed in the tree of an image."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec.structs import replace

from imagist.build.derived.place import find_file, make_folders, put_entry, put_file, read_file
from imagist.errors import InputError
from imagist.packages.deb.archive import DebFiles
from imagist.packages.deb.owners import GROUPS, USERS
from imagist.packages.deb.scripts.follow import Followed, follow_script
from imagist.packages.deb.scripts.system import Alternative
from imagist.rootfs.content import Contents
from imagist.rootfs.entry import MAX_ID, MODE_BITS, Entry, parent
from imagist.rootfs.tree import Node, Tree

_WAYS: Final = (("preinst", ("install",)), ("postinst", ("configure", "")))
"""The scripts of a first installation, and what dpkg would give them."""
_KNOWN: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    (r"libc6", ()),  # it looks at the running system, and asks to restart services
    (r"ca-certificates", ("certificates",)),
    (r"ca-certificates-java", ("certificates", "keystore")),  # it has Java write the keystore
    (r"usrmerge|usr-is-merged", ()),  # the image is so from the beginning
    (r"(lib)?python3\.\d+(-minimal|-stdlib|-venv)?", ("pycache",)),
)
"""Packages whose scripts need not be followed, with what the image has in their place."""


_FIRST: Final = ("base-passwd", "base-files")


_ID: Final = re.compile(r"[0-9]{1,10}")
_MOST_LOOKED: Final = 20_000_000
"""Nodes that one script may go through: those of a large image, two hundred times."""
_NO_ACCOUNTS: Final[Mapping[str, int]] = MappingProxyType({})


class Report(msgspec.Struct, frozen=True):
    """What became of all scripts."""

    scripts: int = 0
    """How many there are that a first installation would run."""
    effects: frozenset[str] = frozenset()
    """What the image is to have: `alternatives`, `pycache`, `certificates`, `keystore` ..."""
    replaced: tuple[str, ...] = ()
    """Packages whose scripts are followed, or replaced, to their end."""
    ignored: Mapping[str, tuple[str, ...]] = {}
    """Packages whose scripts do what is not understood, and what that is."""

    def __str__(self) -> str:
        line = f"scripts not run: {self.scripts}; packages that are as if they had: "
        line += f"{len(self.replaced)}; not understood, so that something may be missing: "
        return f"{line}{', '.join(sorted(self.ignored)) or 'none'} (`scripts: fail` tells what)"


class Derived(msgspec.Struct, frozen=True):
    """What the scripts ask for."""

    report: Report
    offered: tuple[Alternative, ...]
    chosen: Mapping[str, str]
    """Path by name of an alternative."""


def follow_scripts(
    tree: Tree,
    contents: Contents,
    packages: Sequence[DebFiles],
    *,
    arch: str,
    users: Mapping[str, int] = _NO_ACCOUNTS,
    groups: Mapping[str, int] = _NO_ACCOUNTS,
    epoch: int,
) -> Derived:
    """Do to a tree what the scripts of packages would do, as far as they are understood.

    Args:
        tree: the packages, merged.
        contents: reads files of packages that are in the tree.
        packages: in the order of installation.
        arch: the Debian architecture of the image.
        users: accounts that the image gets otherwise, and their numbers.
        groups: groups that it gets otherwise.
        epoch: mtime of what is made here, in seconds since 1970.
    """
    system = TreeSystem(tree, contents, users=users, groups=groups, epoch=epoch)
    count = 0
    effects: set[str] = set()
    replaced: list[str] = []
    ignored: dict[str, tuple[str, ...]] = {}
    for files in sorted(packages, key=lambda files: _rank(files.package.name)):
        name = files.package.name
        scripts = dict(files.scripts)
        ways = [(script, arguments) for script, arguments in _WAYS if script in scripts]
        count += len(ways)
        followed = [
            _follow(name, scripts[script], system, arguments, arch) for script, arguments in ways
        ]
        done = {effect for each in followed for effect in each.effects}
        unknown = tuple(dict.fromkeys(what for each in followed for what in each.unknown))
        effects |= done
        if unknown:
            ignored[name] = unknown
        elif done:
            replaced.append(name)
    report = Report(count, frozenset(effects), tuple(replaced), ignored)
    return Derived(report, tuple(system.offered), system.chosen)


def _rank(name: str) -> int:
    """Accounts come before all else, then the folders of every system; as debootstrap has it."""
    return _FIRST.index(name) if name in _FIRST else len(_FIRST)


def _follow(
    name: str, text: str, system: TreeSystem, arguments: Sequence[str], arch: str
) -> Followed:
    for pattern, effects in _KNOWN:
        if re.fullmatch(pattern, name):
            return Followed(effects, ())
    system.begin_script()
    return follow_script(text, system, package=name, arguments=arguments, arch=arch)


class TreeSystem:
    """A tree as scripts see it (`scripts.system.System`)."""

    def __init__(
        self,
        tree: Tree,
        contents: Contents,
        *,
        users: Mapping[str, int] = _NO_ACCOUNTS,
        groups: Mapping[str, int] = _NO_ACCOUNTS,
        epoch: int,
    ) -> None:
        """`users` and `groups` are those the image gets otherwise, with their numbers."""
        self.offered: list[Alternative] = []
        self.chosen: dict[str, str] = {}
        self._tree = tree
        self._contents = contents
        self._declared = {"passwd": users, "group": groups}
        self._epoch = epoch
        self._looked = 0
        """Nodes that the present script has gone through."""

    def begin_script(self) -> None:
        """Another script is to be followed, which may look around as much as any."""
        self._looked = 0

    # -- looking -----------------------------------------------------------------------------

    def exists(self, path: str) -> bool:
        """Whether there is anything, at the end of symlinks."""
        return self._place(path) == "" or self._tree.find(path) is not None

    def is_kind(self, path: str, kind: str) -> bool:
        """Whether there is a `file`, a `directory` or, not followed, a `symlink`."""
        place = self._place(path, follow=kind != "symlink")
        if not place:
            return kind == "directory"
        node = self._tree.get(place)
        return node is not None and (
            node.entry.kind == kind or (kind == "file" and node.entry.kind == "hardlink")
        )

    def is_empty(self, path: str) -> bool:
        """Whether a file has no content, or a folder nothing in it."""
        if self.is_kind(path, "directory"):
            return not any(self._below(self._place(path)))
        node = find_file(self._tree, path)
        return node is None or not node.entry.size

    def read_link(self, path: str) -> str | None:
        """The text of a symlink; None where there is none."""
        node = self._tree.get(self._place(path, follow=False))
        return node.entry.link if node is not None and node.entry.kind == "symlink" else None

    def read_text(self, path: str) -> str | None:
        """The text of a small file; None where there is none."""
        data = read_file(self._tree, self._contents, path)
        return None if data is None else data.decode("utf-8", "replace")

    def glob(self, pattern: str) -> list[str]:
        """The paths that match, in order."""
        folder, _, name = pattern.rpartition("/")
        if not folder or re.search(r"[*?\[]", folder):
            return []
        place = self._place(folder)
        found = [
            node.entry.path.rpartition("/")[2]
            for node in self._below(place)
            if parent(node.entry.path) == place
        ]
        return [
            f"{folder}/{each}" for each in found if each[:1] != "." and fnmatchcase(each, name)
        ]

    def has_user(self, name: str) -> bool:
        """Whether an account is there, or will be."""
        return self._find_account("passwd", name) is not None

    def has_group(self, name: str) -> bool:
        """Whether a group is there, or will be."""
        return self._find_account("group", name) is not None

    # -- changing ----------------------------------------------------------------------------

    def make_folder(self, path: str, mode: int) -> None:
        """Make a folder and those above it; one that is there keeps its mode."""
        place = self._place(path)
        is_new = place not in self._tree
        place = make_folders(self._tree, place, mtime=self._epoch)
        if is_new and place:
            self._change(place, mode=mode)

    def copy(self, source: str, target: str) -> None:
        """Copy a file with its mode and owner."""
        node = find_file(self._tree, source)
        if node is None:
            raise InputError(f"{source} is no file")
        place = self._place(target)
        make_folders(self._tree, parent(place), mtime=self._epoch)
        self._tree.put(Node(replace(node.entry, path=place), blob=node.blob))

    def write(self, path: str, data: bytes) -> None:
        """Make a file, or replace its content."""
        put_file(self._tree, path, data, epoch=self._epoch)

    def link(self, target: str, path: str) -> None:
        """Make a symlink in place of what is there."""
        place = self._place(path, follow=False)
        put_entry(self._tree, Entry(place, "symlink", 0o777, mtime=self._epoch, link=target))

    def move(self, source: str, target: str) -> None:
        """Rename a file or a symlink."""
        old = self._place(source, follow=False)
        node = self._tree.get(old)
        if node is None or node.entry.is_directory:
            raise InputError(f"{source} is no file")
        place = self._place(target, follow=False)
        make_folders(self._tree, parent(place), mtime=self._epoch)
        self._tree.remove(old)
        self._tree.put(Node(replace(node.entry, path=place), blob=node.blob))

    def remove(self, path: str) -> None:
        """Remove a file, or a folder with what is in it."""
        place = self._place(path, follow=False)
        if place:
            self._tree.remove(place)

    def set_mode(self, path: str, mode: int, *, recursive: bool) -> None:
        """As chmod(1)."""
        for place in self._places(path, recursive=recursive):
            self._change(place, mode=mode & MODE_BITS)

    def set_owner(
        self, path: str, user: str, group: str, *, recursive: bool, follow: bool
    ) -> None:
        """As chown(1); an empty name leaves what is there."""
        uid = self._number("passwd", user) if user else None
        gid = self._number("group", group) if group else None
        for place in self._places(path, recursive=recursive, follow=follow):
            self._change(place, uid=uid, gid=gid)

    def add_alternative(self, alternative: Alternative) -> None:
        """Offer an alternative."""
        self.offered.append(alternative)

    def prefer_alternative(self, name: str, path: str) -> None:
        """Choose an alternative, whatever the priorities."""
        self.chosen[name] = path

    def update_shells(self) -> None:
        """See that /etc/shells lists the shells of the packages (update-shells(8))."""
        old = read_file(self._tree, self._contents, "etc/shells") or b""
        texts = [old]
        for name in self.glob("/usr/share/debianutils/shells.d/*"):
            texts.append(read_file(self._tree, self._contents, name) or b"")
        lines: list[str] = []
        for line in b"\n".join(texts).decode("utf-8", "surrogateescape").splitlines():
            shells = (line, f"/{self._tree.resolve(line)}") if line.startswith("/") else (line,)
            lines += [each for each in dict.fromkeys(shells) if each and each not in lines]
        data = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
        if data != old:
            self.write("/etc/shells", data)

    # -- within ------------------------------------------------------------------------------

    def _place(self, path: str, *, follow: bool = True) -> str:
        return self._tree.resolve(path, follow_last=follow)

    def _below(self, folder: str) -> Iterable[Node]:
        """What is below a folder, unless the script has asked for that too often already."""
        self._looked += len(self._tree)
        if self._looked > _MOST_LOOKED:
            raise InputError("it goes through the whole image again and again")
        return self._tree.below(folder)

    def _places(self, path: str, *, recursive: bool, follow: bool = True) -> Iterable[str]:
        top = self._place(path, follow=follow)
        below = self._below(top) if recursive else ()
        return [top, *(node.entry.path for node in below)]

    def _change(
        self,
        place: str,
        *,
        mode: int | None = None,
        uid: int | None = None,
        gid: int | None = None,
    ) -> None:
        node = self._tree.get(place)
        if node is None:
            return
        entry = node.entry
        if mode is not None and entry.kind != "symlink":
            entry = replace(entry, mode=mode)
        if uid is not None:
            entry = replace(entry, uid=uid)
        if gid is not None:
            entry = replace(entry, gid=gid)
        if entry != node.entry:
            self._tree.put(replace(node, entry=entry))

    def _number(self, database: str, name: str) -> int:
        found = _read_id(name) if name.isdecimal() else self._find_account(database, name)
        if found is None:
            kind = "user" if database == "passwd" else "group"
            raise InputError(f"there is no {kind} {name} yet")
        return found

    def _find_account(self, database: str, name: str) -> int | None:
        """The number of an account."""
        text = read_file(self._tree, self._contents, f"etc/{database}") or b""
        for line in text.decode("utf-8", "surrogateescape").splitlines():
            fields = line.split(":")
            if (
                fields[0] == name
                and len(fields) > 2
                and (found := _read_id(fields[2])) is not None
            ):
                return found
        if name in self._declared[database]:
            return self._declared[database][name]
        if text:
            return None
        # Without base-passwd in the image, names mean what they mean on every Debian system.
        return (USERS if database == "passwd" else GROUPS).get(name)


def _read_id(text: str) -> int | None:
    """The number of an account, as Linux can have it."""
    number = int(text) if _ID.fullmatch(text) else None
    return number if number is not None and number <= MAX_ID else None
