"""The package database of an image: what scanners read, or all that dpkg itself needs.

Scanners look for one file for each package under `status.d`, a layout of images without dpkg: the
control file as it is, and beside it the MD5 of the files that are really there, by which they
tell a distribution's files from an application's. dpkg wants a single `status` and `info/*`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from imagist.errors import InputError, Problem
from imagist.packages.deb.archive import DebFiles
from imagist.packages.deb.binary import BinaryPackage
from imagist.packages.deb.installed import (
    FOLDER,
    INFO,
    LIST,
    MD5SUMS,
    STATUS,
    STATUS_FOLDER,
    split_status,
)
from imagist.rootfs.entry import Entry
from imagist.rootfs.tree import Node, Tree

_TRIGGERS: Final = f"{FOLDER}/triggers"
_FORMAT: Final = b"1\n"
"""Of the files in `info`: names carry the architecture where several can be there."""
_PACKAGE: Final = re.compile(rb"^Package:[ \t]*(\S+)", re.MULTILINE | re.IGNORECASE)
_ARCH: Final = re.compile(rb"^Architecture:[ \t]*(\S+)", re.MULTILINE | re.IGNORECASE)
_INTEREST: Final = re.compile(r"interest(?:-(await|noawait))?\s+([!-~]+)")
_NO_TRIGGER: Final = re.compile(r"[^/].*/.*|\.{1,2}|File|Unincorp|Lock")
"""What names no file among the triggers, or one of dpkg's own (deb-triggers(5))."""


class InstalledDeb(msgspec.Struct, frozen=True):
    """A package in the database, with what is in the image of it."""

    package: BinaryPackage
    control: str
    paths: tuple[str, ...] = ()
    """Folders and files, in the order of the package."""
    md5sums: str = ""
    """Of the files that are there as they were packed."""
    conffiles: tuple[tuple[str, str], ...] = ()
    """Path and the MD5 that was packed."""
    triggers: str = ""
    shlibs: str = ""
    scripts: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        """The name by which `info` tells packages apart."""
        package = self.package
        name = package.own_name
        return f"{name}:{package.architecture}" if package.multi_arch == "same" else name


class DatabaseFile(msgspec.Struct, frozen=True):
    """A file of the database."""

    path: str
    data: bytes
    mode: int = 0o644


def describe_installed(
    files: DebFiles, tree: Tree, moved: Mapping[str, str] | None = None
) -> InstalledDeb:
    """The record of a verified package, as far as its files are in a finished tree.

    Args:
        files: the package.
        tree: the image.
        moved: the entries that a symlinked folder led elsewhere: path to place (`merge.Merged`).
    """
    own = files.package.own_name  # the same package of another architecture shares its files
    moved = moved or {}
    there: list[str] = []
    unchanged: set[str] = set()
    for entry in files.entries:
        node = tree.get(moved.get(entry.path, entry.path))
        # What the image put in the place of a package's file is the package's path still.
        if node is None or not (entry.is_directory or _name_of(node) in {own, ""}):
            continue
        there.append(entry.path)
        if _is_unchanged(node, entry, files):
            unchanged.add(entry.path)
    listed = set(there)
    lines = [
        line
        for line in files.md5sums.split("\n")
        if line[32:34] == "  " and line[34:].removeprefix("./") in unchanged
    ]
    return InstalledDeb(
        files.package,
        files.control,
        tuple(there),
        "".join(f"{line}\n" for line in lines),
        tuple(each for each in files.conffiles if each[0] in listed),
        files.triggers,
        files.shlibs,
        files.scripts,
    )


def _is_unchanged(node: Node, entry: Entry, files: DebFiles) -> bool:
    """Whether a file has the content that it was packed with."""
    if entry.kind == "hardlink":
        return node.owner == files.package.name
    if node.owner != files.package.name:
        return entry.kind == "file" and _name_of(node) != "" and node.entry.sha1 == entry.sha1
    return entry.kind == "file" and node.blob == files.data and node.entry.offset == entry.offset


def _name_of(node: Node) -> str:
    """The name of the package that owns a file, whatever its architecture."""
    return node.owner.partition(":")[0]


