"""Solving: what is asked for and the packages on offer, to one definite set of packages."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from imagist.errors import Problem, RequestError, Span, Unsatisfiable
from imagist.oci.platform import Platform
from imagist.packages.deb.dependency import parse_world
from imagist.packages.deb.index import Package
from imagist.packages.deb.solver.arrange import arrange
from imagist.packages.deb.solver.resolution import Chosen, Resolution
from imagist.packages.deb.solver.walk import walk
from imagist.packages.deb.solver.wishes import Essential, Wishes
from imagist.packages.deb.universe import Universe
from imagist.packages.solving.sat import Exhausted

FORMAT: Final = "deb-solver/1"
"""Names the way of choosing, and so belongs into the memo key of a remembered solution."""


def solve(
    world: Mapping[Platform, Sequence[str]],
    universes: Mapping[Platform, Universe],
    *,
    essential: Essential = "none",
    installed: Mapping[Platform, Sequence[Package]] | None = None,
    locked: Mapping[Platform, Mapping[str, str]] | None = None,
    unneeded: Sequence[str] = (),
    alone: Mapping[Platform, Sequence[str]] | None = None,
    places: Mapping[str, Span] | None = None,
) -> Resolution:
    """Choose the packages of every platform.

    The packages are those that `apt-get install` without recommended packages chooses on the same
    indexes (see `walk`); where it would have to change its mind, those of a search that prefers
    the same. Platforms are solved apart, since rebuilds give one package different versions on
    different architectures. As for apt, what stands first in the world is chosen first, where the
    order makes a difference.

    Args:
        world: for each platform what the declaration asks for, see `parse_world`.
        universes: for each platform of the world the packages on offer.
        essential: which essential packages are there without being asked for, see `Wishes`.
        installed: packages of a base image. They are kept as they are.
        locked: versions by package name, preferred to all others as long as they are possible.
        unneeded: names of packages that nothing needs, see `Wishes`.
        alone: for each platform names of packages that bring nothing along.
        places: where the entries of the world were written, for errors.

    Raises:
        RequestError: an entry of the world means nothing, or nobody offers what is unneeded.
        Unsatisfiable: there is no solution, and the problems tell why; or none was found within
            a bound on contradictory attempts.
    """
    missing = sorted(platform for platform in world if platform not in universes)
    if missing:
        raise RequestError(f"there are no repositories for {', '.join(map(str, missing))}")
    wishes = {
        platform: Wishes(
            universes[platform],
            parse_world(
                list(dict.fromkeys(text.strip() for text in world[platform])),
                universes[platform].native,
            ),
            essential=essential,
            installed=(installed or {}).get(platform, ()),
            preferred=(locked or {}).get(platform, {}),
            unneeded=unneeded,
            alone=(alone or {}).get(platform, ()),
        )
        for platform in sorted(world)
    }
    chosen: dict[Platform, tuple[Chosen, ...]] = {}
    failed: dict[Platform, Wishes] = {}
    for platform, wished in wishes.items():
        found = walk(wished)
        if found is None:
            # Most worlds have a solution that apt finds, and then none of this need be loaded.
            from imagist.packages.deb.solver.search import Search  # noqa: PLC0415

            try:
                found = Search(wished).solve()
            except Exhausted:
                found = None
        if found is None:
            failed[platform] = wished
        else:
            chosen[platform] = arrange(wished, found)
    if failed:
        from imagist.packages.deb.solver.explain import explain_failure  # noqa: PLC0415

        raise Unsatisfiable(explain_failure(failed, len(wishes), places or {}, wishes))
    _check_unneeded(unneeded, wishes.values(), places or {})
    asked = {p: tuple(dict.fromkeys(text.strip() for text in world[p])) for p in wishes}
    return Resolution(asked, chosen)


def _check_unneeded(
    names: Sequence[str], wishes: Collection[Wishes], places: Mapping[str, Span]
) -> None:
    """A name that nobody offers, and nothing here depends on, is a slip: it changes nothing."""
    problems = [
        Problem(
            f"`{name}` is unneeded anyway: no repository has it, and nothing here depends on it",
            places.get(name),
        )
        for name in names
        if not any(name in each.spared or each.universe.providers(name) for each in wishes)
    ]
    if problems:
        raise RequestError(problems)
