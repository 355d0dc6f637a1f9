"""`.PKGINFO`: what a package says of itself, in lines of `key = value` (apk-package(5)).

It is no INI file: a value goes to the end of its line, whatever characters it has, and a key that
stands twice adds to a list.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from imagist.errors import Problem, Untrusted
from imagist.packages.apk.index import Package

_DATAHASH: Final = re.compile("[0-9a-f]{64}")


class PackageInfo(msgspec.Struct, frozen=True):
    """The package as an index would list it, and what only the package itself says."""

    package: Package
    datahash: str
    """SHA-256 of the data segment in hex; empty in packages that predate it."""
    triggers: tuple[str, ...]
    """Path patterns whose change the package wants to be told of."""


def parse_pkginfo(text: bytes, *, what: str, checksum: str, size: int) -> PackageInfo:
    """Read a `.PKGINFO`; unknown keys are ignored.

    Args:
        text: the file.
        what: the package's file, for errors.
        checksum: `Q1...` of the control segment the text was found in.
        size: bytes of the whole .apk, which only its reader knows.

    Raises:
        Untrusted: name or version is missing, or a number is none.
    """
    fields: dict[str, list[str]] = {}
    problems: list[Problem] = []
    for number, line in enumerate(text.decode("utf-8", "replace").split("\n"), 1):
        key, equals, value = line.partition("=")
        if line.startswith("#") or not line.strip():
            continue
        if equals:
            fields.setdefault(key.strip(), []).append(value.strip())
        else:
            problems.append(Problem(f"line {number} of .PKGINFO in {what} is not `key = value`"))

    def last(key: str) -> str:
        return fields.get(key, ("",))[-1]

    def count(key: str) -> int:
        value = last(key) or "0"
        if not (value.isascii() and value.isdigit() and len(value) < 19):
            problems.append(Problem(f"`{key}` in .PKGINFO of {what} is no number: `{value}`"))
            return 0
        return int(value)

    def several(key: str) -> tuple[str, ...]:
        return tuple(word for value in fields.get(key, ()) for word in value.split())

    for key in ("pkgname", "pkgver"):
        if not last(key):
            problems.append(Problem(f".PKGINFO of {what} has no `{key}`"))
    datahash = last("datahash")
    if datahash and not _DATAHASH.fullmatch(datahash):
        problems.append(Problem(f"`datahash` in .PKGINFO of {what} is no SHA-256: `{datahash}`"))
    package = Package(
        name=last("pkgname"),
        version=last("pkgver"),
        arch=last("arch"),
        checksum=checksum,
        size=size,
        installed_size=count("size"),
        depends=several("depend"),
        provides=several("provides"),
        replaces=several("replaces"),
        install_if=several("install_if"),
        origin=last("origin"),
        license=last("license"),
        description=last("pkgdesc"),
        url=last("url"),
        maintainer=last("maintainer"),
        commit=last("commit"),
        build_time=count("builddate"),
        provider_priority=count("provider_priority"),
        replaces_priority=count("replaces_priority"),
    )
    if problems:
        raise Untrusted(problems)
    return PackageInfo(package, datahash, several("triggers"))
