"""Packages files: what a repository says of its packages, a stanza each (Debian Policy 5.3).

`table.IndexTable` finds packages by name without reading all stanzas, 70,000 in Debian's main
component; `parse_record` reads one.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Final

import msgspec

from imagist.errors import InputError
from imagist.packages.deb.dependency import (
    NAME,
    Clause,
    Provide,
    parse_clauses,
    parse_provides,
)
from imagist.packages.deb.installed import is_installed
from imagist.packages.deb.version import is_valid

MAX_INDEX: Final = 512 << 20
"""Bytes of an uncompressed Packages file, unless the caller says otherwise."""
ALL: Final = "all"
"""The architecture of packages that are alike on every one."""
KIBI: Final = 1024
"""Bytes of a unit of `Installed-Size`."""
PRIORITIES: Final = {
    name: place
    for place, name in enumerate(("required", "important", "standard", "optional", "extra"), 1)
}
# Fields that decide something. Written in another case they would be the same field to one reader
# and an unknown one to another.
_FIELDS: Final = (
    "Package", "Version", "Architecture", "Multi-Arch", "Essential", "Protected", "Important",
    "Priority", "Section", "Source", "Size", "Installed-Size", "SHA256", "Filename", "Depends",
    "Pre-Depends", "Conflicts", "Breaks", "Replaces", "Provides", "Status",
)  # fmt: skip
_KNOWN: Final = {field.lower(): field for field in _FIELDS}
_ARCH: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_NUMBER: Final = re.compile(r"[0-9]{1,15}")
_UNPRINTABLE: Final = re.compile(r"[\0-\x08\x0b-\x1f\x7f]")
_SOURCE: Final = re.compile(r"([^\s()]+)(?:\s*\(([^\s()]+)\))?")
_MULTI_ARCH: Final = frozenset({"", "no", "same", "foreign", "allowed"})


class Package(msgspec.Struct, frozen=True, dict=True):
    """What an index or a database of installed packages says of a package.

    Fields of relations hold their text; the properties have it read.
    """

    name: str
    version: str
    architecture: str
    """A Debian architecture, or `all`."""
    multi_arch: str = ""
    """`same`, `foreign`, `allowed`, or empty."""
    essential: bool = False
    protected: bool = False
    """Marked `Protected` or `Important`: removing it needs a good reason."""
    priority: str = ""
    section: str = ""
    source: str = ""
    """The source package, where that has another name."""
    source_version: str = ""
    """Its version, where that is another one."""
    size: int = 0
    """Bytes of the .deb."""
    installed_size: int = 0
    """Bytes of its files, by the packager's estimate."""
    sha256: str = ""
    """Of the .deb, in hex: the package's identity. Empty for an installed one."""
    filename: str = ""
    """The place of the .deb below the repository."""
    depends: str = ""
    pre_depends: str = ""
    conflicts: str = ""
    breaks: str = ""
    replaces: str = ""
    provides: str = ""

    def __str__(self) -> str:
        return f"{self.name}-{self.version}"

    @property
    def origin(self) -> str:
        """The name of the source package: what was built together has the same one."""
        return self.source or self.name

    @property
    def rank(self) -> int:
        """Its priority as a number, 1 for `required`; lower is more important."""
        return PRIORITIES.get(self.priority, len(PRIORITIES))

    def clauses(self, field: str, native: str) -> tuple[Clause, ...]:
        """The clauses of `depends`, `pre_depends`, `conflicts`, `breaks` or `replaces`.

        Args:
            field: which.
            native: the architecture of an `all` package.
        """
        arch = native if self.architecture == ALL else self.architecture
        text: str = getattr(self, field)
        return parse_clauses(text, arch) if text else ()

    @cached_property
    def offers(self) -> tuple[Provide, ...]:
        """What it provides beside its own name."""
        return parse_provides(self.provides) if self.provides else ()


