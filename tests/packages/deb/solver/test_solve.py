"""What is chosen: one rule of apt, or of imagist, at a time."""

from __future__ import annotations

import random

import pytest

from imagist.errors import RequestError
from imagist.packages.deb.solver.solve import solve
from imagist.packages.deb.universe import PackageList, Pin, Repository, Suite, Universe
from packages.deb.solver.deb_worlds import AMD, ARM, choose, names, pkg

# -- alternatives and virtual packages -------------------------------------------------------


def test_the_first_alternative_is_taken() -> None:
    world = [pkg("a", depends="x | y"), pkg("x"), pkg("y")]
    assert names(choose("a", *world)) == "a-1 x-1"


def test_the_first_alternative_that_exists_is_taken() -> None:
    assert names(choose("a", pkg("a", depends="gone | x (>= 2) | y"), pkg("x"), pkg("y"))) == (
        "a-1 y-1"
    )


def test_an_alternative_that_is_there_already_is_taken() -> None:
    world = [pkg("a", depends="x | y"), pkg("x"), pkg("y")]
    assert names(choose("a; y", *world)) == "a-1 y-1"


def test_an_alternative_whose_needs_cannot_be_met_is_passed_over() -> None:
    world = [pkg("a", depends="x | y"), pkg("x", depends="gone"), pkg("y")]
    assert names(choose("a", *world)) == "a-1 y-1"
    deeper = [pkg("a", depends="x | y"), pkg("x", depends="z"), pkg("z", depends="gone"), pkg("y")]
    assert names(choose("a", *deeper)) == "a-1 y-1"


def test_providers_by_name_essence_and_priority() -> None:
    asking = pkg("a", depends="v")
    low, high = pkg("low", provides="v", priority="extra"), pkg("high", provides="v")
    assert names(choose("a", asking, low, high)) == "a-1 high-1"
    essential = pkg("ess", provides="v", priority="extra", essential=True)
    assert names(choose("a", asking, low, high, essential)) == "a-1 ess-1"
    assert names(choose("a", asking, high, essential, pkg("v"))) == "a-1 v-1"


@pytest.mark.parametrize(
    ("relation", "chosen"),
    [("v", "a-1 p-9"), ("v (>= 2)", "a-1 p-9"), ("v (= 1)", "a-1 p-9"), ("v (= 3)", "a-1 v-3")],
)
def test_one_name_provided_in_several_versions(relation: str, chosen: str) -> None:
    provider = pkg("p", "9", provides="v (= 1), v (= 2)")
    offered = [pkg("a", depends=relation), provider]
    if chosen.endswith("v-3"):
        offered.append(pkg("v", "3"))
    assert names(choose("a", *offered)) == chosen


def test_an_unversioned_provide_answers_no_version() -> None:
    offered = [pkg("a", depends="v (>= 1) | w"), pkg("p", "9", provides="v"), pkg("w")]
    assert names(choose("a", *offered)) == "a-1 w-1"


# -- versions --------------------------------------------------------------------------------


def test_the_highest_version_is_taken() -> None:
    offered = [pkg("a", version) for version in ("1.0", "1.0-1~deb12u1", "1.0-1", "1.0~rc1")]
    assert names(choose("a", *offered)) == "a-1.0-1"


@pytest.mark.parametrize(
    ("entry", "chosen"),
    [("a=1", "a-1"), ("a (<< 3)", "a-2"), ("a<<2", "a-1"), ("a (>= 2)", "a-3"), ("a>=2", "a-3")],
)
def test_versions_that_are_asked_for(entry: str, chosen: str) -> None:
    assert names(choose(entry, *(pkg("a", v) for v in "123"))) == chosen


def test_what_depends_on_a_version_asked_for_goes_with_it() -> None:
    offered = [pkg("a", v, depends=f"b (= {v})") for v in "12"] + [pkg("b", v) for v in "12"]
    assert names(choose("a=1", *offered)) == "a-1 b-1"


