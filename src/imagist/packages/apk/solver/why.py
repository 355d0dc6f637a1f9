"""Why a package was chosen: the chains from the world to it, and what was passed over for it."""

from __future__ import annotations

from collections.abc import Sequence

from imagist.errors import NotFound
from imagist.oci.platform import Platform
from imagist.packages.apk.dependency import Dependency, parse_dependency
from imagist.packages.apk.index import Candidate, Package, depends_of
from imagist.packages.apk.solver.preference import carried_version
from imagist.packages.apk.solver.resolution import Chosen, Resolution
from imagist.packages.apk.universe import Universe
from imagist.packages.apk.version import compare
from imagist.packages.solving.why import Alternative, Why, find_chains
from imagist.packages.solving.wording import find_close


def why(
    resolution: Resolution, platform: Platform, name: str, universe: Universe | None = None
) -> Why[Candidate]:
    """Explain a package of a solution.

    Args:
        resolution: the solution.
        platform: one of its platforms.
        name: a package's name, or a name that a package provides.
        universe: what was on offer, to tell the alternatives.

    Raises:
        NotFound: nothing of that name was chosen.
    """
    chosen = resolution.find(platform, name) or _find_provider(resolution, platform, name)
    if chosen is None:
        close = find_close(name, [each.name for each in resolution.chosen[platform]])
        raise NotFound(
            f"`{name}` is not among the packages for {platform}",
            help="did you mean " + " or ".join(f"`{c}`" for c in close) + "?" if close else None,
        )
    alternatives: tuple[Alternative, ...] = ()
    if universe is not None:
        alternatives = _find_alternatives(resolution, platform, chosen, universe)
    return Why(chosen, find_chains(resolution, platform, chosen), alternatives)


def _find_provider(resolution: Resolution, platform: Platform, name: str) -> Chosen | None:
    wanted = parse_dependency(name)
    found = (
        chosen
        for chosen in resolution.chosen[platform]
        if carried_version(chosen.candidate.package, wanted) is not None
    )
    return next(found, None)


def _find_alternatives(
    resolution: Resolution, platform: Platform, chosen: Chosen, universe: Universe
) -> tuple[Alternative, ...]:
    wanted = [
        parse_dependency(reason.requirement)
        for reason in chosen.reasons
        if reason.kind in {"world", "depends"}
    ]
    found: dict[tuple[str, str], Alternative] = {}
    for name in dict.fromkeys([chosen.name, *(each.name for each in wanted[:1])]):
        for candidate in universe.providers(name):
            package = candidate.package
            key = (package.name, package.version)
            if key != (chosen.name, chosen.version) and key not in found:
                because = _compare(resolution, platform, chosen, candidate, wanted)
                found[key] = Alternative(package.name, package.version, because)
    return tuple(found.values())


def _compare(
    resolution: Resolution,
    platform: Platform,
    chosen: Chosen,
    other: Candidate,
    wanted: Sequence[Dependency],
) -> str:
    """The first thing that spoke against a package."""
    package = other.package
    kept = resolution.find(platform, package.name)
    if kept and kept.version == package.version:
        return "it is chosen too"
    if other.tag and other.tag != chosen.candidate.tag:
        return f"it is in the repository tagged @{other.tag}, which nothing asks for here"
    for requirement, reason in zip(wanted, chosen.reasons, strict=False):
        if carried_version(package, requirement) is None:
            by = f" of {reason.requirer}" if reason.requirer else ""
            return f"it does not answer `{requirement.text}`{by}"
    if refusal := _find_refusal(resolution, platform, package):
        return refusal
    if package.name == chosen.name:
        if compare(package.version, chosen.version) < 0:
            return f"{chosen.version} is higher"
        return "it does not go together with what else is chosen, or is not on all platforms"
    mine, its = chosen.candidate.package.provider_priority, package.provider_priority
    if its < mine:
        return f"its provider_priority {its} is below {mine}"
    return f"{chosen.name} is preferred: needed anyway, a higher version, or an earlier repository"


def _find_refusal(resolution: Resolution, platform: Platform, package: Package) -> str:
    """How a chosen package or the world excludes another, if one does."""
    for entry in map(parse_dependency, resolution.world[platform]):
        if entry.conflict and carried_version(package, entry) is not None:
            return f"the world excludes it by `{entry.text}`"
    for each in resolution.chosen[platform]:
        for refused in depends_of(each.candidate.package):
            if refused.conflict and carried_version(package, refused) is not None:
                return f"{each.name} refuses it by `{refused.text}`"
    for wanted in depends_of(package):
        for each in resolution.chosen[platform]:
            answers = carried_version(each.candidate.package, wanted) is not None
            if wanted.conflict and answers:
                return f"it refuses {each.candidate} by `{wanted.text}`"
            if not wanted.conflict and not answers and each.name == wanted.name:
                return f"it needs `{wanted.text}`, but {each.candidate} is chosen"
    return ""
