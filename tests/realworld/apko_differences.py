"""Where an image differs on purpose from what apko 1.2.37 makes of the same YAML and packages.

The one table of exceptions: a difference that no line of it explains fails the comparison. Each
line says why, and checks that the difference is exactly the one it is meant for.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields

from realworld.flat import Item, Tree


@dataclass(frozen=True)
class Difference:
    """One kind of difference."""

    reason: str
    paths: str
    """A pattern for the whole path."""
    aspects: frozenset[str]
    """Fields of `Item`, or `only ours`, `only theirs`."""
    holds: Callable[[str, Tree, Tree], bool]
    """Given the path, our tree and apko's: whether it is this difference and no other."""


def _world(path: str, ours: Tree, theirs: Tree) -> bool:
    """Every word of ours is a package that theirs pins, or what such a one provides."""
    pinned = {word.partition("=")[0] for word in theirs.text(path).split()}
    records = read_database(theirs.text("lib/apk/db/installed"))
    provided = " ".join(records[name].fields.get("p", "") for name in pinned)
    names = pinned | {word.partition("=")[0] for word in provided.split()}
    return set(ours.text(path).split()) <= names and pinned <= records.keys()


def _cache(path: str, ours: Tree, theirs: Tree) -> bool:
    """The same libraries, once each; more where apko gave up at an `include`."""
    here, there = set(_libraries(ours, path)), set(_libraries(theirs, path))
    includes = re.search(r"^\s*include\b", ours.text("etc/ld.so.conf"), re.MULTILINE)
    return here >= there if includes else here == there


def _libraries(tree: Tree, path: str) -> Iterator[tuple[int, str, str]]:
    """Flags, name and true path of every entry (glibc's cache format 1.1)."""
    content = tree[path].content
    assert content is not None
    assert content.startswith(b"glibc-ld.so.cache1.1")
    (count,) = struct.unpack_from("<I", content, 20)
    for number in range(count):
        flags, key, value = struct.unpack_from("<iII", content, 48 + 24 * number)
        name, place = (content[at : content.index(0, at)].decode() for at in (key, value))
        yield flags, name, tree.resolve(place)


def _database(path: str, ours: Tree, theirs: Tree) -> bool:
    """The same packages with the same metadata, files, modes and checksums."""
    here, there = (read_database(tree.text(path)) for tree in (ours, theirs))
    linked = {name for item in ours.values() for name in item.names}

    def is_same(name: str) -> bool:
        mine, other = here[name], there[name]
        if mine.fields != other.fields or mine.entries.keys() != other.entries.keys():
            return False
        for file, (attributes, checksum) in mine.entries.items():
            # apk-tools records the checksum for every name of a file; apko only for one.
            unknown = ours.resolve(file) in linked and other.entries[file] == (attributes, "")
            if not unknown and other.entries[file] != (attributes, checksum):
                return False
        return True

    return there.keys() <= here.keys() and all(map(is_same, there))


@dataclass
class Record:
    """A package of an installed database."""

    fields: dict[str, str] = field(default_factory=dict)
    entries: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Attributes and checksum by path."""


def read_database(text: str) -> dict[str, Record]:
    """Packages by name, whatever the order and defaults of the writer."""
    return {
        record.fields["P"]: record
        for record in map(_read_record, text.strip("\n").split("\n\n"))
        if record.fields
    }


_DEFAULTS = {"", "0", "[]"}
"""Values that apko writes where apk-tools leaves the line out."""


def _read_record(text: str) -> Record:
    record = Record()
    folder = path = ""
    for line in text.splitlines():
        letter, _, value = line.partition(":")
        if letter == "F":
            folder = path = value
            record.entries[path] = ("0:0:755", "")
        elif letter == "R":
            path = f"{folder}/{value}".lstrip("/")
            record.entries[path] = ("0:0:644", "")
        elif letter in "Ma":
            uid, gid, mode, *_ = value.split(":")
            record.entries[path] = (f"{uid}:{gid}:{int(mode, 8):o}", record.entries[path][1])
        elif letter == "Z":
            record.entries[path] = (record.entries[path][0], value)
        elif value not in _DEFAULTS:
            record.fields[letter] = value
    return record


def _special_bits(path: str, ours: Tree, theirs: Tree) -> bool:
    return ours[path].mode & 0o7000 != 0 and theirs[path].mode == ours[path].mode & 0o777


def _owner(path: str, ours: Tree, theirs: Tree) -> bool:
    """Ours is the package's, which the databases of both record."""
    here = ours[path]
    recorded = {
        record.entries[path][0].rpartition(":")[0]
        for record in read_database(theirs.text("lib/apk/db/installed")).values()
        if path in record.entries
    }
    return theirs[path].uid == theirs[path].gid == 0 and f"{here.uid}:{here.gid}" in recorded


