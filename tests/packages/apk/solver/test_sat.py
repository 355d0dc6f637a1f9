"""The clause learner alone, against trying every assignment."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from imagist.packages.solving.sat import Sat

VARIABLES = 7
literals = st.integers(2, 2 * VARIABLES + 1)
problems = st.lists(st.lists(literals, min_size=1, max_size=4, unique=True), max_size=40)


def holds(clauses: list[list[int]], values: tuple[bool, ...]) -> bool:
    return all(any(values[x // 2 - 1] != bool(x & 1) for x in clause) for clause in clauses)


def first_by_wish(clauses: list[list[int]]) -> tuple[bool, ...] | None:
    """The solution that greedy choice with perfect foresight finds: each variable in turn, true if it can be."""
    return next((v for v in product([True, False], repeat=VARIABLES) if holds(clauses, v)), None)


def run(clauses: list[list[int]], lazily: bool) -> tuple[bool, ...] | None:
    """Solve with all variables wished for in turn; lazily: a clause is told when its variables matter."""
    untold = [clause for clause in clauses if lazily and any(literal & 1 for literal in clause)]

    def unfold(variable: int) -> None:
        for clause in [c for c in untold if 2 * variable + 1 in c]:
            untold.remove(clause)
            sat.add(clause, "rule")

    sat = Sat(unfold)
    for _ in range(VARIABLES):
        sat.new_variable()
    for clause in clauses:
        if clause not in untold:
            sat.add(clause, "rule")
    solved = sat.solve(lambda _: next((v for v in range(1, VARIABLES + 1) if sat.is_open(v)), 0))
    if not solved:
        assert sat.core
        assert all(clause.label == "rule" for clause in sat.core)
        assert not any(
            holds([list(c) for c in sat.core], v) for v in product([True, False], repeat=VARIABLES)
        )
        return None
    return tuple(sat.is_true(variable) for variable in range(1, VARIABLES + 1))


@settings(max_examples=200, deadline=None)
@given(problems, st.booleans())
def test_finds_what_foresight_would_choose_or_refutes(
    clauses: list[list[int]], lazily: bool
) -> None:
    found = run(clauses, lazily)
    expected = first_by_wish(clauses)
    assert (found is None) == (expected is None)
    if found is not None:
        assert holds(clauses, found)
        assert found == expected


def test_exclusive_variables_never_stand_together() -> None:
    sat = Sat(rivals=lambda variable: [(3 - variable, "rivals")])
    sat.new_variable(), sat.new_variable()
    sat.add((2, 4), "one of them")
    assert sat.solve(lambda _: next((v for v in (1, 2) if sat.is_open(v)), 0))
    assert (sat.is_true(1), sat.is_true(2)) == (True, False)


def test_pigeons_do_not_fit() -> None:
    pigeons, holes = 5, 4
    sat = Sat()
    seat = {(p, h): sat.new_variable() for p in range(pigeons) for h in range(holes)}
    for pigeon in range(pigeons):
        sat.add([2 * seat[pigeon, hole] for hole in range(holes)], f"pigeon {pigeon}")
    for hole, one, other in product(range(holes), range(pigeons), range(pigeons)):
        if one < other:
            sat.add([2 * seat[one, hole] + 1, 2 * seat[other, hole] + 1], f"hole {hole}")
    assert not sat.solve(lambda _: next((v for v in seat.values() if sat.is_open(v)), 0))
    assert {f"pigeon {n}" for n in range(pigeons)} <= {clause.label for clause in sat.core}
