"""What must hold of every solution, over small worlds made at random."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagist.errors import Unsatisfiable
from imagist.oci.platform import Platform
from imagist.packages.apk.dependency import parse_dependency
from imagist.packages.apk.index import Candidate, Package, depends_of, install_if_of, provides_of
from imagist.packages.apk.solver.encoding import Encoding
from imagist.packages.apk.solver.preference import carried_version
from imagist.packages.apk.solver.resolution import Resolution
from imagist.packages.apk.solver.rules import Asked
from imagist.packages.apk.solver.search import search
from imagist.packages.apk.solver.solve import solve
from imagist.packages.apk.universe import Universe
from imagist.packages.solving.core import shrink_core
from imagist.packages.solving.sat import Clause
from packages.apk.solver.solver_worlds import AMD, ARM

NAMES = ["a", "b", "c", "d"]
VIRTUAL = ["v", "w"]
QUICK = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])

versions = st.sampled_from(["1", "2", "3"])
requirements = st.builds(
    lambda name, rest: name + rest,
    st.sampled_from([*NAMES, *VIRTUAL]),
    st.sampled_from(["", "", "", "=1", ">1", "<2", "<3", "~2", ">=2"]),
)
dependencies = st.builds(
    lambda mark, text: mark + text, st.sampled_from(["", "", "", "!"]), requirements
)
gifts = st.builds(
    lambda name, rest: name + rest,
    st.sampled_from([*VIRTUAL, "a"]),
    st.sampled_from(["", "=1", "=2"]),
)


@st.composite
def packages(draw: st.DrawFn) -> list[Package]:
    keys = draw(st.lists(st.tuples(st.sampled_from(NAMES), versions), unique=True, max_size=8))
    made = []
    for number, (name, version) in enumerate(keys):
        made.append(
            Package(
                name,
                version,
                checksum=f"Q1{number}",
                depends=tuple(draw(st.lists(dependencies, max_size=3))),
                provides=tuple(draw(st.lists(gifts, max_size=2))),
                install_if=tuple(draw(st.lists(st.sampled_from([*NAMES, "v"]), max_size=2)))
                if draw(st.integers(0, 4)) == 0
                else (),
                origin=draw(st.sampled_from(["", "o"])),
                provider_priority=draw(st.sampled_from([0, 0, 5, 9])),
            )
        )
    return made


worlds = st.lists(dependencies, min_size=1, max_size=3)


def names_of(package: Package) -> dict[str, bool]:
    """Names a package has, with whether it has them with a version."""
    names: dict[str, bool] = {}
    for name, version in provides_of(package):
        names[name] = names.get(name, False) or bool(version)
    return names


def complaints(world: Sequence[str], chosen: Sequence[Package]) -> list[str]:
    """Everything that is wrong with a set of packages: an independent reading of the rules."""
    found = []

    def has(text: str) -> bool:
        return any(carried_version(each, parse_dependency(text)) is not None for each in chosen)

    for entry in world:
        if has(entry) == entry.startswith("!"):
            found.append(f"world {entry}")
    for package in chosen:
        for wanted in depends_of(package):
            others = [p for p in chosen if p is not package] if wanted.conflict else chosen
            met = any(carried_version(each, wanted) is not None for each in others)
            if met == wanted.conflict:
                found.append(f"{package} {wanted}")
    for one, other in combinations(chosen, 2):
        ones, others_ = names_of(one), names_of(other)
        for name in ones.keys() & others_.keys():
            if ones[name] or others_[name]:
                found.append(f"{one} {other} {name}")
    return found


def is_solvable(world: Sequence[str], offered: Sequence[Package]) -> bool:
    sets = (chosen for size in range(len(offered) + 1) for chosen in combinations(offered, size))
    return any(not complaints(world, chosen) for chosen in sets)


def try_solve(
    worlds_: dict[Platform, list[str]], universes: dict[Platform, Universe]
) -> Resolution | None:
    try:
        return solve(worlds_, universes)
    except Unsatisfiable:
        return None


def chosen_of(resolution: Resolution, platform: Platform = ARM) -> list[Package]:
    return [candidate.package for candidate in resolution.packages(platform)]


@QUICK
@given(worlds, packages())
def test_solution_is_right_and_found_when_there_is_one(
    world: list[str], offered: list[Package]
) -> None:
    resolution = try_solve({ARM: world}, {ARM: Universe.of(offered)})
    if resolution is None:
        assert not is_solvable(world, offered)
    else:
        assert complaints(world, chosen_of(resolution)) == []


@QUICK
@given(worlds, packages(), st.randoms(use_true_random=False))
def test_order_of_everything_given_means_nothing(
    world: list[str], offered: list[Package], random: object
) -> None:
    shuffled, turned = list(offered), list(world)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    random.shuffle(turned)  # type: ignore[attr-defined]
    one = try_solve({ARM: world}, {ARM: Universe.of(offered)})
    other = try_solve({ARM: turned}, {ARM: Universe.of(shuffled)})
    assert (one and chosen_of(one)) == (other and chosen_of(other))


@QUICK
@given(worlds, packages())
def test_unrelated_packages_change_nothing(world: list[str], offered: list[Package]) -> None:
    unrelated = [
        Package("z", "1", checksum="Q1z", depends=("zz",)),
        Package("zz", "1", checksum="Q1zz", provides=("zv=1",)),
    ]
    one = try_solve({ARM: world}, {ARM: Universe.of(offered)})
    other = try_solve({ARM: world}, {ARM: Universe.of([*unrelated, *offered])})
    assert (one and one.chosen) == (other and other.chosen)


@QUICK
@given(worlds, packages())
def test_every_package_has_a_reason_and_stands_behind_what_it_needs(
    world: list[str], offered: list[Package]
) -> None:
    resolution = try_solve({ARM: world}, {ARM: Universe.of(offered)})
    if resolution is None:
        return
    place = {chosen.name: number for number, chosen in enumerate(resolution.chosen[ARM])}
    behind = {
        each.name: {r.requirer for r in each.reasons if r.kind == "depends"}
        for each in resolution.chosen[ARM]
    }
    for chosen in resolution.chosen[ARM]:
        assert chosen.reasons
        for requirer in behind[chosen.name]:
            if place[requirer] < place[chosen.name]:  # only in a circle
                assert chosen.name in _reachable(chosen.name, behind, requirer)


def _reachable(start: str, behind: dict[str, set[str]], through: str) -> set[str]:
    """Who leads to `start`, if `through` does so by way of it."""
    seen: set[str] = set()
    waiting = [through]
    while waiting:
        for name in behind.get(waiting.pop(), ()):
            if name not in seen:
                seen.add(name)
                waiting.append(name)
    return seen


@QUICK
@given(worlds, packages())
def test_install_if_is_complete(world: list[str], offered: list[Package]) -> None:
    resolution = try_solve({ARM: world}, {ARM: Universe.of(offered)})
    if resolution is None:
        return
    chosen = chosen_of(resolution)
    names = {package.name for package in chosen}
    for package in offered:
        conditions = install_if_of(package)
        met = conditions and all(
            any(carried_version(c, w) is not None for c in chosen) for w in conditions
        )
        if met and package.name not in names:
            # What is triggered and absent cannot be added, whatever it brings along. It is asked
            # for by its checksum, since its name and version may be provided by another.
            fixed = [f"{each.name}><{each.checksum}" for each in chosen]
            assert (
                try_solve(
                    {ARM: [*world, *fixed, f"{package.name}><{package.checksum}"]},
                    {ARM: Universe.of(offered)},
                )
                is None
            )


@settings(QUICK, max_examples=60)
@given(worlds, packages(), packages())
def test_platforms_agree_on_versions(
    world: list[str], amd: list[Package], arm: list[Package]
) -> None:
    universes = {AMD: Universe.of(amd), ARM: Universe.of(arm)}
    resolution = try_solve({AMD: world, ARM: world}, universes)
    if resolution is None:
        assert not any(
            not complaints(world, one) and not complaints(world, other) and _agree(one, other)
            for one in _subsets(amd)
            for other in _subsets(arm)
        )
        return
    for platform in (AMD, ARM):
        assert complaints(world, chosen_of(resolution, platform)) == []
    assert _agree(chosen_of(resolution, AMD), chosen_of(resolution, ARM))


def _subsets(offered: list[Package]) -> list[tuple[Package, ...]]:
    kept = offered[:5]
    if len(offered) > 5:
        return []
    return [chosen for size in range(len(kept) + 1) for chosen in combinations(kept, size)]


def _agree(one: Sequence[Package], other: Sequence[Package]) -> bool:
    held = {package.name: package.version for package in one}
    return all(held.get(package.name, package.version) == package.version for package in other)


@QUICK
@given(worlds, packages())
def test_contradictions_are_smallest_ones(world: list[str], offered: list[Package]) -> None:
    entries = {ARM: [parse_dependency(text) for text in sorted(set(world))]}
    encoding = Encoding({ARM: Universe.of(offered)}, entries, {}, {})
    if search(encoding):
        return
    core = shrink_core(encoding.sat.core)
    assert not can_all_hold(core)
    for clause in core:
        assert can_all_hold([other for other in core if other is not clause])
    blamed = {clause.label.entry for clause in core if isinstance(clause.label, Asked)}
    assert not is_solvable(sorted(blamed), offered)


def can_all_hold(clauses: Sequence[Clause]) -> bool:
    """Whether some assignment makes every clause true, by trying."""
    if not clauses:
        return True
    if not all(clauses):
        return False
    literal = clauses[0][0]
    for choice in (literal, literal ^ 1):
        left = [
            Clause(x for x in each if x != choice ^ 1) for each in clauses if choice not in each
        ]
        if can_all_hold(left):
            return True
    return False


def test_candidates_keep_their_identity() -> None:
    offered = Universe.of([Package("a", "1", checksum="Q1a")])
    found = offered.providers("a")[0]
    assert isinstance(found, Candidate)
    assert offered.named("a")[0] is found
