"""From a refutation to a smallest set of rules that contradict each other."""

from __future__ import annotations

from collections.abc import Sequence

from imagist.packages.solving.sat import (
    FALSE,
    MOST_CONFLICTS,
    OPEN,
    TRUE,
    Clause,
    Exhausted,
    Sat,
)


def shrink_core(core: Sequence[Clause]) -> list[Clause]:
    """Clauses of which none can be left out without making the rest possible.

    Deletion: each clause is left out in turn, and stays out if there still is no solution. What
    the refutation of the remainder did not use goes with it, so most clauses need no attempt.
    All attempts together have one bound on conflicts; what is untried when it is met stays in.
    """
    budget = MOST_CONFLICTS
    needed: list[Clause] = []
    waiting = [Clause(clause, clause.label) for clause in core]
    while waiting:
        attempt = waiting.pop()
        sat = _load([*needed, *waiting])
        try:
            possible = _is_possible(sat, [*needed, *waiting], budget)
        except Exhausted:
            return [*waiting, attempt, *needed[::-1]]
        budget -= sat.conflicts
        if possible:
            needed.append(attempt)
            continue
        used = {id(clause.label) for clause in sat.core}
        waiting = [clause for clause in waiting if id(clause.label) in used]
    return needed[::-1]


def _load(clauses: Sequence[Clause]) -> Sat:
    sat = Sat()
    for _ in range(max((literal >> 1 for clause in clauses for literal in clause), default=0)):
        sat.new_variable()
    for clause in clauses:
        sat.add(clause, clause.label)
    return sat


def _is_possible(sat: Sat, clauses: Sequence[Clause], most: int) -> bool:
    """Whether all clauses can hold; where not, `sat.core` is what a refutation uses of them."""

    def decide(_level: int) -> int:
        # Whatever no clause asks for may stay open: all rules hold when nothing is chosen.
        for clause in clauses:
            wished = 0
            for literal in clause:
                value = sat.values[literal]
                if value == TRUE or (literal & 1 and value == OPEN):
                    wished = 0
                    break
                if value != FALSE:
                    wished = wished or literal >> 1
            if wished:
                return wished
        return 0

    return sat.solve(decide, most)