def _is_target(path: str, ours: Tree, theirs: Tree) -> bool:
    return theirs[path].mode == 0 and any(
        item.kind == "symlink" and ours.resolve(f"{item.link}/.") == path for item in ours.values()
    )


def _by_install_if(path: str, ours: Tree, theirs: Tree) -> bool:
    """It is of a package that apko did not install."""
    here, there = (read_database(tree.text("lib/apk/db/installed")) for tree in (ours, theirs))
    return any(path in here[name].entries for name in here.keys() - there.keys())


def _through_link(path: str, ours: Tree, theirs: Tree) -> bool:
    """A package has the file under a path that leads through a symlink; the bytes are equal."""
    names = ours[path].names
    listed = {
        entry
        for record in read_database(ours.text("lib/apk/db/installed")).values()
        for entry in record.entries
    }
    aliased = {ours.resolve(entry) for entry in listed if ours.resolve(entry) != entry}
    same = {theirs[name].sha256 for name in names} == {ours[path].sha256}
    return bool(names) and names <= aliased and same and not theirs[path].names


DIFFERENCES = (
    Difference(
        "world holds what was asked for; apko writes the pinned closure, which apk would then "
        "hold on to for ever",
        r"etc/apk/world",
        frozenset({"sha256"}),
        _world,
    ),
    Difference(
        "the resolved configuration is no file of the image: a lock holds it",
        r"etc/apko\.json",
        frozenset({"only theirs"}),
        lambda *_: True,
    ),
    Difference(
        "a library is listed once, not again through /lib -> usr/lib, and `include` is followed",
        r"etc/ld\.so\.cache",
        frozenset({"sha256"}),
        _cache,
    ),
    Difference(
        "written in apk-tools' order, with its defaults left out",
        r"(usr/)?lib/apk/db/installed",
        frozenset({"sha256"}),
        _database,
    ),
    Difference(
        "apko drops setuid, setgid and sticky of folders (melange 1395)",
        r".*",
        frozenset({"mode"}),
        lambda path, ours, theirs: (
            ours[path].kind == "directory" and _special_bits(path, ours, theirs)
        ),
    ),
    Difference(
        "apko drops the owners that packages give (melange 1395, apko PR 2455)",
        r".*",
        frozenset({"uid", "gid"}),
        _owner,
    ),
    Difference(
        "apko sets the mode of a symlink that `paths` makes on what it points to: 0 if not given",
        r".*",
        frozenset({"mode"}),
        _is_target,
    ),
    Difference(
        "apko gives certificates the build date and all else that it makes 0; here all is 0",
        r"etc/ssl/certs/.*|usr/local/share/ca-certificates/.*",
        frozenset({"mtime"}),
        lambda path, ours, theirs: ours[path].mtime == 0 < theirs[path].mtime,
    ),
    Difference(
        "apko copies a file for each of its names where a package writes them through a symlink",
        r".*",
        frozenset({"names"}),
        _through_link,
    ),
    Difference(
        "apko does not know `install_if`",
        r".*",
        frozenset({"only ours"}),
        _by_install_if,
    ),
    Difference(
        "apko writes a hardlink whose name sorts before its target's ahead of it, which no "
        "runtime can unpack",
        r".*",
        frozenset(each.name for each in fields(Item)),
        lambda path, ours, theirs: any(
            theirs[name].kind == "broken hardlink" for name in ours[path].names & theirs.keys()
        ),
    ),
)


def compare(ours: Tree, theirs: Tree) -> tuple[list[str], set[str]]:
    """What no line of the table explains, and the reasons that were needed."""
    unexplained: list[str] = []
    used: set[str] = set()
    for path in sorted(ours.keys() | theirs.keys()):
        for aspect, here, there in _aspects(ours.get(path), theirs.get(path)):
            reason = _explain(path, aspect, ours, theirs)
            if reason:
                used.add(reason)
            else:
                unexplained.append(f"/{path}: {aspect}: {here} here, {there} in apko's")
    return unexplained, used


def _aspects(ours: Item | None, theirs: Item | None) -> Iterator[tuple[str, object, object]]:
    if ours is None or theirs is None:
        yield ("only ours" if ours else "only theirs"), ours, theirs
        return
    for each in fields(Item):
        here, there = getattr(ours, each.name), getattr(theirs, each.name)
        if each.compare and here != there:
            yield each.name, here, there


def _explain(path: str, aspect: str, ours: Tree, theirs: Tree) -> str:
    for difference in DIFFERENCES:
        if aspect not in difference.aspects or not re.fullmatch(difference.paths, path):
            continue
        if difference.holds(path, ours, theirs):
            return difference.reason
    return ""
