"""What the control file of a binary package says (deb-control(5)), as far as images go."""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec.structs import replace

from imagist.errors import InputError
from imagist.packages.deb.control import Stanza
from imagist.packages.deb.dependency import NAME, parse_clauses, parse_provides
from imagist.packages.deb.relations import qualify
from imagist.packages.deb.version import is_valid

_SOURCE: Final = re.compile(r"(\S+)(?:\s+\((\S+)\))?")
_ARCH: Final = re.compile(r"[a-z0-9][a-z0-9-]*")
_SIZE: Final = re.compile(r"[0-9]{1,12}")
_KIBI: Final = 1024


class BinaryPackage(msgspec.Struct, frozen=True, gc=False):
    """A package that can be installed; relations are fields as they were written."""

    name: str
    """With `:ARCH` behind it in an image of another architecture (`named_in`)."""
    version: str
    arch: str
    """A Debian architecture, or `all`."""
    source: str = ""
    """The source package; empty where it has the same name."""
    source_version: str = ""
    """Its version; empty where it is the same."""
    installed_size: int = 0
    """Bytes, as its maker counted them."""
    depends: str = ""
    pre_depends: str = ""
    provides: str = ""
    replaces: str = ""
    multi_arch: str = ""
    """`same`, `foreign`, `allowed` or empty."""
    essential: bool = False
    build_time: int = 0
    """Seconds since 1970: the newest of its files, which debhelper dates to the changelog."""

    def __str__(self) -> str:
        return f"{self.name}-{self.version}"

    @property
    def own_name(self) -> str:
        """Its name as its control file has it."""
        return self.name.partition(":")[0]

    def named_in(self, native: str) -> BinaryPackage:
        """The package as an image of an architecture knows it, where others may have its name."""
        return replace(self, name=qualify(self.own_name, self.arch, native))

    @property
    def origin(self) -> str:
        """The source package it was built from."""
        return self.source or self.own_name

    def offered_names(self) -> tuple[str, ...]:
        """Its own name, then those it provides."""
        return (self.own_name, *(each.name for each in parse_provides(self.provides)))

    def needed_names(self) -> tuple[str, ...]:
        """The names it depends on, those of all alternatives."""
        clauses = [
            *parse_clauses(self.pre_depends, self.arch),
            *parse_clauses(self.depends, self.arch),
        ]
        return tuple(each.name for clause in clauses for each in clause.relations)

    def replaces_files_of(self, other: BinaryPackage) -> bool:
        """Whether it may overwrite files of another: `Replaces` names it and its version.

        As dpkg has it, only the other's own name counts, not what it provides.
        """
        if not self.replaces:
            return False
        return any(
            relation.name == other.own_name and relation.accepts(other.version)
            for clause in parse_clauses(self.replaces, self.arch)
            for relation in clause.relations
        )

    def prevails_over(self, earlier: BinaryPackage) -> bool | None:
        """Whether its file takes the place of an earlier package's; None: neither may.

        As in dpkg, what is unpacked later wins where both replace each other.
        """
        if self.replaces_files_of(earlier):
            return True
        return False if earlier.replaces_files_of(self) else None


def parse_binary(stanza: Stanza) -> BinaryPackage:
    """The package that a control file, or a stanza of an index, describes.

    Raises:
        InputError: its name, version or architecture is none.
    """
    name, version, arch = map(stanza.get, ("Package", "Version", "Architecture"))
    for field, value, good in (
        ("Package", name, NAME.fullmatch(name)),
        ("Version", version, is_valid(version)),
        ("Architecture", arch, _ARCH.fullmatch(arch)),
    ):
        if not good:
            what = f"`{value[:60]}`, which is none" if value else "nothing"
            raise InputError(
                f"the field {field} of a package says {what}", where=stanza.where(field)
            )
    source = _SOURCE.fullmatch(stanza.get("Source"))
    size = stanza.get("Installed-Size")
    return BinaryPackage(
        name,
        version,
        arch,
        source[1] if source and source[1] != name else "",
        (source[2] or "") if source and source[2] != version else "",
        int(size) * _KIBI if _SIZE.fullmatch(size) else 0,
        stanza.get("Depends"),
        stanza.get("Pre-Depends"),
        stanza.get("Provides"),
        stanza.get("Replaces"),
        stanza.get("Multi-Arch"),
        stanza.get("Essential").lower() == "yes",
    )
