"""Which packages nobody asked for: apt may remove them once nothing depends on them any more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from imagist.packages.deb.binary import BinaryPackage
from imagist.packages.deb.control import parse_stanzas
from imagist.packages.deb.dependency import parse_world

PATH: Final = "var/lib/apt/extended_states"


def mark_automatic(
    old: bytes, packages: Iterable[BinaryPackage], world: Iterable[str], arch: str
) -> bytes:
    """The file in which apt keeps that (`extended_states`, see apt-mark(8)).

    Args:
        old: the file of a base image; what is asked for now is automatic no more.
        packages: those that are installed.
        world: what was asked for, see `parse_world`; a virtual name asks for none of them.
        arch: the Debian architecture of the image.
    """
    asked = {
        (relation.name, relation.arch or arch)
        for each in parse_world(tuple(world), arch)
        if not each.exclude
        for relation in each.clause.relations
    }
    marked = {
        (stanza.get("Package"), stanza.get("Architecture"))
        for stanza in parse_stanzas(old.decode("utf-8", "surrogateescape"), PATH)
        if stanza.get("Auto-Installed") == "1"
    }
    for package in packages:
        if not package.essential:
            own = arch if package.architecture == "all" else package.architecture
            marked.add((package.own_name, own))
    stanzas = [
        f"Package: {name}\nArchitecture: {own}\nAuto-Installed: 1\n\n"
        for name, own in sorted(marked - asked)
    ]
    return "".join(stanzas).encode()
