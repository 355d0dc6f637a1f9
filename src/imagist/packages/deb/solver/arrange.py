"""From a set of packages to their installation order, and to the reasons for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from imagist.packages.deb.dependency import Clause
from imagist.packages.deb.solver.resolution import Chosen, Reason
from imagist.packages.deb.solver.wishes import Wishes
from imagist.packages.deb.universe import Candidate


def arrange(wishes: Wishes, candidates: Iterable[Candidate]) -> tuple[Chosen, ...]:
    """Put the packages of one platform in installation order, with their reasons.

    The order is that of a walk from the world, depth first: a package stands behind what it needs.
    Where packages need each other in a circle, the one that the walk enters last stands first.
    What nothing asks for is left out.
    """
    return _Arrangement(wishes, candidates).arrange()


class _Arrangement:
    def __init__(self, wishes: Wishes, candidates: Iterable[Candidate]) -> None:
        self._wishes = wishes
        self._native = wishes.universe.native
        self._candidates = sorted(candidates, key=lambda each: each.name)
        self._offered: dict[str, list[Candidate]] = {}
        for candidate in self._candidates:
            package = candidate.package
            for name in dict.fromkeys((package.name, *(each.name for each in package.offers))):
                self._offered.setdefault(name, []).append(candidate)
        self._reasons: dict[str, dict[Reason, None]] = {}

    def arrange(self) -> tuple[Chosen, ...]:
        self._give_reasons()
        order: dict[str, Candidate] = {}
        entered: set[str] = set()
        for candidate in self._starting_points():
            self._walk(candidate, entered, order)
        return tuple(Chosen(each, tuple(self._reasons[name])) for name, each in order.items())

    def _starting_points(self) -> Iterator[Candidate]:
        """What the base image holds, then what is asked for."""
        yield from (each for each in self._candidates if each.held)
        for request in self._wishes.requests:
            yield from self._answering(request.clause, self._native)

    def _walk(self, start: Candidate, entered: set[str], order: dict[str, Candidate]) -> None:
        """Append a package behind what it needs. Chains may be long, so this does not recurse."""
        path = [(start, iter((start,)))]
        while path:
            candidate, needed = path[-1]
            for other in needed:
                if other.name not in entered:
                    entered.add(other.name)
                    path.append((other, iter(self._needed(other))))
                    break
            else:
                path.pop()
                if path:
                    order[candidate.name] = candidate

    def _needed(self, candidate: Candidate) -> tuple[Candidate, ...]:
        """What should be installed before a package."""
        asking = self._wishes.asking(candidate)
        clauses = self._wishes.clauses(candidate)
        return tuple(o for clause in clauses for o in self._answering(clause, asking))

    def _answering(self, clause: Clause, asking: str) -> list[Candidate]:
        return [
            candidate
            for relation in clause.relations
            for candidate in self._offered.get(relation.name, ())
            if self._wishes.answers(candidate, relation, asking)
        ]

    def _give_reasons(self) -> None:
        """Walk from the world, nearest packages first, noting who asks for whom."""
        waiting: list[Candidate] = []
        for candidate in self._candidates:
            if candidate.held:
                self._note(candidate, Reason("installed", str(candidate)), waiting)
        for request in self._wishes.requests:
            for candidate in self._answering(request.clause, self._native):
                self._note(candidate, Reason(request.kind, request.text), waiting)
        for candidate in waiting:  # which grows meanwhile
            asking = self._wishes.asking(candidate)
            for clause in self._wishes.clauses(candidate):
                for other in self._answering(clause, asking):
                    if other is not candidate:
                        reason = Reason("depends", clause.text, candidate.name)
                        self._note(other, reason, waiting)

    def _note(self, candidate: Candidate, reason: Reason, waiting: list[Candidate]) -> None:
        reasons = self._reasons.get(candidate.name)
        if reasons is None:
            reasons = self._reasons[candidate.name] = {}
            waiting.append(candidate)
        reasons[reason] = None