def test_a_suite_that_is_asked_for() -> None:
    backports = Suite("stable-backports", "trixie-backports", not_automatic=True)
    universe = Universe(
        "amd64",
        [
            Repository(PackageList([pkg("a", "1"), pkg("b", "1")]), Suite("stable", "trixie")),
            Repository(PackageList([pkg("a", "2"), pkg("b", "2")]), backports),
        ],
    )
    assert names(choose("a; b", universe)) == "a-1 b-1"
    assert names(choose("a/trixie-backports; b", universe)) == "a-2 b-1"
    assert names(choose("a/stable-backports", universe)) == "a-2"


@pytest.mark.parametrize(
    ("suite", "chosen"),
    [
        (Suite("next"), "a-2"),
        (Suite("next", not_automatic=True), "a-1"),
        (Suite("next", not_automatic=True, but_automatic_upgrades=True), "a-1"),
    ],
)
def test_priorities_of_suites(suite: Suite, chosen: str) -> None:
    repositories = [
        Repository(PackageList([pkg("a", "1")])),
        Repository(PackageList([pkg("a", "2")]), suite),
    ]
    assert names(choose("a", Universe("amd64", repositories))) == chosen


@pytest.mark.parametrize(
    ("pins", "chosen"),
    [
        ([], "a-2"),
        ([Pin(990, suite="old")], "a-1"),
        ([Pin(990, ("a",), version="1*")], "a-1"),
        ([Pin(990, ("b*",), suite="old")], "a-2"),
        ([Pin(-1, origin="New")], "a-1"),
        ([Pin(990, suite="old"), Pin(100, ("a",), suite="old")], "a-2"),
        ([Pin(990, host="old.example.org")], "a-1"),
    ],
)
def test_pins(pins: list[Pin], chosen: str) -> None:
    old = Suite("old", host="old.example.org")
    repositories = [
        Repository(PackageList([pkg("a", "1")]), old),
        Repository(PackageList([pkg("a", "2")]), Suite("new", origin="New")),
    ]
    assert names(choose("a", Universe("amd64", repositories, pins=pins))) == chosen


def test_a_locked_version_is_kept_as_long_as_it_can_be() -> None:
    offered = [pkg("a", v) for v in "123"]
    assert names(choose("a", *offered, locked={"a": "2"})) == "a-2"
    assert names(choose("a", *offered, locked={"a": "7"})) == "a-3"
    assert names(choose("a (>= 3)", *offered, locked={"a": "2"})) == "a-3"
    needing = pkg("n", depends="a (>= 3)")
    assert names(choose("n", needing, *offered, locked={"a": "2"})) == "a-3 n-1"


# -- conflicts -------------------------------------------------------------------------------


def test_another_choice_is_made_where_the_first_conflicts() -> None:
    offered = [
        pkg("a", depends="x | y, z"),
        pkg("x"),
        pkg("y"),
        pkg("z", conflicts="x"),
    ]
    assert names(choose("a", *offered)) == "a-1 y-1 z-1"


def test_a_choice_far_back_is_changed() -> None:
    offered = [
        pkg("a", depends="x | y"),
        pkg("x", depends="x1 | x2"),
        pkg("x1", depends="deep"),
        pkg("x2", depends="deep"),
        pkg("y"),
        pkg("b", depends="c | d"),
        pkg("c", breaks="deep (<< 2)"),
        pkg("d", breaks="deep (<< 2)"),
        pkg("deep"),
    ]
    assert names(choose("a; b", *offered)) == "a-1 b-1 c-1 y-1"


def test_a_provider_does_not_conflict_with_itself() -> None:
    offered = [pkg("mta", provides="agent", conflicts="agent"), pkg("other", provides="agent")]
    assert names(choose("mta", *offered)) == "mta-1"


def test_breaks_of_an_old_version_choose_a_newer_one() -> None:
    offered = [pkg("a", breaks="b (<< 2)"), pkg("b", "1"), pkg("b", "2")]
    assert names(choose("a; b", *offered)) == "a-1 b-2"


def test_an_excluded_package_is_done_without() -> None:
    offered = [pkg("a", depends="x | y"), pkg("x"), pkg("y")]
    assert names(choose("a; !x", *offered)) == "a-1 y-1"
    versions = [pkg("a", "1"), pkg("a", "2")]
    assert names(choose("a; !a (>= 2)", *versions)) == "a-1"


# -- circles, order, essential ---------------------------------------------------------------


