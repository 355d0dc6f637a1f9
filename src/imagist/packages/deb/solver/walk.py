"""apt's way to choose: depth first, the first alternative that is possible.

A package whose needs turn out to be impossible is discarded for good, and the next alternative is
tried. The walk gives what `apt-get install` gives on the same packages, or gives up: where a
conflict asks for another choice somewhere else, `search` goes on.

What several packages provide is taken, in this order, from: the package of that name, essential
packages, protected ones, the machine's own architecture, the higher priority. Where all that is
alike apt takes what it came to know last; here it is the last name in the alphabet, which is the
same more often than not, as indexes are sorted by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from imagist.packages.deb.dependency import Clause, Relation
from imagist.packages.deb.relations import can_stand_beside, hits
from imagist.packages.deb.solver.wishes import Request, Wishes
from imagist.packages.deb.universe import Candidate


def walk(wishes: Wishes) -> list[Candidate] | None:
    """The packages that apt would choose, those of a base image included; None for a dead end."""
    found = _Walk(wishes).go()
    return _Walk(wishes, find_forced(wishes)).go() if found is None else found


def find_forced(wishes: Wishes) -> list[Candidate]:
    """The packages that no choice can avoid: each is the only option of something needed."""
    native = wishes.universe.native
    forced: dict[int, Candidate] = {}
    waiting = [(request.clause, native) for request in wishes.requests]
    while waiting:
        clause, asking = waiting.pop()
        if wishes.is_answered_by_base(clause, asking):
            continue
        options = find_options(wishes, clause, asking)
        if len(options) == 1 and id(options[0]) not in forced:
            forced[id(options[0])] = options[0]
            needing = wishes.asking(options[0])
            waiting += [(needed, needing) for needed in wishes.clauses(options[0])]
    return list(forced.values())


def order_providers(candidates: Sequence[Candidate], name: str) -> list[Candidate]:
    """Packages that answer to a name, in the order in which they are tried."""
    ordered = sorted(candidates, key=lambda each: each.name, reverse=True)
    ordered.sort(
        key=lambda each: (
            each.package.name != name,
            not each.package.essential,
            not each.package.protected,
            bool(each.foreign),
            each.package.rank,
        )
    )
    return ordered


def find_options(wishes: Wishes, clause: Clause, asking: str) -> list[Candidate]:
    """The favourites that answer a clause, best first."""
    options: dict[int, Candidate] = {}
    for relation in clause.relations:
        found = [
            candidate
            for candidate in wishes.universe.providers(relation.name)
            if candidate is _favourite(wishes, candidate)
            and wishes.answers(candidate, relation, asking)
        ]
        options |= {id(each): each for each in order_providers(found, relation.name)}
    return list(options.values())


def _favourite(wishes: Wishes, candidate: Candidate) -> Candidate | None:
    arch = candidate.foreign or wishes.universe.native
    return wishes.favourite(candidate.package.name, arch)


class _Step(msgspec.Struct):
    """A package on the way from the world to where the walk is."""

    candidate: Candidate
    clauses: tuple[Clause, ...]
    at: int = 0
    """The clause that is being answered."""
    mark: int | None = None
    """How many were chosen before it; None where it was there before the walk came to it."""


class _Walk:
    def __init__(self, wishes: Wishes, forced: Sequence[Candidate] = ()) -> None:
        """`forced` will be chosen in the end, so that nothing is that clashes with one of them."""
        self._wishes = wishes
        self._native = wishes.universe.native
        self._forced = forced
        self._chosen: dict[str, Candidate] = {}
        self._offered: dict[str, list[Candidate]] = {}
        self._ahead: dict[str, list[Candidate]] = {}
        self._forbidden: dict[str, list[tuple[Candidate, Relation]]] = {}
        self._walked: set[str] = set()
        self._discarded: set[int] = set()
        self._options: dict[tuple[str, str], list[Candidate]] = {}

    def go(self) -> list[Candidate] | None:
        for candidate in self._forced:
            self._note(candidate, self._ahead)
            self._forbid(candidate)
        for candidate in self._wishes.installed:
            if self._wishes.exclusion_of(candidate) is not None:
                return None
            self._choose(candidate)
        # 1. What is named is there from the beginning, and answers whatever it can.
        for request in self._wishes.requests:
            named = self._named(request)
            if named is None or named.name in self._chosen:
                continue
            if self._clashes(named):
                return None
            self._choose(named)
        # 2. Then each in turn, with all that it needs.
        for request in self._wishes.requests:
            if not self._descend(request.clause, request.suite):
                return None
        return list(self._chosen.values())

    def _named(self, request: Request) -> Candidate | None:
        """The package that a request names by its own name."""
        for candidate in self._wishes.matching(request)[:1]:
            return _favourite(self._wishes, candidate)
        return None

    def _descend(self, root: Clause, suite: str) -> bool:
        """Choose what a request needs. Chains may be long, so this does not recurse.

        Args:
            root: what is requested.
            suite: where it has to come from; anywhere if empty.
        """
        path: list[_Step] = []
        while True:
            step = path[-1] if path else None
            clause = step.clauses[step.at] if step else root
            asking = self._wishes.asking(step.candidate) if step else self._native
            mark = len(self._chosen)
            needed = self._answer(clause, asking)
            if needed is None:
                if step is None or step.mark is None:
                    return False
                # What asked for this one is asked again, and finds the next alternative.
                path.pop()
                self._undo(step.mark)
                self._discarded.add(id(step.candidate))
                continue
            if step is None and not needed.is_from(suite):
                return False
            # What a request names is walked in its own turn, not where something else needs it.
            is_new = len(self._chosen) > mark
            if (is_new or step is None) and needed.name not in self._walked:
                self._walked.add(needed.name)
                before = mark if is_new else None
                path.append(_Step(needed, self._wishes.clauses(needed), 0, before))
            elif step is None:
                return True
            else:
                step.at += 1
            while path[-1].at == len(path[-1].clauses):
                path.pop()
                if not path:
                    return True
                path[-1].at += 1

    def _answer(self, clause: Clause, asking: str) -> Candidate | None:
        """What answers a clause: something chosen, or the first that can be; None for nothing."""
        for candidate in self._answering(clause, asking):
            return candidate
        for option in self._find_options(clause, asking):
            if option.name in self._chosen or self._clashes(option):
                continue
            if self._is_possible(option):
                self._choose(option)
                return option
        return None

    def _answering(self, clause: Clause, asking: str) -> Iterator[Candidate]:
        for relation in clause.relations:
            for candidate in self._offered.get(relation.name, ()):
                if self._wishes.answers(candidate, relation, asking):
                    yield candidate

    def _find_options(self, clause: Clause, asking: str) -> list[Candidate]:
        """What might be chosen for a clause, best first."""
        key = (clause.text, asking)
        if key not in self._options:
            self._options[key] = find_options(self._wishes, clause, asking)
        found = self._options[key]
        return [o for o in found if id(o) not in self._discarded] if self._discarded else found

    def _is_possible(self, option: Candidate) -> bool:
        """Whether each thing that a package needs is there or on offer, one step ahead."""
        asking = self._wishes.asking(option)
        return all(
            any(True for _ in self._answering(clause, asking))
            or self._find_options(clause, asking)
            for clause in self._wishes.clauses(option)
        )

    def _clashes(self, candidate: Candidate) -> bool:
        """Whether something chosen and a package cannot stand beside each other."""
        package = candidate.package
        for relation in self._wishes.conflicts(candidate):
            for offered in (self._offered, self._ahead):
                for other in offered.get(relation.name, ()):
                    if hits(package, relation, other.package, self._native):
                        return True
        for name in names_of(candidate):
            for other, relation in self._forbidden.get(name, ()):
                if hits(other.package, relation, package, self._native):
                    return True
        return any(
            other.package.name == package.name
            and other is not candidate
            and not can_stand_beside(other.package, package)
            for other in self._offered.get(package.name, ())
        )

    def _choose(self, candidate: Candidate) -> None:
        self._chosen[candidate.name] = candidate
        self._note(candidate, self._offered)
        self._forbid(candidate)

    def _undo(self, mark: int) -> None:
        """Take back all choices but the first so many."""
        while len(self._chosen) > mark:
            name, candidate = self._chosen.popitem()
            self._walked.discard(name)
            for offered in names_of(candidate):
                self._offered[offered].pop()
            for relation in self._wishes.conflicts(candidate):
                self._forbidden[relation.name].pop()

    def _note(self, candidate: Candidate, offered: dict[str, list[Candidate]]) -> None:
        for name in names_of(candidate):
            offered.setdefault(name, []).append(candidate)

    def _forbid(self, candidate: Candidate) -> None:
        for relation in self._wishes.conflicts(candidate):
            self._forbidden.setdefault(relation.name, []).append((candidate, relation))


def names_of(candidate: Candidate) -> tuple[str, ...]:
    """What a package is called: its own name, and each that it provides."""
    package = candidate.package
    return tuple(dict.fromkeys((package.name, *(offer.name for offer in package.offers))))
