"""APKINDEX: the records of a repository, and the archive they come in (apk-v2(5)).

The text has one `X:value` line for each field; a blank line ends a record, and so does the end of
the text. `table.IndexTable` finds records by name without reading all of them; `parse_index` reads
them all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from io import BytesIO
from typing import Final

import msgspec

from imagist.errors import InputError, Untrusted
from imagist.packages.apk.dependency import (
    Dependency,
    Provide,
    parse_dependency,
    parse_provide,
    satisfies,
)
from imagist.rootfs.inflate import Inflater
from imagist.rootfs.tarread import TarReader

MAX_INDEX: Final = 300 << 20
"""Bytes of an uncompressed index, unless the caller says otherwise; apko's limit."""

# Both become parts of file names and are shown on terminals: no control characters.
_NAME: Final = re.compile(r"[^\s/!@=<>~\0-\x1f\x7f-\x9f][^\s/@=<>~\0-\x1f\x7f-\x9f]{0,255}")
_VERSION: Final = re.compile(r"[^\s/\0-\x1f\x7f-\x9f]{1,256}")
_CHECKSUM: Final = re.compile(r"Q1[A-Za-z0-9+/]{27}=")
_SIGNATURE: Final = ".SIGN."
_NUMBERS: Final = re.compile(r"[0-9]{1,18}(?: [0-9]{1,18}){4}")
_RECORD_END: Final = re.compile(rb"\n\n+")


class Package(msgspec.Struct, frozen=True, gc=False):
    """What an index says of a package; lists hold their entries as written there."""

    name: str
    version: str
    arch: str = ""
    checksum: str = ""
    """`Q1` and the base64 of the SHA-1 of the control segment: the package's identity."""
    size: int = 0
    """Bytes of the .apk file."""
    installed_size: int = 0
    depends: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    install_if: tuple[str, ...] = ()
    origin: str = ""
    license: str = ""
    description: str = ""
    url: str = ""
    """The project's home page, not the place of the file."""
    maintainer: str = ""
    commit: str = ""
    build_time: int = 0
    """Seconds since 1970."""
    provider_priority: int = 0
    replaces_priority: int = 0

    def __str__(self) -> str:
        return f"{self.name}-{self.version}"

    @property
    def file_name(self) -> str:
        """The name of the package's file in its repository."""
        return f"{self.name}-{self.version}.apk"

    def offered_names(self) -> tuple[str, ...]:
        """Its own name, then those it provides."""
        return tuple(provide.name for provide in provides_of(self))

    def needed_names(self) -> tuple[str, ...]:
        """The names it depends on."""
        return tuple(each.name for each in depends_of(self) if not each.conflict)

    def replaces_files_of(self, other: Package) -> bool:
        """Whether it may overwrite files of another: `replaces` names it and its version.

        As apk-tools has it, only the other's own name counts, not what it provides.
        """
        if not self.replaces:
            return False
        own = Provide(other.name, other.version)
        wanted = map(parse_dependency, self.replaces)
        return any(satisfies(own, each, checksum=other.checksum) for each in wanted)

    def prevails_over(self, earlier: Package) -> bool | None:
        """Whether its file takes the place of an earlier package's; None: neither may.

        Where both replace each other the priority decides; packages of one origin may overwrite.
        """
        mine, theirs = self.replaces_files_of(earlier), earlier.replaces_files_of(self)
        if mine and theirs:
            return self.replaces_priority >= earlier.replaces_priority
        if theirs:
            return False
        return mine or bool(self.origin and self.origin == earlier.origin) or None


class Candidate(msgspec.Struct, frozen=True):
    """A package in the repository that offers it."""

    package: Package
    repository: int
    """Place of the repository in the declaration, 0 first."""
    tag: str
    """Tag of the repository without `@`, or empty."""
    url: str
    """Location of the .apk file."""

    def __str__(self) -> str:
        return str(self.package)

    @property
    def name(self) -> str:
        """The package's name."""
        return self.package.name

    @property
    def version(self) -> str:
        """The package's version."""
        return self.package.version


def provides_of(package: Package) -> tuple[Provide, ...]:
    """Everything a package offers: first its own name and version, then its provides."""
    own = Provide(package.name, package.version)
    return (own, *map(parse_provide, package.provides))


def depends_of(package: Package) -> tuple[Dependency, ...]:
    """What a package needs, and what it conflicts with."""
    return tuple(map(parse_dependency, package.depends))


def install_if_of(package: Package) -> tuple[Dependency, ...]:
    """What must all be installed for the package to be installed by itself."""
    return tuple(map(parse_dependency, package.install_if))


def parse_index(text: bytes) -> list[Package]:
    """Read all records of an APKINDEX.

    Raises:
        InputError: a record is malformed.
    """
    records = _RECORD_END.split(text.strip(b"\n"))
    return [parse_record(record) for record in records if record]


