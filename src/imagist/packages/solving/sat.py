"""Conflict-driven clause learning over a problem that unfolds while it is solved.

Variables are positive numbers; the literal of variable v is `2*v`, its negation `2*v + 1`.

The problem is not written down beforehand: when a variable first becomes true, `unfold` adds what
that entails (new variables, new clauses), and `rivals` names the variables that can never be
true beside it. So only what the search touches costs anything, however large the universe is.

Clauses and variables appear in the middle of a search, so an assignment may follow from decisions
older than the current one. Its level is that of the youngest decision it follows from,
and backing out keeps it (as in chronological backtracking: Nadel and Ryvchin 2018).

The search keeps early decisions: a conflict changes the youngest decision that took part in it.
What is found is therefore what a greedy choice with perfect foresight would find: each decision
is the first wish of `decide` that can still be completed to a solution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

TRUE: Final = 1
FALSE: Final = -1
OPEN: Final = 0

MOST_CONFLICTS: Final = 3_000
"""Conflicts after which a search is given up: counted, not timed, so that all machines agree.

Real worlds meet a few dozen; each conflict makes all later ones a little slower.
"""


class Exhausted(Exception):
    """The search met more conflicts than it may; whether there is a solution stays unknown."""


class Clause(list[int]):
    """Literals of which one must hold: a rule (`label`), or learned from others (`parents`)."""

    __slots__ = ("label", "parents")

    def __init__(
        self, literals: Iterable[int], label: object = None, parents: tuple[Clause, ...] = ()
    ) -> None:
        super().__init__(literals)
        self.label = label
        self.parents = parents

    __hash__ = object.__hash__  # type: ignore[assignment]  # a clause is the same only as itself


class Sat:
    """One search. `values[literal]` is TRUE, FALSE or OPEN."""

    def __init__(
        self,
        unfold: Callable[[int], None] = lambda _: None,
        rivals: Callable[[int], Iterable[tuple[int, object]]] = lambda _: (),
    ) -> None:
        self.values: list[int] = [OPEN, OPEN]
        self.trail: list[int] = []
        self.core: list[Clause] = []
        """After a failure: the given clauses that the refutation used."""
        self.conflicts = 0
        self._unfold = unfold
        self._rivals = rivals
        self._unfolded: list[bool] = [True]
        self._levels: list[int] = [0]
        self._reasons: list[Clause | None] = [None]
        self._watches: list[list[Clause]] = [[], []]
        self._starts: list[int] = []
        self._head = 0
        self._pending: Clause | None = None

    def new_variable(self) -> int:
        """A fresh variable."""
        self.values += (OPEN, OPEN)
        self._watches += ([], [])
        self._unfolded.append(False)
        self._levels.append(0)
        self._reasons.append(None)
        return len(self._levels) - 1

    def is_true(self, variable: int) -> bool:
        """Whether the variable is true at the moment."""
        return self.values[2 * variable] == TRUE

    def is_open(self, variable: int) -> bool:
        """Whether the variable is not decided at the moment."""
        return self.values[2 * variable] == OPEN

    def add(self, literals: Iterable[int], label: object) -> None:
        """Add a clause, at any time."""
        self._attach(Clause(literals, label))

    def exclude(self, variable: int, holder: int, label: object) -> None:
        """Say that a variable cannot hold beside one that is true (see `rivals`)."""
        clause = Clause((2 * variable + 1, 2 * holder + 1), label)
        if self.values[2 * variable] == TRUE:
            self._violate(clause)
        elif self.values[2 * variable] == OPEN:
            self._assign(clause[0], clause)

    def solve(self, decide: Callable[[int], int], most: int = MOST_CONFLICTS) -> bool:
        """Search. `decide` is told how many decisions stand, and names the next variable to try.

        Returns True when `decide` has no further wish (it returns 0); False when the clauses
        contradict each other, whatever is decided.

        Raises:
            Exhausted: neither was found within `most` conflicts.
        """
        while True:
            conflict = self._propagate()
            if conflict is None:
                variable = decide(len(self._starts))
                if not variable:
                    return True
                self._starts.append(len(self.trail))
                self._assign(2 * variable, None)
            elif not self._learn(conflict):
                return False
            elif self.conflicts >= most:
                raise Exhausted

    def _attach(self, clause: Clause) -> None:
        """Watch two literals of a clause: the ones that are true, open, or became false last."""
        values, levels = self.values, self._levels
        if len(clause) > 1:
            clause.sort(
                key=lambda literal: (
                    -levels[literal >> 1] if values[literal] == FALSE else -len(levels)
                )
            )
            self._watches[clause[0]].append(clause)
            self._watches[clause[1]].append(clause)
        if not clause or values[clause[0]] == FALSE:
            self._violate(clause)
        elif values[clause[0]] == OPEN and (len(clause) == 1 or values[clause[1]] == FALSE):
            self._assign(clause[0], clause)

    def _violate(self, clause: Clause) -> None:
        """Note a violated clause; of several the oldest counts: resolving it opens the others."""
        if self._pending is None or self._level(clause) < self._level(self._pending):
            self._pending = clause

    def _level(self, clause: Clause) -> int:
        return max((self._levels[literal >> 1] for literal in clause), default=0)

    def _assign(self, literal: int, reason: Clause | None) -> None:
        variable = literal >> 1
        self.values[literal] = TRUE
        self.values[literal ^ 1] = FALSE
        self._reasons[variable] = reason
        if reason is None:
            self._levels[variable] = len(self._starts)
        else:
            levels = self._levels
            levels[variable] = max((levels[o >> 1] for o in reason if o != literal), default=0)
        self.trail.append(literal)

    def _propagate(self) -> Clause | None:
        """Draw all conclusions; the clause that is violated, or None."""
        while self._head < len(self.trail):
            literal = self.trail[self._head]
            self._head += 1
            if not literal & 1:
                self._enter(literal >> 1)
            if self._pending is not None:
                conflict, self._pending = self._pending, None
                return conflict
            conflict_found = self._visit_watches(literal ^ 1)
            if conflict_found is not None:
                return conflict_found
        return None

    def _enter(self, variable: int) -> None:
        """Unfold a variable that has become true, and rule out its rivals."""
        if not self._unfolded[variable]:
            self._unfolded[variable] = True
            self._unfold(variable)
        values = self.values
        for rival, label in self._rivals(variable):
            if values[2 * rival] != FALSE:
                self.exclude(rival, variable, label)

    def _visit_watches(self, false: int) -> Clause | None:
        values, levels = self.values, self._levels
        watching = self._watches[false]
        self._watches[false] = kept = []
        for place, clause in enumerate(watching):
            if clause[0] == false:
                clause[0], clause[1] = clause[1], clause[0]
            first = clause[0]
            if values[first] == TRUE:
                kept.append(clause)
                continue
            replacement = 0
            for k in range(2, len(clause)):
                if values[clause[k]] != FALSE:
                    replacement = k
                    break
            else:
                # No other literal is left. The one that became false last stays watched, so that
                # backing out behind it wakes the clause.
                for k in range(2, len(clause)):
                    if levels[clause[k] >> 1] > levels[clause[replacement or 1] >> 1]:
                        replacement = k
                if values[first] == FALSE:
                    kept += watching[place:]
                    return clause
                self._assign(first, clause)
            if replacement:
                clause[1], clause[replacement] = clause[replacement], false
                self._watches[clause[1]].append(clause)
            else:
                kept.append(clause)
        return None

    def _learn(self, conflict: Clause) -> bool:
        """Learn from a violated clause, and back out; False when there is nothing to back out."""
        self.conflicts += 1
        levels, reasons = self._levels, self._reasons
        level = self._level(conflict)
        if level == 0:
            self._collect_core(conflict)
            return False
        # 1. Resolve backwards along the trail, until one literal of the level is left (the first
        #    unique implication point).
        seen: set[int] = set()
        parents = [conflict]
        learned: list[int] = []
        open_here = 0
        place = len(self.trail) - 1
        clause: Clause | None = conflict
        while True:
            for literal in clause or ():
                variable = literal >> 1
                if variable in seen:
                    continue
                seen.add(variable)
                if levels[variable] == level:
                    open_here += 1
                else:
                    learned.append(literal)
            while self.trail[place] >> 1 not in seen or levels[self.trail[place] >> 1] != level:
                place -= 1
            point = self.trail[place]
            place -= 1
            open_here -= 1
            if not open_here:
                break
            clause = reasons[point >> 1]
            if clause is not None:
                parents.append(clause)
        # 2. Drop what is false for good, but remember why it is.
        for literal in learned:
            reason = reasons[literal >> 1]
            if levels[literal >> 1] == 0 and reason is not None:
                parents.append(reason)
        learned = [literal for literal in learned if levels[literal >> 1] > 0]
        # 3. Back out to the level where the learned clause leaves one literal open.
        self._back_out(max((levels[literal >> 1] for literal in learned), default=0))
        self._attach(Clause((point ^ 1, *learned), None, tuple(parents)))
        return True

    def _back_out(self, level: int) -> None:
        """Undo the decisions above a level; what does not depend on them stays."""
        start = self._starts[level]
        undone = self.trail[start:]
        del self.trail[start:], self._starts[level:]
        for literal in undone:
            if self._levels[literal >> 1] <= level:
                self.trail.append(literal)
            else:
                self.values[literal] = self.values[literal ^ 1] = OPEN
        self._head = start
        self._pending = None

    def _collect_core(self, conflict: Clause) -> None:
        """Walk from the final conflict back to the clauses that were given."""
        waiting, seen = [conflict], {conflict}
        while waiting:
            clause = waiting.pop()
            if not clause.parents:
                self.core.append(clause)
            reasons = (self._reasons[literal >> 1] for literal in clause)
            level_0 = [
                r for r, lit in zip(reasons, clause, strict=True) if not self._levels[lit >> 1]
            ]
            for parent in (*clause.parents, *level_0):
                if parent is not None and parent not in seen:
                    seen.add(parent)
                    waiting.append(parent)
