"""apt's way to choose: depth first, the first alternative that is possible, no way back.

The walk gives what `apt-get install` gives on the same packages, or gives up: where a conflict
or a dead end asks for another choice earlier on, `search` goes on.

What several packages provide is taken, in this order, from: the package of that name, essential
packages, protected ones, the machine's own architecture, the higher priority. Where all that is
alike apt takes what it came to know last; here it is the last name in the alphabet, which is the
same more often than not, as indexes are sorted by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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


class _Walk:
    def __init__(self, wishes: Wishes, forced: Sequence[Candidate] = ()) -> None:
        """`forced` will be chosen in the end, so that nothing is that clashes with one of them."""
        self._wishes = wishes
        self._forced = forced
        self._native = wishes.universe.native
        self._chosen: dict[str, Candidate] = {}
        self._offered: dict[str, list[Candidate]] = {}
        self._forbidden: dict[str, list[tuple[Candidate, Relation]]] = {}
        self._walked: set[str] = set()
        self._possible: dict[tuple[str, str], bool] = {}
        self._ahead: dict[str, list[Candidate]] = {}

    def go(self) -> list[Candidate] | None:
        for candidate in self._forced:
            self._note(candidate, self._ahead)
            self._forbid(candidate)
        for candidate in self._wishes.installed:
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
            start = self._answer(request.clause, self._native)
            if start is None or not self._descend(start):
                return None
        return list(self._chosen.values())

    def _named(self, request: Request) -> Candidate | None:
        """The package that a request names by its own name."""
        for candidate in self._wishes.matching(request)[:1]:
            return _favourite(self._wishes, candidate)
        return None

    def _answer(self, clause: Clause, asking: str) -> Candidate | None:
        """What answers a clause: something chosen, or the first that can be; None for nothing."""
        for candidate in self._answering(clause, asking):
            return candidate
        for option in find_options(self._wishes, clause, asking):
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

    def _descend(self, start: Candidate) -> bool:
        """Choose all that a package needs. Chains may be long, so this does not recurse."""
        if start.name in self._walked:
            return True
        self._walked.add(start.name)
        path = [(start, iter(self._wishes.clauses(start)))]
        while path:
            candidate, clauses = path[-1]
            for clause in clauses:
                if clause.relations == () and not clause.broken:
                    continue
                needed = self._answer(clause, self._wishes.asking(candidate))
                if needed is None:
                    return False
                if needed.name not in self._walked:
                    self._walked.add(needed.name)
                    path.append((needed, iter(self._wishes.clauses(needed))))
                    break
            else:
                path.pop()
        return True

    def _is_possible(self, option: Candidate) -> bool:
        """Whether each thing that a package needs is there or on offer, one step ahead."""
        asking = self._wishes.asking(option)
        for clause in self._wishes.clauses(option):
            if clause.relations == () and not clause.broken:
                continue
            if any(True for _ in self._answering(clause, asking)):
                continue
            key = (clause.text, asking)
            if key not in self._possible:
                self._possible[key] = bool(find_options(self._wishes, clause, asking))
            if not self._possible[key]:
                return False
        return True

    def _clashes(self, candidate: Candidate) -> bool:
        """Whether something chosen and a package cannot stand beside each other."""
        package = candidate.package
        for relation in self._wishes.conflicts(candidate):
            for offered in (self._offered, self._ahead):
                for other in offered.get(relation.name, ()):
                    if hits(package, relation, other.package, self._native):
                        return True
        for name in (package.name, *(offer.name for offer in package.offers)):
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

    def _note(self, candidate: Candidate, offered: dict[str, list[Candidate]]) -> None:
        package = candidate.package
        for name in dict.fromkeys((package.name, *(offer.name for offer in package.offers))):
            offered.setdefault(name, []).append(candidate)

    def _forbid(self, candidate: Candidate) -> None:
        for relation in self._wishes.conflicts(candidate):
            self._forbidden.setdefault(relation.name, []).append((candidate, relation))
