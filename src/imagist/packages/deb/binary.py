"""What the control file of a binary package says (deb-control(5)), as far as images go."""

from __future__ import annotations

import re
from typing import Final

from msgspec.structs import replace

from imagist.errors import InputError
from imagist.packages.deb.control import Stanza
from imagist.packages.deb.dependency import NAME
from imagist.packages.deb.index import KIBI, Package
from imagist.packages.deb.relations import qualify
from imagist.packages.deb.version import is_valid

_SOURCE: Final = re.compile(r"(\S+)(?:\s+\((\S+)\))?")
_ARCH: Final = re.compile(r"[a-z0-9][a-z0-9-]*")
_SIZE: Final = re.compile(r"[0-9]{1,12}")


class BinaryPackage(Package, frozen=True):
    """A package whose .deb is at hand: what an index says of it, and how it is with others' files.

    Its name has `:ARCH` behind it in an image of another architecture (`named_in`).
    """

    build_time: int = 0
    """Seconds since 1970: the newest of its files, which debhelper dates to the changelog."""

    @property
    def own_name(self) -> str:
        """Its name as its control file has it."""
        return self.name.partition(":")[0]

    def named_in(self, native: str) -> BinaryPackage:
        """The package as an image of an architecture knows it, where others may have its name."""
        return replace(self, name=qualify(self.own_name, self.architecture, native))

    @property
    def origin(self) -> str:
        """The source package it was built from."""
        return self.source or self.own_name

    def offered_names(self) -> tuple[str, ...]:
        """Its own name, then those it provides."""
        return (self.own_name, *(each.name for each in self.offers))

    def needed_names(self) -> tuple[str, ...]:
        """The names it depends on, those of all alternatives."""
        own = self.architecture
        clauses = (*self.clauses("pre_depends", own), *self.clauses("depends", own))
        return tuple(each.name for clause in clauses for each in clause.relations)

    def replaces_files_of(self, other: BinaryPackage) -> bool:
        """Whether it may overwrite files of another: `Replaces` names it and its version.

        As dpkg has it, only the other's own name counts, not what it provides.
        """
        return any(
            relation.name == other.own_name and relation.accepts(other.version)
            for clause in self.clauses("replaces", self.architecture)
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
    """The package that a control file describes.

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
        multi_arch=stanza.get("Multi-Arch"),
        essential=stanza.get("Essential").lower() == "yes",
        priority=stanza.get("Priority"),
        section=stanza.get("Section"),
        source=source[1] if source and source[1] != name else "",
        source_version=(source[2] or "") if source and source[2] != version else "",
        installed_size=int(size) * KIBI if _SIZE.fullmatch(size) else 0,
        depends=stanza.get("Depends"),
        pre_depends=stanza.get("Pre-Depends"),
        conflicts=stanza.get("Conflicts"),
        breaks=stanza.get("Breaks"),
        replaces=stanza.get("Replaces"),
        provides=stanza.get("Provides"),
    )
