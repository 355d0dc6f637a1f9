"""What a person may have meant who asked for a package that cannot be had."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter

import msgspec

from imagist.oci.platform import Platform
from imagist.packages.apk.dependency import Dependency
from imagist.packages.apk.index import Package
from imagist.packages.apk.solver.preference import carried_version
from imagist.packages.apk.universe import Universe
from imagist.packages.apk.version import sort_key
from imagist.packages.solving.wording import find_close, shorten


def suggest(
    wanted: Dependency, universe: Universe, others: Mapping[Platform, Universe], *, asked: bool
) -> str | None:
    """The next step for a requirement that nothing answers; None when something does.

    In this order: the right package with another version, behind a tag, on another platform, or
    another name that looks alike.

    Args:
        wanted: what nothing answers.
        universe: where it was looked for.
        others: the universes of the other platforms.
        asked: whether the world asks for it, so that its writer can write it differently.
    """
    name = wanted.name
    any_version = msgspec.structs.replace(wanted, op="", version="", key="", broken="")
    there = universe.providers(name)
    fitting = [each for each in there if carried_version(each.package, wanted) is not None]
    if any(not each.tag or each.tag == wanted.pin for each in fitting):
        return None
    if fitting:
        tag = fitting[0].tag
        spelling = f"{wanted.text}@{tag}" if asked else f"{name}@{tag}"
        return f"{name} is in the repository tagged @{tag}: write `{spelling}`"
    versions = [carried_version(each.package, any_version) for each in there]
    if known := sorted({v for v in versions if v}, key=sort_key):
        return f"{name} exists only as {shorten(known)}"
    if there:
        providers = sorted({each.package.name for each in there})
        return f"`{name}` is provided without a version, by {shorten(providers)}"
    elsewhere = sorted(p for p, other in others.items() if other.providers(name))
    if elsewhere:
        platforms = ", ".join(map(str, elsewhere))
        return f"{name} exists only for {platforms}: ask for it on these platforms alone"
    if not asked:
        return f"add the repository that has `{name}`"
    if close := find_close(name, universe.names()):
        return "did you mean " + " or ".join(f"`{each}`" for each in close) + "?"
    return "check the name, or add the repository that has it"


def join_versions(packages: Iterable[Package]) -> str:
    """The versions of packages, lowest first: `1.0-r0`, `1.0-r0 and 1.1-r0`, and so on."""
    versions = sorted(set(map(attrgetter("version"), packages)), key=sort_key)
    return shorten(versions)
