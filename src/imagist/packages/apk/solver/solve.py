"""Solving: a world of requirements and the packages on offer, to one definite set of packages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from imagist.errors import Problem, RequestError, Span, Unsatisfiable
from imagist.oci.platform import Platform
from imagist.packages.apk.dependency import parse_world
from imagist.packages.apk.index import Package
from imagist.packages.apk.solver.arrange import arrange
from imagist.packages.apk.solver.encoding import Encoding
from imagist.packages.apk.solver.resolution import Resolution
from imagist.packages.apk.solver.search import chosen_candidates, search
from imagist.packages.apk.universe import Universe
from imagist.packages.solving.sat import Exhausted


def solve(
    world: Mapping[Platform, Sequence[str]],
    universes: Mapping[Platform, Universe],
    *,
    installed: Mapping[Platform, Sequence[Package]] | None = None,
    locked: Mapping[str, str] | None = None,
    places: Mapping[str, Span] | None = None,
) -> Resolution:
    """Choose the packages of every platform, as one problem.

    A package that is on several platforms is in the same version on each. If there is a solution
    it is found, and it is the one that choosing step by step by the order of `preference` gives,
    each step with foresight. It does not depend on the order of the world or of the records.

    Packages with install_if are added when what they name is chosen, to a fixed point, with what
    they need in turn; one that cannot be installed beside the rest is left out.

    Args:
        world: for each platform what the declaration asks for: `name`, `name=1.2-r3`,
            `name@tag`, `!name` and so on.
        universes: for each platform of the world the packages on offer.
        installed: packages of a base image. They are kept as they are.
        locked: versions by package name, preferred to all others as long as they are possible.
        places: where the entries of the world were written, for errors.

    Raises:
        RequestError: an entry of the world means nothing.
        Unsatisfiable: there is no solution, and the problems tell why; or none was found within
            a bound on contradictory attempts.
    """
    missing = sorted(platform for platform in world if platform not in universes)
    if missing:
        raise RequestError(f"there are no repositories for {', '.join(map(str, missing))}")
    platforms = sorted(world)
    entries = {p: parse_world(sorted({text.strip() for text in world[p]})) for p in platforms}
    offered = {platform: universes[platform] for platform in platforms}
    held = {platform: (installed or {}).get(platform, ()) for platform in platforms}
    encoding = Encoding(offered, entries, held, locked or {})
    try:
        solved = search(encoding)
    except Exhausted:
        solved = None
    if not solved:
        # Most worlds have a solution, and then none of this need be loaded.
        from imagist.packages.apk.solver import explain  # noqa: PLC0415

        problems: Sequence[Problem] = ()
        if solved is not None:
            problems = explain.explain_failure(offered, entries, held, places or {})
        raise Unsatisfiable(problems or explain.explain_exhaustion(places or {}))
    found = chosen_candidates(encoding)
    chosen = {platform: arrange(entries[platform], found[platform]) for platform in platforms}
    asked = {p: tuple(dict.fromkeys(text.strip() for text in world[p])) for p in platforms}
    return Resolution(asked, chosen)