def parse_record(record: bytes) -> Package:
    """Read one stanza of a Packages file; unknown fields are ignored.

    Raises:
        InputError: what identifies or locates the package is absent or wrong, or a field could
            be read in two ways.
    """
    package = _parse(record)
    if not _SHA256.fullmatch(package.sha256):
        raise InputError(
            f"the index record of {package} has no SHA-256",
            help="a package without one cannot be verified; index the repository again",
        )
    _check_filename(package)
    if not package.size:
        raise InputError(f"the index record of {package} has no size")
    return package


def parse_installed(record: bytes) -> Package | None:
    """Read a stanza of a package database; None for what was removed, or is only partly there.

    Raises:
        InputError: as `parse_record`, but for the place of the .deb.
    """
    return _parse(record) if is_installed(record) else None


def _parse(record: bytes) -> Package:
    fields = _read_fields(record.decode("utf-8", "replace").strip("\n"))
    get = fields.get
    name, version = get("Package", ""), get("Version", "")
    if not NAME.fullmatch(name):
        raise InputError(f"an index record names no package: `{_show(name)}`")
    if not is_valid(version):
        raise InputError(f"the index record of {name} has no version: `{_show(version)}`")
    architecture = get("Architecture", "")
    if not _ARCH.fullmatch(architecture):
        raise InputError(f"{name}-{version} has no architecture: `{_show(architecture)}`")
    multi_arch = get("Multi-Arch", "")
    if multi_arch not in _MULTI_ARCH:
        raise InputError(f"{name}-{version} has an unknown Multi-Arch: `{_show(multi_arch)}`")
    source = _SOURCE.fullmatch(get("Source", ""))
    return Package(
        name,
        version,
        architecture,
        "" if multi_arch == "no" else multi_arch,
        get("Essential") == "yes",
        "yes" in {get("Protected"), get("Important")},
        get("Priority", ""),
        get("Section", ""),
        source[1] if source and source[1] != name else "",
        (source[2] or "") if source else "",
        _number(fields, "Size", f"{name}-{version}"),
        _number(fields, "Installed-Size", f"{name}-{version}") * KIBI,
        get("SHA256", "").lower(),
        get("Filename", ""),
        get("Depends", ""),
        get("Pre-Depends", ""),
        get("Conflicts", ""),
        get("Breaks", ""),
        get("Replaces", ""),
        get("Provides", ""),
    )


def _read_fields(text: str) -> dict[str, str]:
    """The fields that decide something; a value of several lines is one line here."""
    if _UNPRINTABLE.search(text):
        raise InputError(f"an index record has a control character: `{_show(text)}`")
    fields: dict[str, list[str]] = {}
    last = ""
    for line in text.split("\n"):
        if line[:1] in {" ", "\t"}:
            if not line.strip():
                raise InputError(f"an index record has a line of blanks: `{_show(text)}`")
            if last:
                fields[last].append(line)
            continue
        name, colon, value = line.partition(":")
        if not colon or not name:
            raise InputError(f"an index record has a line that is no field: `{_show(line)}`")
        last = name if name in fields or name.lower() in _KNOWN else ""
        if not last:
            continue
        if name in fields:
            raise InputError(f"an index record has the field {name} twice: `{_show(text)}`")
        if name != _KNOWN[name.lower()]:
            raise InputError(
                f"an index record writes {_KNOWN[name.lower()]} as `{name}`: `{_show(text)}`"
            )
        fields[name] = [value.strip()]
    return {name: "".join(lines) for name, lines in fields.items()}


def _number(fields: dict[str, str], name: str, what: str) -> int:
    text = fields.get(name, "") or "0"
    if not _NUMBER.fullmatch(text):
        raise InputError(f"the index record of {what} has a {name} that is no number")
    return int(text)


def _check_filename(package: Package) -> None:
    """Refuse what would lead out of the repository, or is no path on all servers."""
    path = package.filename.removeprefix("./")
    parts = path.split("/")
    if not path or path.startswith("/") or any(part in {"", ".", ".."} for part in parts):
        raise InputError(
            f"the index record of {package} has no usable place: `{_show(package.filename)}`"
        )


def _show(text: str) -> str:
    return _UNPRINTABLE.sub("?", text.strip()[:60].split("\n")[0])
