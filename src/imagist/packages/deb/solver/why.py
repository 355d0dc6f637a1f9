"""Why a package was chosen, and what was passed over for it."""

from __future__ import annotations

from collections.abc import Sequence

from imagist.errors import NotFound
from imagist.oci.platform import Platform
from imagist.packages.deb.dependency import Clause, parse_clauses, parse_world
from imagist.packages.deb.relations import answers, hits
from imagist.packages.deb.solver.resolution import Chosen, Resolution
from imagist.packages.deb.universe import Candidate, Universe
from imagist.packages.deb.version import compare
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
    return next(
        (
            chosen
            for chosen in resolution.chosen[platform]
            if any(offer.name == name for offer in chosen.candidate.package.offers)
        ),
        None,
    )


def _find_alternatives(
    resolution: Resolution, platform: Platform, chosen: Chosen, universe: Universe
) -> tuple[Alternative, ...]:
    """What has the package's name or answers the first reason for it, and was not chosen."""
    asked = [
        (reason.requirer, clause)
        for reason in chosen.reasons
        if reason.kind in {"world", "depends"}
        for clause in _read(reason.requirement, reason.kind, universe.native)
    ]
    names = [chosen.candidate.package.name]
    names += [relation.name for _, clause in asked[:1] for relation in clause.relations]
    found: dict[tuple[str, str], Alternative] = {}
    for name in dict.fromkeys(names):
        for candidate in universe.providers(name):
            key = (candidate.name, candidate.version)
            if key != (chosen.name, chosen.version) and key not in found:
                because = _compare(resolution, platform, chosen, candidate, asked, universe.native)
                found[key] = Alternative(candidate.name, candidate.version, because)
    return tuple(found.values())


def _read(text: str, kind: str, native: str) -> Sequence[Clause]:
    if kind == "world":
        return [entry.clause for entry in parse_world([text], native)]
    return parse_clauses(text, native)


def _compare(
    resolution: Resolution,
    platform: Platform,
    chosen: Chosen,
    other: Candidate,
    asked: Sequence[tuple[str, Clause]],
    native: str,
) -> str:
    """The first thing that spoke against a package."""
    kept = resolution.find(platform, other.name)
    if kept is not None and kept.version == other.version:
        return "it is chosen too"
    for requirer, clause in asked:
        if not any(answers(other.package, r, native, native) for r in clause.relations):
            by = f" of {requirer}" if requirer else ""
            return f"it does not answer `{clause.text}`{by}"
    if other.priority < 0:
        return "its priority is below zero"
    if refusal := _find_refusal(resolution, platform, other, native):
        return refusal
    if other.name == chosen.name:
        if other.priority < chosen.candidate.priority:
            suite = f" of {other.suite}" if other.suite.codename else ""
            return f"the priority{suite}, {other.priority}, is below {chosen.candidate.priority}"
        if compare(other.version, chosen.version) < 0:
            return f"{chosen.version} is higher"
        return "the version that is chosen was asked for, locked, or is the only one that fits"
    mine, its = chosen.candidate.package, other.package
    if its.rank > mine.rank:
        return f"its priority {its.priority} is below {mine.priority}"
    return f"{chosen.name} is preferred: chosen before, named first, or by its name"


def _find_refusal(
    resolution: Resolution, platform: Platform, other: Candidate, native: str
) -> str:
    """How a chosen package or the world excludes another, if one does."""
    package = other.package
    for entry in parse_world(resolution.world[platform], native):
        if entry.exclude and answers(package, entry.clause.relations[0], native, native):
            return f"the world excludes it by `{entry.text}`"
    for each in resolution.chosen[platform]:
        chosen = each.candidate.package
        if chosen.name == package.name:
            continue
        for one, two, by in ((chosen, package, each.name), (package, chosen, "")):
            for field in ("conflicts", "breaks"):
                for clause in one.clauses(field, native):
                    if any(hits(one, relation, two, native) for relation in clause.relations):
                        if by:
                            return f"{by} conflicts with it by `{clause.text}`"
                        return f"it conflicts with {each.candidate} by `{clause.text}`"
    return ""