def parse_record(record: bytes) -> Package:
    """Read one record: its lines without the blank line at its end. Unknown fields are ignored.

    Raises:
        InputError: a line is no field, a number is none, or what identifies a package is absent.
    """
    lines = record.decode("utf-8", "replace").strip("\n").split("\n")
    fields = {line[0]: line[2:] for line in lines if line[1:2] == ":"}
    if len(fields) != len(lines):
        _check_lines(lines, fields.get("P", ""))
    get = fields.get
    name, version, checksum = get("P", ""), get("V", ""), get("C", "")
    if not _NAME.fullmatch(name):
        raise InputError(f"an index record names no package: `{(name or lines[0])[:60]}`")
    if not _VERSION.fullmatch(version):
        raise InputError(f"the index record of {name} has no version: `{version[:60]}`")
    if not _CHECKSUM.fullmatch(checksum):
        raise InputError(
            f"the index record of {name}-{version} has no SHA-1 checksum: `{checksum}`",
            help="a package without one cannot be verified; index the repository again",
        )
    numbers = [get(field) or "0" for field in "SItkq"]
    if not _NUMBERS.fullmatch(" ".join(numbers)):
        raise InputError(f"the index record of {name}-{version} has a number that is none")
    size, installed_size, build_time, provider_priority, replaces_priority = map(int, numbers)
    return Package(
        name,
        version,
        get("A", ""),
        checksum,
        size,
        installed_size,
        _split_list(get("D")),
        _split_list(get("p")),
        _split_list(get("r")),
        _split_list(get("i")),
        get("o", ""),
        get("L", ""),
        get("T", ""),
        get("U", ""),
        get("m", ""),
        get("c", ""),
        build_time,
        provider_priority,
        replaces_priority,
    )


def _split_list(value: str | None) -> tuple[str, ...]:
    if not value:
        return ()
    if value.startswith("[") and value.endswith("]"):
        value = value[1:-1]  # how apko and melange write install_if
    return tuple(value.split())


def _check_lines(lines: list[str], name: str) -> None:
    """Raise for the first line that is no field, and for a second name.

    Any other repeated field is none of our business.
    """
    for line in lines:
        if line[1:2] != ":":
            where = f"the index record of {name}" if name else "an index record"
            raise InputError(f"{where} has a line that is no field: `{line[:60]}`")
    names = [line[2:] for line in lines if line.startswith("P:")]
    if len(names) > 1:
        raise InputError(f"an index record has two names, the second `{names[1][:60]}`")


def format_record(package: Package) -> str:
    """A record as apk-tools orders its fields, without the blank line after it."""
    fields: tuple[tuple[str, str | int], ...] = (
        ("C", package.checksum),
        ("P", package.name),
        ("V", package.version),
        ("A", package.arch),
        ("S", str(package.size)),
        ("I", str(package.installed_size)),
        ("T", package.description),
        ("U", package.url),
        ("L", package.license),
        ("o", package.origin),
        ("m", package.maintainer),
        ("t", package.build_time),
        ("c", package.commit),
        ("k", package.provider_priority),
        ("D", " ".join(package.depends)),
        ("p", " ".join(package.provides)),
        ("i", " ".join(package.install_if)),
        ("r", " ".join(package.replaces)),
        ("q", package.replaces_priority),
    )
    return "".join(f"{field}:{value}\n" for field, value in fields if value)


class IndexArchive(msgspec.Struct, frozen=True):
    """An APKINDEX.tar.gz taken apart, not yet verified (apk-v2(5), "Signatures")."""

    signatures: tuple[tuple[str, bytes], ...]
    """Entries `.SIGN.<algorithm>.<key>` with the raw signature; none in an unsigned index."""
    signed: memoryview
    """What the signatures are over: the compressed bytes after the signatures' gzip member.

    Empty when the signatures stand in one member with the rest, where they can be over nothing.
    """
    what: str
    """The name of the file in errors."""
    inflate: Callable[[], Iterable[bytes]]
    """The tar archive that has the text, in pieces."""

    def read_text(self) -> Iterator[bytes | memoryview]:
        """The APKINDEX in pieces. It is sound only after the last of them.

        Raises:
            Untrusted: the archive is damaged, larger than the limit, or has its text twice.
            InputError: there is no APKINDEX in it.
        """
        reader = TarReader(self.inflate(), what=self.what)
        found = False
        for entry in reader:
            if entry.kind != "file" or entry.path != "APKINDEX":
                continue
            if found:
                raise Untrusted(f"{self.what} has more than one APKINDEX in it")
            found = True
            yield from reader.content()
        if not found:
            raise InputError(
                f"{self.what} has no APKINDEX in it",
                help="is this the APKINDEX.tar.gz of a repository?",
            )


def split_index(
    blob: bytes, limit: int = MAX_INDEX, *, what: str = "the package index"
) -> IndexArchive:
    """Find the signatures of an APKINDEX.tar.gz; little more of it than these is read.

    With signatures, the text comes from the signed bytes alone; otherwise `signed` is empty.

    Args:
        blob: the file.
        limit: bytes that the archive may have when uncompressed.
        what: names the file in errors.

    Raises:
        Untrusted: the archive is damaged, or larger than the limit.
    """

    def inflate_from(start: int, limit: int) -> Iterator[bytes]:
        stream = BytesIO(blob)
        stream.seek(start)
        return Inflater(stream, what=what).read_rest(limit=limit)

    # 1. Unsigned, all members together are one tar, which may be cut anywhere between them.
    first = next(iter(TarReader(inflate_from(0, limit), what=what)), None)
    if first is None or not first.path.startswith(_SIGNATURE):
        return IndexArchive((), memoryview(blob), what, partial(inflate_from, 0, limit))
    # 2. Signed, the first member holds signatures alone, and they are over all that follows.
    member = Inflater(BytesIO(blob), what=what).read_member(raw_limit=len(blob), limit=limit)
    raw, content = len(member[0]), member[1]
    reader = TarReader([content], what=what)
    files = [(entry.path, reader.read(limit)) for entry in reader if entry.kind == "file"]
    signatures = tuple(file for file in files if file[0].startswith(_SIGNATURE))
    if len(signatures) < len(files):
        return IndexArchive(signatures, memoryview(b""), what, lambda: [content])
    rest = partial(inflate_from, raw, limit - len(content))
    return IndexArchive(signatures, memoryview(blob)[raw:], what, rest)