def test_circles_are_no_trouble() -> None:
    offered = [pkg("a", depends="b"), pkg("b", depends="c"), pkg("c", depends="a, b")]
    resolution = choose("a", *offered)
    assert names(resolution) == "a-1 b-1 c-1"
    assert [each.name for each in resolution.packages(AMD)] == ["c", "b", "a"]


def test_what_is_needed_stands_before_what_needs_it() -> None:
    offered = [
        pkg("a", pre="c", depends="b"),
        pkg("b", depends="c"),
        pkg("c", depends="d"),
        pkg("d"),
    ]
    assert [each.name for each in choose("a", *offered).packages(AMD)] == ["d", "c", "b", "a"]


def test_chains_may_be_long() -> None:
    chain = [pkg(f"p{n}", depends=f"p{n + 1}") for n in range(3000)]
    assert len(choose("p0", *chain, pkg("p3000")).packages(AMD)) == 3001


ESSENTIAL = [
    pkg("base-files", pre="awk", depends="libc", essential=True),
    pkg("bash", essential=True, depends="libc"),
    pkg("mawk", provides="awk"),
    pkg("libc"),
    pkg("app", depends="libc"),
]


@pytest.mark.parametrize(
    ("essential", "chosen"),
    [
        ("none", "app-1 libc-1"),
        ("minimal", "app-1 base-files-1 libc-1"),
        ("full", "app-1 base-files-1 bash-1 libc-1 mawk-1"),
    ],
)
def test_essential_packages(essential: str, chosen: str) -> None:
    assert names(choose("app", *ESSENTIAL, essential=essential)) == chosen


def test_recommended_packages_are_left_out() -> None:
    assert names(choose("a", pkg("a"), pkg("b"))) == "a-1"


# -- base images -----------------------------------------------------------------------------


def test_only_what_is_missing_is_added_to_a_base() -> None:
    offered = [pkg("a", depends="b (>= 1), c"), pkg("b", "2"), pkg("c")]
    resolution = choose("a", *offered, installed=[pkg("b", "1.5")])
    assert names(resolution) == "a-1 c-1"
    assert [(each.name, each.kept) for each in resolution.chosen[AMD]] == [
        ("b", True), ("c", False), ("a", False)
    ]  # fmt: skip


def test_what_a_base_holds_answers_alternatives() -> None:
    offered = [pkg("a", depends="x | y"), pkg("x"), pkg("y")]
    assert names(choose("a", *offered, installed=[pkg("y", "0.1")])) == "a-1"
    provider = pkg("z", provides="x")
    assert names(choose("a", *offered, installed=[provider])) == "a-1"


def test_what_conflicts_with_a_base_is_not_chosen() -> None:
    offered = [pkg("a", depends="x | y"), pkg("x", conflicts="held"), pkg("y")]
    assert names(choose("a", *offered, installed=[pkg("held")])) == "a-1 y-1"
    assert names(choose("a", *offered, installed=[pkg("held", breaks="x")])) == "a-1 y-1"


# -- architectures ---------------------------------------------------------------------------


def _two_architectures() -> Universe:
    native = [
        pkg("a", ma="foreign"), pkg("lib", ma="same"), pkg("py", ma="allowed"), pkg("none"),
        pkg("data", arch="all", ma="foreign"), pkg("tool", ma="foreign"),
    ]  # fmt: skip
    foreign = [
        pkg("lib", arch="i386", ma="same"),
        pkg("none", arch="i386"),
        pkg("game", arch="i386", depends="lib, tool, data"),
        pkg("script", arch="i386", depends="py:any"),
        pkg("native", arch="i386", depends="none:amd64"),
        pkg("data", arch="all", ma="foreign"),
    ]
    repositories = [Repository(PackageList(native)), Repository(PackageList(foreign))]
    return Universe("amd64", repositories, foreign=["i386"])


@pytest.mark.parametrize(
    ("entry", "chosen"),
    [
        ("lib", "lib-1"),
        ("lib:i386", "lib:i386-1"),
        ("lib; lib:i386", "lib-1 lib:i386-1"),
        ("game:i386", "data-1 game:i386-1 lib:i386-1 tool-1"),
        ("script:i386", "py-1 script:i386-1"),
        ("native:i386", "native:i386-1 none-1"),
        ("py:any", "py-1"),
    ],
)
def test_packages_of_several_architectures(entry: str, chosen: str) -> None:
    assert names(choose(entry, _two_architectures())) == chosen


