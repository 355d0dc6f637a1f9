"""What a person is told when there is no solution."""

from __future__ import annotations

import pytest

from imagist.errors import Problem, Span, Unsatisfiable
from imagist.packages.apk.solver.solve import solve
from imagist.packages.apk.universe import Universe
from imagist.packages.solving import core
from imagist.packages.solving.sat import MOST_CONFLICTS, Sat
from packages.apk.solver.solver_worlds import AMD, ARM, read_packages, universe


def told(world: str, offered: Universe, **options: object) -> list[Problem]:
    with pytest.raises(Unsatisfiable) as raised:
        solve({ARM: world.split()}, {ARM: offered}, **options)  # type: ignore[arg-type]
    return list(raised.value.problems)


def told_once(world: str, offered: Universe, **options: object) -> Problem:
    (problem,) = told(world, offered, **options)
    return problem


SSL = "app 1.0-r0 needs: so:libssl.so.3\nopenssl 3.1-r0 gives: so:libssl.so.3=3\nopenssl 1.1-r0 gives: so:libssl.so.1.1=1\nmore 1"


def test_a_version_conflict_is_told_as_a_chain_from_the_world() -> None:
    problem = told_once("app openssl<3 more", universe(SSL))
    assert problem.message == (
        "`app` and `openssl<3` cannot be installed together: the world asks for `app`; app-1.0-r0 needs "
        "`so:libssl.so.3`, which only openssl-3.1-r0 provides; the world asks for `openssl<3`, that is "
        "openssl-1.1-r0; only one version of openssl can be installed, not 1.1-r0 beside 3.1-r0"
    )
    assert problem.help == "leave out or loosen one of `app`, `openssl<3`"


def test_versions_that_fail_alike_are_told_as_one() -> None:
    lines = [f"app {n} needs: lib<2" for n in range(1, 41)] + [
        "lib 1",
        "lib 3",
        "other 1 needs: lib>2",
    ]
    message = told_once("app other", universe("\n".join(lines))).message
    assert "app 1 to 40 (40 of them) need `lib<2`, that is lib-1" in message
    assert message.count("lib<2") == 1


@pytest.mark.parametrize(
    ("world", "message", "advice"),
    [
        (
            "pyton3",
            "the world asks for `pyton3`, which nothing provides",
            "did you mean `python3`?",
        ),
        ("zzz", "which nothing provides", "check the name, or add the repository that has it"),
        ("foo=2", "which nothing provides", "foo exists only as 1.2-r0 and 1.3-r1"),
        ("foo>7", "which nothing provides", "foo exists only as 1.2-r0 and 1.3-r1"),
        (
            "new",
            "which nothing provides",
            "new is in the repository tagged @edge: write `new@edge`",
        ),
        ("virt>5", "which nothing provides", "`virt` is provided without a version, by foo"),
        ("broken", "broken-1 needs `a===`, which means nothing", "ask for another version"),
        (
            "deep",
            "deep-1 needs `gone`, which nothing provides",
            "add the repository that has `gone`",
        ),
        (
            "!foo user",
            "the world excludes foo 1.2-r0 and 1.3-r1 by `!foo`",
            "leave out or loosen one of `!foo`, `user`",
        ),
        (
            "hater user",
            "hater-1 refuses foo 1.2-r0 and 1.3-r1 by `!foo`",
            "leave out or loosen one of",
        ),
        ("one two", "one-1 and two-1 both provide `x`", "leave out or loosen one of"),
    ],
)
def test_contradiction_says_what_and_what_next(world: str, message: str, advice: str) -> None:
    offered = universe(
        "foo 1.2-r0 gives: virt\nfoo 1.3-r1\npython3 3\nbroken 1 needs: a===\ndeep 1 needs: gone\n"
        "user 1 needs: foo\nhater 1 needs: !foo\none 1 gives: x=1\ntwo 1 gives: x=1",
        edge="new 1",
    )
    problem = told_once(world, offered)
    assert message in problem.message
    assert problem.help
    assert advice in problem.help


def test_independent_contradictions_are_all_told() -> None:
    problems = told("gone1 gone2 app openssl<3", universe(SSL))
    assert len(problems) == 3
    assert sum("gone" in problem.message for problem in problems) == 2


def test_problem_points_at_the_entry_of_the_declaration() -> None:
    place = Span("base.yaml", 4, 7, 4, "    - gone")
    assert told_once("gone", universe("a 1"), places={"gone": place}).where == place


def test_a_base_image_is_named() -> None:
    problem = told_once("lib>1", universe("lib 2"), installed={ARM: read_packages("lib 1")})
    assert "the base image holds lib-1" in problem.message


def test_same_contradiction_of_all_platforms_is_told_once_without_naming_them() -> None:
    offered = universe("a 1")
    with pytest.raises(Unsatisfiable) as raised:
        solve({AMD: ["gone"], ARM: ["gone"]}, {AMD: offered, ARM: offered})
    (problem,) = raised.value.problems
    assert "linux/" not in problem.message


def test_package_that_one_platform_lacks_is_told_with_the_others() -> None:
    with pytest.raises(Unsatisfiable) as raised:
        solve({AMD: ["a"], ARM: ["a"]}, {AMD: universe("a 1"), ARM: universe("b 1")})
    (problem,) = raised.value.problems
    assert problem.message.startswith("`a` cannot be installed for linux/arm64: ")
    assert problem.help == "a exists only for linux/amd64: ask for it on these platforms alone"


def test_platforms_that_only_disagree_are_told_with_both_versions() -> None:
    with pytest.raises(Unsatisfiable) as raised:
        solve({AMD: ["a"], ARM: ["a"]}, {AMD: universe("a 1"), ARM: universe("a 2")})
    (problem,) = raised.value.problems
    assert "a-1 for linux/amd64 and a-2 for linux/arm64 differ" in problem.message


def pigeons(holes: int) -> tuple[str, Universe]:
    """One pigeon more than there are holes: no resolution proof of this is short."""
    lines = [
        f"p{i}-in-{h} 1 gives: pig{i} hole{h}=1" for i in range(holes + 1) for h in range(holes)
    ]
    return " ".join(f"pig{i}" for i in range(holes + 1)), universe("\n".join(lines))


def test_a_search_without_end_is_given_up_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sat.solve, "__defaults__", (300,))
    problem = told_once(*pigeons(11))
    assert "no choice of packages was found, nor a reason why there is none" in problem.message
    assert problem.help is not None
    assert "pin versions" in problem.help


def test_the_bound_of_a_search_is_far_from_what_worlds_need_and_still_soon_met() -> None:
    assert 1_000 <= MOST_CONFLICTS <= 5_000


def test_a_contradiction_too_hard_to_shrink_is_told_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(core, "MOST_CONFLICTS", 20)
    problem = told_once(*pigeons(5))
    assert "cannot be installed together" in problem.message
