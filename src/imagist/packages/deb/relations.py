"""Who answers which relation, and who is hit by which conflict, across architectures.

Without a qualifier a relation is answered by packages of the architecture of the package that has
it, and by those that say `Multi-Arch: foreign`; `:any` by those that say `allowed` or `foreign`;
`:ARCH` by packages of that architecture (deb-control(5), "Multi-Arch"). Packages for all
architectures count as the machine's own.
"""

from __future__ import annotations

from imagist.packages.deb.dependency import ANY, Relation
from imagist.packages.deb.index import ALL, Package


def architecture_of(package: Package, native: str) -> str:
    """The architecture a package counts as: its own, or the machine's for `all`."""
    return native if package.architecture == ALL else package.architecture


def qualify(name: str, architecture: str, native: str) -> str:
    """A package's name, with `:ARCH` behind it where that is not the machine's, as in dpkg."""
    return name if architecture in {native, ALL} else f"{name}:{architecture}"


def answers(package: Package, relation: Relation, asking: str, native: str) -> bool:
    """Whether a package answers a relation.

    Args:
        package: what is on offer.
        relation: what is asked for.
        asking: the architecture of the package that asks; the machine's own for a declaration.
        native: the machine's architecture.
    """
    name = relation.name
    if package.name == name and relation.accepts(package.version):
        return _is_reached(package, relation.arch, asking, native)
    if not package.provides:
        return False
    for offer in package.offers:
        if offer.name != name or not relation.accepts(offer.version):
            continue
        if offer.arch and offer.arch == relation.arch:
            return True
        if _is_reached(package, relation.arch, asking, native):
            return True
    return False


def _is_reached(package: Package, qualifier: str, asking: str, native: str) -> bool:
    if package.multi_arch == "foreign":
        return True
    if qualifier == ANY:
        return package.multi_arch == "allowed"
    return architecture_of(package, native) == (qualifier or asking)


def hits(package: Package, relation: Relation, other: Package, native: str) -> bool:
    """Whether a conflict of `package` forbids `other`; a package does not conflict with itself.

    A conflict without qualifier is with the name on every architecture, but for the same package
    built for another one.
    """
    if relation.name == other.name:
        if package.name == other.name:
            return False
        if relation.accepts(other.version) and _is_hit(relation.arch, other, native):
            return True
    if not other.provides or (package.name == other.name):
        return False
    return any(
        offer.name == relation.name and relation.accepts(offer.version)
        for offer in other.offers
        if _is_hit(relation.arch, other, native)
    )


def _is_hit(qualifier: str, other: Package, native: str) -> bool:
    return not qualifier or qualifier == ANY or architecture_of(other, native) == qualifier


def can_stand_beside(package: Package, other: Package) -> bool:
    """Whether dpkg would hold both of two packages of one name: for two architectures, alike."""
    return (
        package.architecture != other.architecture
        and package.multi_arch == other.multi_arch == "same"
        and package.version == other.version
    )
