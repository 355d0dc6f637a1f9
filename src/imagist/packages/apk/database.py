"""The installed database of apk-tools: `installed`, `scripts.tar` and `triggers`.

Field order and defaults are apk-tools' own, so that it, scanners and later builds on top of an
image read the same. Reading also takes what other builders write.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from imagist.errors import InputError
from imagist.packages.apk.archive import ApkFiles
from imagist.packages.apk.index import Package, format_record, parse_record
from imagist.rootfs.entry import MODE_BITS, Entry, order
from imagist.rootfs.tarwrite import END, padding, tar_header

_RECORD_END: Final = re.compile(rb"\n\n+")
_FILES: Final = frozenset(b"FMRaZ")
"""Fields that list files; all others describe the package."""
_KNOWN: Final = frozenset("CPVASITULomtckDpirqs")
_FOLDER_MODE: Final = 0o755
_FILE_MODE: Final = 0o644
_SCRIPT_MODE: Final = 0o755


class InstalledPackage(msgspec.Struct, frozen=True):
    """A package in the database, with the files it owns there."""

    package: Package
    entries: tuple[Entry, ...] = ()
    """Of a database that was read, all are folders and files: it does not tell what kind."""
    scripts: tuple[tuple[str, int, bytes], ...] = ()
    """Name (`.post-install` ...), mode and text; kept in `scripts.tar`, not in `installed`."""
    triggers: tuple[str, ...] = ()
    """Path patterns; kept in `triggers`, not in `installed`."""
    tag: str = ""
    """The tag of the repository the package is pinned to."""
    attributes: Mapping[str, str] = {}
    """Path to the checksum of its extended attributes, where they themselves are not known."""
    other: tuple[str, ...] = ()
    """Lines of the record that mean nothing to imagist, kept as they are."""
    text: bytes = b""
    """The whole record, where it is at hand."""


def describe_installed(
    files: ApkFiles,
    *,
    package: Package | None = None,
    entries: Iterable[Entry] | None = None,
    tag: str = "",
) -> InstalledPackage:
    """The record of a verified package.

    Args:
        files: the package.
        package: what the index says of it, where that differs from `.PKGINFO`.
        entries: what is left of it in the image; all its entries if not given.
        tag: the tag of the repository it is pinned to.
    """
    return InstalledPackage(
        package or files.package,
        files.entries if entries is None else tuple(entries),
        files.scripts,
        files.triggers,
        tag,
        text=files.record if package is None and entries is None and not tag else b"",
    )


def with_record(files: ApkFiles) -> ApkFiles:
    """The same package with its record, which need then not be made for every image.

    Raises:
        InputError: a path has a line break, which the format cannot carry.
    """
    record = _format_package(describe_installed(files))
    return msgspec.structs.replace(files, record=record)


def format_installed(records: Sequence[InstalledPackage]) -> bytes:
    """The text of `installed`: the records in the order given.

    Folders stand in path order, each followed by its files in byte order.

    Raises:
        InputError: a path has a line break, which the format cannot carry.
    """
    return b"".join(record.text or _format_package(record) for record in records)


def format_scripts(records: Sequence[InstalledPackage | ApkFiles], mtime: int = 0) -> bytes:
    """The tar `scripts.tar`, with `<name>-<version>.Q1....post-install` and so on.

    Args:
        records: the packages, in the order given.
        mtime: seconds since 1970, for all scripts.
    """
    parts: list[bytes] = []
    for record in records:
        for name, _, text in record.scripts:
            path = f"{record.package}.{record.package.checksum}{name}"
            entry = Entry(path, mode=_SCRIPT_MODE, mtime=mtime, size=len(text))
            parts += (tar_header(entry), text, padding(len(text)))
    return b"".join([*parts, END])


def format_triggers(records: Sequence[InstalledPackage | ApkFiles]) -> bytes:
    """The text of `triggers`: a line of checksum and path patterns for each package with any."""
    lines = [
        f"{record.package.checksum} {' '.join(record.triggers)}\n"
        for record in records
        if record.triggers
    ]
    return "".join(lines).encode("utf-8", "surrogateescape")


def parse_installed(text: bytes) -> list[InstalledPackage]:
    """Read an `installed`, written by apk-tools, apko or imagist.

    Raises:
        InputError: a record is malformed.
    """
    records = _RECORD_END.split(text.strip(b"\n"))
    return [_parse_package(record) for record in records if record]


def _format_package(record: InstalledPackage) -> bytes:
    lines = [format_record(record.package)]
    if record.tag:
        lines.append(f"s:{record.tag}\n")
    lines += [f"{line}\n" for line in record.other]
    folders: dict[str, Entry | None] = {}
    files: dict[str, list[tuple[str, Entry]]] = {}
    hashes: dict[str, bytes] = {}
    for entry in record.entries:
        path = entry.path
        if "\n" in path:
            raise InputError(
                f"{record.package} has a file whose name has a line break, {path!r}, "
                "which the package database cannot list",
                help="leave the package out, or ask its maintainer to rename the file",
            )
        if entry.kind == "directory":
            folders[path] = entry
            continue
        folder, _, name = path.rpartition("/")
        folders.setdefault(folder, None)
        files.setdefault(folder, []).append((name, entry))
        hashes[path] = entry.sha1
    for folder in sorted(folders, key=order):
        lines.append(f"F:{folder}\n")
        own = folders[folder]
        if own is not None and folder:
            lines.append(_format_owner("M", own, _FOLDER_MODE, record.attributes))
        for name, entry in sorted(files.get(folder, ()), key=_name):
            owner = _format_owner("a", entry, _FILE_MODE, record.attributes)
            # A hard link is recorded with the checksum of the file it is.
            sha1 = (entry.kind == "hardlink" and hashes.get(entry.link)) or entry.sha1
            checksum = f"Z:{_format_checksum(sha1)}\n" if sha1 else ""
            lines.append(f"R:{name}\n{owner}{checksum}")
    lines.append("\n")
    return "".join(lines).encode("utf-8", "surrogateescape")


def _name(item: tuple[str, Entry]) -> bytes:
    return item[0].encode("utf-8", "surrogateescape")


def _format_owner(field: str, entry: Entry, default: int, attributes: Mapping[str, str]) -> str:
    """The line for owner and mode: none where they are root's and the default."""
    known = attributes.get(entry.path, "") if attributes else ""
    digest = _checksum_attributes(entry) if entry.xattrs else known
    if entry.mode == default and not entry.uid and not entry.gid and not digest:
        return ""
    end = f":{digest}" if digest else ""
    return f"{field}:{entry.uid}:{entry.gid}:{entry.mode & MODE_BITS:o}{end}\n"


