"""From a refutation to a smallest set of rules that contradict each other."""

from __future__ import annotations

from collections.abc import Sequence

from imagist.packages.apk.solver.sat import FALSE, OPEN, TRUE, Clause, Sat


def shrink_core(core: Sequence[Clause]) -> list[Clause]:
    """Clauses of which none can be left out without making the rest possible.

    Deletion: each clause is left out in turn, and stays out if there still is no solution. What
    the refutation of the remainder did not use goes with it, so most clauses need no attempt.
    """
    needed: list[Clause] = []
    waiting = [Clause(clause, clause.label) for clause in core]
    while waiting:
        attempt = waiting.pop()
        refuted = _refute([*needed, *waiting])
        if refuted is None:
            needed.append(attempt)
            continue
        used = {id(clause.label) for clause in refuted}
        waiting = [clause for clause in waiting if id(clause.label) in used]
    return needed[::-1]


def _refute(clauses: Sequence[Clause]) -> list[Clause] | None:
    """The clauses that a refutation uses, or None where the clauses can all hold."""
    sat = Sat()
    for _ in range(max((literal >> 1 for clause in clauses for literal in clause), default=0)):
        sat.new_variable()
    for clause in clauses:
        sat.add(clause, clause.label)

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

    return None if sat.solve(decide) else sat.core