def test_any_needs_a_package_that_allows_it() -> None:
    offered = [pkg("a", depends="b:any | c"), pkg("b"), pkg("c")]
    assert names(choose("a", *offered)) == "a-1 c-1"
    assert names(choose("a", offered[0], pkg("b", ma="allowed"), offered[2])) == "a-1 b-1"


def test_platforms_are_solved_apart() -> None:
    amd = Universe.of([pkg("a", "1+b1")])
    arm = Universe.of([pkg("a", "1+b2", arch="arm64")], native="arm64")
    resolution = solve({AMD: ["a"], ARM: ["a"]}, {AMD: amd, ARM: arm})
    assert (names(resolution), names(resolution, ARM)) == ("a-1+b1", "a-1+b2")


# -- order -----------------------------------------------------------------------------------


def test_what_is_written_first_is_chosen_first() -> None:
    offered = [pkg("a", depends="x | y"), pkg("b", depends="y | x"), pkg("x"), pkg("y")]
    assert names(choose("a; b", *offered)) == "a-1 b-1 x-1"
    assert names(choose("b; a", *offered)) == "a-1 b-1 y-1"


def test_the_result_does_not_depend_on_the_order_of_records() -> None:
    dice = random.Random(1)
    offered = [
        pkg(
            f"p{n}",
            str(dice.randrange(1, 3)),
            depends=", ".join(
                " | ".join(f"p{dice.randrange(30)}" for _ in range(dice.randrange(1, 3)))
                for _ in range(dice.randrange(3))
            ),
        )
        for n in range(30)
    ]
    first = choose("p1; p2; p3 | p4", *offered)
    for _ in range(10):
        dice.shuffle(offered)
        assert names(choose("p1; p2; p3 | p4", *offered)) == names(first)


# -- what is unneeded ------------------------------------------------------------------------


def test_what_is_unneeded_is_brought_by_nothing() -> None:
    world = [pkg("a", depends="x, y | z"), pkg("x", depends="w"), pkg("y"), pkg("z"), pkg("w")]
    assert names(choose("a", *world, unneeded=["x"])) == "a-1 y-1"
    # A package that any alternative would do for needs none of them.
    assert names(choose("a", *world, unneeded=["x", "z"])) == "a-1"
    assert names(choose("a", *world, unneeded=["w"])) == "a-1 x-1 y-1"


def test_what_is_unneeded_is_there_if_asked_for() -> None:
    world = [pkg("a", depends="x (>= 2)"), pkg("x")]
    assert names(choose("a; x", *world, unneeded=["x"])) == "a-1 x-1"


def test_what_is_unneeded_is_so_in_a_search() -> None:
    world = [
        pkg("a", depends="b | c, gone | u"), pkg("b", depends="d"), pkg("c"), pkg("d"),
        pkg("e", conflicts="d"), pkg("u"),
    ]  # fmt: skip
    assert names(choose("a; e", *world, unneeded=["u"])) == "a-1 c-1 e-1"


def test_an_unneeded_package_that_nobody_offers_is_a_slip() -> None:
    with pytest.raises(RequestError, match=r"`debcnof` is unneeded anyway: no repository has it"):
        choose("a", pkg("a"), pkg("debconf"), unneeded=["debcnof", "debconf"])
    assert names(choose("a", pkg("a", depends="gone"), unneeded=["gone"])) == "a-1"


def test_what_is_unneeded_is_not_brought_by_what_it_provides() -> None:
    world = [pkg("a", depends="awk, b"), pkg("b"), pkg("mawk", provides="awk")]
    assert names(choose("a", *world, unneeded=["mawk"])) == "a-1 b-1"


def test_a_bad_entry_is_told() -> None:
    with pytest.raises(RequestError, match="`a=` is not a package to install"):
        choose("a=", pkg("a"))
    with pytest.raises(RequestError, match="no repositories for linux/amd64"):
        solve({AMD: ["a"]}, {})
