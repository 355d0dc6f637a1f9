"""Which libraries belong into `etc/ld.so.cache`, as glibc's ldconfig decides, from a tree."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import translate
from typing import Final

import msgspec

from imagist.build.derived.ldformat import CacheEntry, format_cache, order_of_name
from imagist.build.derived.place import find_file, is_too_long, put_file, read_file
from imagist.rootfs.content import Contents
from imagist.rootfs.elf import SharedObject
from imagist.rootfs.entry import parent
from imagist.rootfs.tree import Tree

CONF: Final = "etc/ld.so.conf"
CACHE: Final = "etc/ld.so.cache"
SYSTEM_FOLDERS: Final = ("/lib", "/usr/lib")
_LIBC6: Final = 3
_MAX_INCLUDES: Final = 16
_MOST_PATTERNS: Final = 100
"""Patterns after `include` in all files together; each may go through a whole folder."""
_WILD: Final = re.compile(r"[*?\[]")
_DSO: Final = re.compile(r"(?:lib|ld-).*\.so|ld\.so|ld64\.so", re.DOTALL)
_TEMPORARY: Final = (".dpkg-new", ".dpkg-tmp", "-gdb.py")
_X86, _S390, _ARM, _PPC64, _X86_64, _AARCH64, _RISCV, _LOONGARCH = 3, 22, 40, 21, 62, 183, 243, 258
_PLAIN_FLAGS: Final = {
    (_X86, 32): 0,
    (_X86_64, 64): 0x0300,
    (_X86_64, 32): 0x0800,
    (_S390, 64): 0x0400,
    (_S390, 32): 0,
    (_PPC64, 64): 0x0500,
    (_AARCH64, 64): 0x0A00,
}
_ARM_FLOAT: Final = {0x200: 0x0B00, 0x400: 0x0900, 0: 0}
_RISCV_FLOAT: Final = {0: 0x0F00, 4: 0x1000}
_LOONGARCH_FLOAT: Final = {1: 0x1100, 3: 0x1200}


class _Found(msgspec.Struct, frozen=True):
    """A file of a folder that is a library, under the name it has there."""

    name: str
    soname: str
    is_link: bool
    flags: int


def put_ld_cache(
    tree: Tree, contents: Contents, libraries: Mapping[str, SharedObject], *, epoch: int
) -> list[str]:
    """Write etc/ld.so.cache; `libraries` are the shared objects of the packages by path.

    Nothing is written for images without etc/ld.so.conf (musl needs none).
    """
    if find_file(tree, CONF) is None:
        return []
    warnings: list[str] = []
    by_path = {tree.resolve(path): library for path, library in libraries.items()}
    endianness = Counter(library.little_endian for library in by_path.values())
    little_endian = max(endianness, key=lambda order: (endianness[order], order), default=True)
    folders = list(_library_folders(tree, contents, warnings))
    entries = find_libraries(tree, by_path, folders, little_endian=little_endian)
    put_file(tree, CACHE, format_cache(entries, little_endian=little_endian), epoch=epoch)
    return warnings


def find_libraries(
    tree: Tree,
    libraries: Mapping[str, SharedObject],
    folders: Iterable[str],
    *,
    little_endian: bool = True,
) -> list[CacheEntry]:
    """The entries of a cache over some folders, given as absolute paths in order of preference.

    A folder given twice, or under two names (merged /usr), counts once, under its first name.
    """
    names = _names_by_folder(tree, libraries)
    entries: list[CacheEntry] = []
    seen: set[str] = set()
    for folder in folders:
        place = tree.resolve(folder, follow_last=True)
        if place in seen:
            continue
        seen.add(place)
        for hwcaps, subfolder in [("", ""), *_hwcaps_folders(names, place)]:
            here = f"{place}/{subfolder}".strip("/")
            shown = f"{folder.rstrip('/')}/{subfolder}".rstrip("/")
            for found in _search(tree, libraries, here, names.get(here, ()), little_endian):
                name = found.name if hwcaps else _name_to_open(tree, here, found)
                path = f"{shown}/{name}"
                entries.append(CacheEntry(found.soname, path, found.flags, hwcaps))
    return entries


def cache_flags(library: SharedObject) -> int | None:
    """The kind of a library in a cache (glibc ldconfig.h); None: no loader would take it."""
    flags: int | None
    if library.machine == _ARM and library.bits == 32:
        flags = _ARM_FLOAT.get(library.flags & 0x600)
    elif library.machine == _RISCV:
        flags = _RISCV_FLOAT.get(library.flags & 0x6)
    elif library.machine == _LOONGARCH:
        flags = _LOONGARCH_FLOAT.get(library.flags & 0x7)
    else:
        flags = _PLAIN_FLAGS.get((library.machine, library.bits))
    return None if flags is None else flags | _LIBC6


def parse_conf(text: bytes) -> Iterator[tuple[str, str]]:
    """The lines of an ld.so.conf as ("folder" | "include", value)."""
    for line in text.decode("utf-8", "surrogateescape").splitlines():
        stripped = line.partition("#")[0].strip()
        word, _, rest = stripped.replace("\t", " ").partition(" ")
        if word == "include":
            yield from (("include", pattern) for pattern in rest.split())
        elif word == "hwcap" or not stripped:
            continue
        else:
            # `=libc6` after a folder was once the kind of its libraries.
            yield "folder", stripped.partition("=")[0].rstrip()


def _library_folders(tree: Tree, contents: Contents, warnings: list[str]) -> Iterator[str]:
    yield from _Configuration(tree, contents, warnings).folders(CONF, depth=0)
    yield from SYSTEM_FOLDERS


class _Configuration:
    """One walk through ld.so.conf and what it includes.

    A file is read once: folders count only where they stand first, so that reading it again
    would change nothing, and files that include each other would be read for ever.
    """

    def __init__(self, tree: Tree, contents: Contents, warnings: list[str]) -> None:
        self._tree = tree
        self._contents = contents
        self._warnings = warnings
        self._warned: set[str] = set()
        self._read: set[str] = set()
        self._patterns = 0

    def folders(self, path: str, depth: int) -> Iterator[str]:
        """The folders a file lists, with those of the files that it includes in their place."""
        place = self._tree.resolve(path, follow_last=True)
        if place in self._read:
            return
        if depth > _MAX_INCLUDES:
            self._warn(f"/{path} is included more than {_MAX_INCLUDES} levels deep; left out")
            return
        self._read.add(place)
        text = read_file(self._tree, self._contents, place)
        if text is None:
            return
        for kind, value in parse_conf(text):
            if is_too_long(value):
                self._warn(f"/{path} has a path that is too long, `{value[:60]}...`; left out")
            elif kind == "include":
                pattern = value if value.startswith("/") else f"{parent(path)}/{value}"
                for included in self._match(pattern):
                    yield from self.folders(included, depth + 1)
            elif value.startswith("/"):
                yield value if value == "/" else value.rstrip("/")
            else:
                self._warn(f"/{path} lists `{value}`, which is not an absolute path; left out")

    def _match(self, pattern: str) -> list[str]:
        self._patterns += 1
        if self._patterns == _MOST_PATTERNS + 1:
            self._warn(
                f"/{CONF} leads to more than {_MOST_PATTERNS} includes; the rest is left out"
            )
        return _glob(self._tree, pattern) if self._patterns <= _MOST_PATTERNS else []

    def _warn(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            self._warnings.append(message)


def _glob(tree: Tree, pattern: str) -> list[str]:
    """The paths a glob(7) pattern matches; wildcards are for the last part alone."""
    folder, _, name = pattern.strip("/").rpartition("/")
    if not _WILD.search(name):
        return [f"{folder}/{name}"]
    place = tree.resolve(folder, follow_last=True)
    matches = re.compile(translate(name)).match
    found = (node.entry.path for node in tree.below(place) if parent(node.entry.path) == place)
    names = (path.rpartition("/")[2] for path in found)
    hidden = name.startswith(".")
    return [f"{place}/{n}" for n in names if matches(n) and (hidden or not n.startswith("."))]


def _names_by_folder(tree: Tree, libraries: Mapping[str, SharedObject]) -> dict[str, list[str]]:
    """The names in each folder that may be libraries: files that are, and symlinks."""
    names: dict[str, list[str]] = {}
    links = (node.entry.path for node in tree.symlinks())
    for path in sorted({*links, *(path for path in libraries if path in tree)}):
        folder, _, name = path.rpartition("/")
        if _DSO.match(name) and not name.endswith(_TEMPORARY):
            names.setdefault(folder, []).append(name)
    return names


def _hwcaps_folders(names: Mapping[str, object], place: str) -> list[tuple[str, str]]:
    """The glibc-hwcaps folders of a folder, as their name and their path from it."""
    prefix = f"{place}/glibc-hwcaps/".lstrip("/")
    found = sorted(name[len(prefix) :] for name in names if name.startswith(prefix))
    return [(name, f"glibc-hwcaps/{name}") for name in found if "/" not in name]


def _search(
    tree: Tree,
    libraries: Mapping[str, SharedObject],
    folder: str,
    names: Iterable[str],
    little_endian: bool,
) -> Iterable[_Found]:
    """One library for each soname of a folder: files before links, then the newest name."""
    best: dict[tuple[str, int], _Found] = {}
    for name in names:
        found = _inspect(tree, libraries, f"{folder}/{name}".lstrip("/"), name, little_endian)
        if found is None:
            continue
        key = (found.soname, found.flags)
        other = best.get(key)
        if other is None or _rank(found) > _rank(other):
            best[key] = found
    return best.values()


def _rank(found: _Found) -> tuple[bool, tuple[tuple[int, int], ...]]:
    return not found.is_link, order_of_name(found.name)


def _inspect(
    tree: Tree, libraries: Mapping[str, SharedObject], path: str, name: str, little_endian: bool
) -> _Found | None:
    file = find_file(tree, path)
    library = libraries.get(file.entry.path) if file is not None else None
    if library is None or library.little_endian != little_endian:
        return None
    flags = cache_flags(library)
    if flags is None:
        return None
    soname = library.soname
    node = tree.get(path)
    if node is None or node.entry.kind != "symlink":
        return _Found(name, soname, False, flags)
    # A link named like the library, or its `.so` for the linker, is found by its own name; any
    # other link is as good as a file.
    is_link = name == soname or (name.endswith(".so") and soname.startswith(name))
    return _Found(name, name if is_link else soname, is_link, flags)


def _name_to_open(tree: Tree, folder: str, found: _Found) -> str:
    """The soname, so that an updated library is found too; the file where no such link exists."""
    soname = f"{folder}/{found.soname}".lstrip("/")
    return found.soname if find_file(tree, soname) is not None else found.name