def _checksum_attributes(entry: Entry) -> str:
    """SHA-1 over names and values by name, each after its length as four bytes, big-endian."""
    state = hashlib.sha1()
    for name, value in sorted(entry.xattrs):
        for part in (name.encode("utf-8", "surrogateescape"), value):
            state.update(len(part).to_bytes(4, "big") + part)
    return _format_checksum(state.digest())


def _format_checksum(sha1: bytes) -> str:
    return "Q1" + binascii.b2a_base64(sha1, newline=False).decode("ascii")


class _Reading:
    """The files of one record while its lines are read."""

    def __init__(self, what: str) -> None:
        self.entries: list[Entry] = []
        self.attributes: dict[str, str] = {}
        self._what = what
        self._folder = ""

    def read(self, line: bytes) -> None:
        field, value = line[:1], line[2:].decode("utf-8", "surrogateescape")
        if field == b"F":
            self._folder = value.strip("/")
            self.entries.append(Entry(self._folder, "directory", _FOLDER_MODE))
        elif field == b"R":
            path = f"{self._folder}/{value}" if self._folder else value
            self.entries.append(Entry(path, "file", _FILE_MODE))
        elif not self.entries:
            raise self._refuse(value)
        elif field == b"Z":
            self._change(sha1=_parse_checksum(value))
        else:
            self._read_owner(value)

    def _read_owner(self, value: str) -> None:
        uid, _, rest = value.partition(":")
        gid, _, rest = rest.partition(":")
        mode, _, digest = rest.partition(":")
        if not (uid.isdecimal() and gid.isdecimal() and re.fullmatch("[0-7]{1,7}", mode)):
            raise self._refuse(value)
        if digest:
            self.attributes[self.entries[-1].path] = digest
        self._change(mode=int(mode, 8) & MODE_BITS, uid=int(uid), gid=int(gid))

    def _change(self, **values: object) -> None:
        self.entries[-1] = msgspec.structs.replace(self.entries[-1], **values)

    def _refuse(self, value: str) -> InputError:
        return InputError(
            f"the installed database has a malformed line for {self._what}: `{value[:60]}`",
            help="the base image may be damaged; use another one",
        )


def _parse_package(record: bytes) -> InstalledPackage:
    lines = record.split(b"\n")
    about = [line for line in lines if line[0] not in _FILES or line[1:2] != b":"]
    package = parse_record(b"\n".join(about))
    reading = _Reading(str(package))
    for line in lines:
        if line[0] in _FILES and line[1:2] == b":":
            reading.read(line)
    texts = [line.decode("utf-8", "surrogateescape") for line in about]
    return InstalledPackage(
        package,
        # The root is listed for the sake of files in it, and is no folder of the package.
        tuple(entry for entry in reading.entries if entry.path),
        tag=next((text[2:] for text in texts if text.startswith("s:")), ""),
        attributes=reading.attributes,
        other=tuple(text for text in texts if text[0] not in _KNOWN),
    )


def _parse_checksum(value: str) -> bytes:
    """The SHA-1 of a `Z:` line; none where it is of another kind."""
    if not value.startswith("Q1"):
        return b""
    try:
        digest = binascii.a2b_base64(value[2:])
    except ValueError:
        return b""
    return digest if len(digest) == hashlib.sha1().digest_size else b""