def format_status_folder(records: Sequence[InstalledDeb]) -> list[DatabaseFile]:
    """`status.d`: the layout of images without dpkg.

    Raises:
        InputError: two packages have one name, and would have one file.
    """
    once: dict[str, InstalledDeb] = {}
    problems: list[Problem] = []
    for record in records:
        other = once.setdefault(record.package.name, record)
        if other is not record:
            archs = f"{other.package.architecture} and {record.package.architecture}"
            problems.append(
                Problem(
                    f"{record.package.name} is installed for {archs}, which `status.d` cannot say",
                    help="ask for the full package database",
                )
            )
    if problems:
        raise InputError(problems)
    found: list[DatabaseFile] = []
    for name, record in sorted(once.items()):
        found.append(DatabaseFile(f"{STATUS_FOLDER}/{name}", _encode(_ended(record.control))))
        if record.md5sums:
            path = f"{STATUS_FOLDER}/{name}{MD5SUMS}"
            found.append(DatabaseFile(path, _encode(record.md5sums)))
    return found


def format_full(
    records: Sequence[InstalledDeb], *, status: bytes = b"", interests: Mapping[str, bytes] = {}
) -> list[DatabaseFile]:
    """The database as dpkg keeps it, so that dpkg and apt go on with the image.

    Args:
        records: the packages.
        status: the `status` of a base image, whose other packages stay in front.
        interests: files of its folder `triggers`, by name.
    """
    found = [DatabaseFile(STATUS, merge_status(status, records))]
    found.append(DatabaseFile(f"{INFO}/format", _FORMAT))
    for record in sorted(records, key=lambda record: record.key):
        found += _format_info(record)
    found += _format_triggers(records, interests)
    return found


def merge_status(old: bytes, records: Iterable[InstalledDeb]) -> bytes:
    """A `status` with some packages more; those of the same name and architecture give way."""
    added = {(record.package.own_name, record.package.architecture): record for record in records}
    kept = [
        stanza
        for stanza in split_status(old)
        if (_find(_PACKAGE, stanza), _find(_ARCH, stanza)) not in added
    ]
    stanzas = [stanza + b"\n" for stanza in kept]
    stanzas += [_encode(_format_stanza(added[key])) for key in sorted(added)]
    return b"\n".join(stanzas) + b"\n" if stanzas else b""


def _find(pattern: re.Pattern[bytes], stanza: bytes) -> str:
    found = pattern.search(stanza)
    return found[1].decode("utf-8", "surrogateescape") if found else ""


def _format_stanza(record: InstalledDeb) -> str:
    """A stanza of `status`: the control file, that it is installed, and its configuration."""
    first, _, rest = _ended(record.control).partition("\n")
    lines = "".join(f" /{path} {md5}\n" for path, md5 in record.conffiles)
    conffiles = f"Conffiles:\n{lines}" if lines else ""
    return f"{first}\nStatus: install ok installed\n{rest}{conffiles}"


def _format_info(record: InstalledDeb) -> Iterator[DatabaseFile]:
    stem = f"{INFO}/{record.key}"
    listed = "".join(f"{path}\n" for path in ("/.", *(f"/{path}" for path in record.paths)))
    yield DatabaseFile(f"{stem}{LIST}", _encode(listed))
    conffiles = "".join(f"/{path}\n" for path, _ in record.conffiles)
    texts = {
        "md5sums": record.md5sums,
        "conffiles": conffiles,
        "triggers": record.triggers,
        "shlibs": record.shlibs,
    }
    for kind, text in texts.items():
        if text:
            yield DatabaseFile(f"{stem}.{kind}", _encode(text))
    for kind, text in record.scripts:
        yield DatabaseFile(f"{stem}.{kind}", _encode(text), 0o755)


def _format_triggers(
    records: Sequence[InstalledDeb], interests: Mapping[str, bytes]
) -> Iterator[DatabaseFile]:
    """Who is interested in which trigger: a file for each, and one for all that are paths."""
    lines: dict[str, list[str]] = {"File": []}
    for record in sorted(records, key=lambda record: record.key):
        for line in record.triggers.split("\n"):
            found = _INTEREST.match(line.partition("#")[0].strip())
            if found is None or _NO_TRIGGER.fullmatch(found[2]):
                continue
            who = record.key + ("/noawait" if found[1] == "noawait" else "")
            if found[2].startswith("/"):
                lines["File"].append(f"{found[2]} {who}\n")
            else:
                lines.setdefault(found[2], []).append(f"{who}\n")
    for name in sorted({*lines, *interests}):
        old = interests.get(name, b"")
        new = [line for line in map(_encode, lines.get(name, ())) if line not in old]
        yield DatabaseFile(f"{_TRIGGERS}/{name}", old + b"".join(new))
    yield DatabaseFile(f"{_TRIGGERS}/Unincorp", b"")


def _ended(text: str) -> str:
    return text.rstrip("\n") + "\n"


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
