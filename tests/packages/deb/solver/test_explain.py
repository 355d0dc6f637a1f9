"""What a person is told when there is no solution."""

from __future__ import annotations

import pytest

from imagist.errors import Problem, Span, Unsatisfiable
from imagist.packages.deb.index import Package
from imagist.packages.deb.solver.solve import solve
from imagist.packages.deb.universe import PackageList, Pin, Repository, Suite, Universe
from packages.deb.solver.deb_worlds import AMD, ARM, choose, pkg


def told(world: str, *packages: Package | Universe, **options: object) -> list[Problem]:
    with pytest.raises(Unsatisfiable) as error:
        choose(world, *packages, **options)  # type: ignore[arg-type]
    return list(error.value.problems)


def test_a_package_that_does_not_exist() -> None:
    (problem,) = told("nginz", pkg("nginx"), pkg("other"))
    assert problem.message == (
        "`nginz` cannot be installed: the world asks for `nginz`, which nothing provides"
    )
    assert problem.help == "did you mean `nginx`?"


def test_a_package_for_another_architecture() -> None:
    (problem,) = told("app", pkg("app", arch="arm64"), pkg("apps"))
    assert problem.help == "app exists only for other architectures than amd64"


def test_a_chain_to_something_missing() -> None:
    (problem,) = told("a", pkg("a", depends="b (>= 2) | c"), pkg("b", "2", depends="gone (>= 1)"))
    assert problem.message == (
        "`a` cannot be installed: the world asks for `a`; "
        "a-1 needs `b (>= 2) | c`, which only b-2 can answer; "
        "b-2 needs `gone (>= 1)`, which nothing provides"
    )
    assert problem.help == "add the suite or component that has `gone (>= 1)`"


def test_a_version_that_does_not_exist() -> None:
    suite = Suite("stable", "trixie", component="main")
    universe = Universe("amd64", [Repository(PackageList([pkg("a", "1"), pkg("a", "2")]), suite)])
    (problem,) = told("a (>= 3)", universe)
    assert problem.help == "a exists only as 1 and 2 in trixie/main"


def test_a_suite_that_does_not_have_it() -> None:
    suite = Suite("stable", "trixie", component="main")
    universe = Universe("amd64", [Repository(PackageList([pkg("a")]), suite)])
    (problem,) = told("a/sid", universe)
    assert problem.message == (
        "`a/sid` cannot be installed: the world asks for `a/sid`, which nothing provides"
    )
    assert problem.help == "a exists only as 1 in trixie/main"


def test_two_that_conflict() -> None:
    (problem,) = told("a; b", pkg("a", conflicts="b (<< 2)"), pkg("b"))
    assert problem.message == (
        "`a` and `b` cannot be installed together: the world asks for `a`; "
        "the world asks for `b`; a-1 conflicts with b-1 by `b (<< 2)`"
    )
    assert problem.help == "leave out or loosen one of `a`, `b`"


def test_a_conflict_far_down() -> None:
    offered = [
        pkg("a", depends="x"), pkg("x", breaks="y"), pkg("b", depends="v"), pkg("y", provides="v")
    ]  # fmt: skip
    (problem,) = told("a; b", *offered)
    assert problem.message == (
        "`a` and `b` cannot be installed together: the world asks for `a`; a-1 needs `x`; "
        "the world asks for `b`; b-1 needs `v`, which only y-1 can answer; "
        "x-1 conflicts with y-1 by `y`"
    )


def test_two_versions_of_one_package() -> None:
    offered = [pkg("a", depends="c (= 1)"), pkg("b", depends="c (= 2)"), pkg("c"), pkg("c", "2")]
    (problem,) = told("a; b", *offered)
    assert "a-1 needs `c (= 1)`, that is c-1" in problem.message
    assert "only one version of c can be installed, not 1 beside 2" in problem.message


def test_what_the_world_excludes() -> None:
    (problem,) = told("a; !b", pkg("a", depends="b"), pkg("b"))
    assert problem.message == (
        "`a` cannot be installed: the world asks for `a`; a-1 needs `b`; "
        "the world excludes b-1 by `!b`"
    )
    assert problem.help == "leave out or loosen one of `a`, `!b`"


def test_what_a_pin_forbids() -> None:
    universe = Universe("amd64", [Repository(PackageList([pkg("a")]))], pins=[Pin(-1, ("a",))])
    (problem,) = told("a", universe)
    assert "a-1 has a priority below zero" in problem.message


def test_what_a_base_image_holds() -> None:
    offered = [pkg("a", depends="libc (>= 2)"), pkg("libc", "2")]
    (problem,) = told("a", *offered, installed=[pkg("libc", "1")])
    assert "the base image holds libc-1" in problem.message
    assert "only one version of libc can be installed, not 1 beside 2" in problem.message
    assert problem.help == (
        "use a base image with newer packages, or ask for versions that go with it"
    )


def test_what_a_base_image_holds_cannot_be_excluded() -> None:
    (problem,) = told("a; !b", pkg("a"), installed=[pkg("b")])
    assert problem.message == (
        "the base image cannot be kept as it is: the base image holds b-1; "
        "the world excludes b-1 by `!b`"
    )


def test_several_contradictions_are_told_at_once() -> None:
    problems = told("a; b; c", pkg("a", depends="gone"), pkg("b", depends="lost"), pkg("c"))
    assert [problem.message.split(":")[0] for problem in problems] == [
        "`a` cannot be installed", "`b` cannot be installed"
    ]  # fmt: skip


def test_circles_do_not_end_up_in_the_story_twice() -> None:
    offered = [pkg("a", depends="b"), pkg("b", depends="a, gone")]
    (problem,) = told("a", *offered)
    assert problem.message.count("needs") == 2


def test_an_architecture_without_indexes() -> None:
    (problem,) = told("libc6:i386", pkg("libc6"))
    assert problem.help == "there are no indexes for i386: add the architecture to the source"


def test_a_virtual_package_in_a_version() -> None:
    (problem,) = told("v (>= 2)", pkg("p", provides="v"))
    assert problem.help == "`v` is provided by p: ask for one of them"


def test_a_field_that_means_nothing() -> None:
    (problem,) = told("a", pkg("a", depends="b (~ 1)"), pkg("b"))
    assert (
        "which means nothing (`b (~ 1)` is not `name` or `name (>= version)`)" in problem.message
    )


def test_platforms_that_fail_alike_are_told_once_and_places_are_named() -> None:
    place = Span("image.yaml", 3, 7)
    universes = {
        AMD: Universe.of([pkg("b")]),
        ARM: Universe.of([pkg("b", arch="arm64"), pkg("a", arch="arm64")], native="arm64"),
    }
    with pytest.raises(Unsatisfiable) as error:
        solve({AMD: ["gone"], ARM: ["gone"]}, universes, places={"gone": place})
    (problem,) = error.value.problems
    assert problem.where == place
    assert problem.message.startswith("`gone` cannot be installed: ")
    with pytest.raises(Unsatisfiable) as error:
        solve({AMD: ["a"], ARM: ["a"]}, universes)
    (problem,) = error.value.problems
    assert problem.message.startswith("`a` cannot be installed for linux/amd64: ")
    assert problem.help == "a exists only for linux/arm64: ask for it there alone"
