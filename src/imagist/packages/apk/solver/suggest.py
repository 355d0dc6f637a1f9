"""What a person may have meant who asked for a package that cannot be had."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from operator import attrgetter

import msgspec

from imagist.oci.platform import Platform
from imagist.packages.apk.dependency import Dependency
from imagist.packages.apk.index import Package
from imagist.packages.apk.solver.preference import carried_version
from imagist.packages.apk.universe import Universe
from imagist.packages.apk.version import sort_key

_MOST_VERSIONS = 4


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
        return f"{name} exists only as {_shorten(known)}"
    if there:
        providers = sorted({each.package.name for each in there})
        return f"`{name}` is provided without a version, by {_shorten(providers)}"
    elsewhere = sorted(p for p, other in others.items() if other.providers(name))
    if elsewhere:
        platforms = ", ".join(map(str, elsewhere))
        return f"{name} exists only for {platforms}: ask for it on these platforms alone"
    if not asked:
        return f"add the repository that has `{name}`"
    if close := find_close(name, universe.names()):
        return "did you mean " + " or ".join(f"`{each}`" for each in close) + "?"
    return "check the name, or add the repository that has it"


def find_close(name: str, known: Iterable[str]) -> list[str]:
    """Up to three of the known names that differ from this one by little."""
    # Comparing is slow, so first what cannot be close enough is left out: by length and beginning.
    short = [
        other
        for other in known
        if abs(len(other) - len(name)) <= 3 and (other[:1] == name[:1] or other[1:2] == name[1:2])
    ]
    return difflib.get_close_matches(name, short, n=3, cutoff=0.7)


def join_versions(packages: Iterable[Package]) -> str:
    """The versions of packages, lowest first: `1.0-r0`, `1.0-r0 and 1.1-r0`, and so on."""
    versions = sorted(set(map(attrgetter("version"), packages)), key=sort_key)
    return _shorten(versions)


def _shorten(texts: list[str]) -> str:
    if len(texts) > _MOST_VERSIONS:
        return f"{texts[0]} to {texts[-1]} ({len(texts)} of them)"
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
