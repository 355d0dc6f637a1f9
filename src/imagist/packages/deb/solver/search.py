"""The search for packages where apt's walk gets stuck, over the clauses a world stands for.

There are two kinds of variables: a candidate (it is installed), and a requirement (a clause has to
be answered). Requirements are decided in the order of their distance to the world, each by its
first option that is still possible: favourites first, then other versions. What holds between
variables is labelled with one of `rules`, from which `explain` tells a person why there is no
solution.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from imagist.packages.deb.dependency import Clause, Relation
from imagist.packages.deb.relations import can_stand_beside, hits
from imagist.packages.deb.solver.rules import (
    Answers,
    Asked,
    Conflicts,
    Excluded,
    Excludes,
    Held,
    Needs,
    Rule,
)
from imagist.packages.deb.solver.walk import order_providers
from imagist.packages.deb.solver.wishes import Request, Wishes
from imagist.packages.deb.universe import Candidate
from imagist.packages.solving.sat import Clause as SatClause
from imagist.packages.solving.sat import Sat


class _Requirement(msgspec.Struct, frozen=True):
    clause: Clause
    candidates: tuple[Candidate, ...]
    variables: tuple[int, ...]


class Search:
    """The problem of one world, unfolding while it is solved."""

    def __init__(self, wishes: Wishes, requests: Sequence[Request] | None = None) -> None:
        """`requests` are those of `wishes`, unless only some of them are to be tried."""
        self._wishes = wishes
        self._native = wishes.universe.native
        self._sat = Sat(self._unfold, self._rivals)
        self._meanings: list[Candidate | _Requirement | None] = [None]
        self._members: dict[int, int] = {}
        self._requirements: dict[tuple[str, str, str], int] = {}
        self._namesakes: dict[str, list[tuple[int, Candidate]]] = {}
        self._settled = [0]
        for candidate in wishes.installed:
            self._sat.add((2 * self._member(candidate),), Held(candidate))
        for request in wishes.requests if requests is None else requests:
            variable = self._requirement(request.clause, self._native, request.suite)
            self._sat.add((2 * variable,), Asked(request))

    def solve(self) -> list[Candidate] | None:
        """The packages of a solution; None where there is none, and `core` says why.

        Raises:
            Exhausted: neither was found within the bound on conflicts.
        """
        if not self._sat.solve(self._decide):
            return None
        found = (self._meanings[literal >> 1] for literal in self._sat.trail if not literal & 1)
        return [meaning for meaning in found if isinstance(meaning, Candidate)]

    @property
    def core(self) -> Sequence[SatClause]:
        """After a failure: clauses that contradict each other."""
        return self._sat.core

    def _member(self, candidate: Candidate) -> int:
        known = self._members.get(id(candidate))
        if known is not None:
            return known
        variable = self._members[id(candidate)] = self._sat.new_variable()
        self._meanings.append(candidate)
        if not self._wishes.allows(candidate):
            entry = self._wishes.exclusion_of(candidate)
            self._sat.add((2 * variable + 1,), Excluded(entry, candidate))
        namesakes = self._namesakes.setdefault(candidate.package.name, [])
        for other, namesake in namesakes:
            # One that is true already was asked for its rivals before this one was known.
            if self._sat.is_true(other) and not can_stand_beside(
                namesake.package, candidate.package
            ):
                self._sat.exclude(variable, other, Excludes(candidate, namesake))
                break
        namesakes.append((variable, candidate))
        return variable

    def _requirement(self, clause: Clause, asking: str, suite: str = "") -> int:
        key = (clause.text, asking, suite)
        known = self._requirements.get(key)
        if known is not None:
            return known
        variable = self._requirements[key] = self._sat.new_variable()
        self._meanings.append(None)
        options = tuple(o for o in self._options(clause, asking) if o.is_from(suite))
        variables = tuple(self._member(option) for option in options)
        self._meanings[variable] = _Requirement(clause, options, variables)
        return variable

    def _options(self, clause: Clause, asking: str) -> list[Candidate]:
        """All that answers a clause: favourites first, by alternative and rank, then the rest."""
        favourites: dict[int, Candidate] = {}
        others: dict[int, Candidate] = {}
        for relation in clause.relations:
            answering = [
                candidate
                for candidate in self._providers(relation.name)
                if self._wishes.answers(candidate, relation, asking)
            ]
            for candidate in order_providers(answering, relation.name):
                arch = candidate.foreign or self._native
                favourite = self._wishes.favourite(candidate.package.name, arch)
                where = favourites if candidate is favourite else others
                where.setdefault(id(candidate), candidate)
        return [*favourites.values(), *others.values()]

    def _providers(self, name: str) -> list[Candidate]:
        held = [
            candidate
            for candidate in self._wishes.installed
            if candidate.package.name == name
            or any(offer.name == name for offer in candidate.package.offers)
        ]
        return [*held, *self._wishes.universe.providers(name)]

    def _unfold(self, variable: int) -> None:
        meaning = self._meanings[variable]
        if isinstance(meaning, _Requirement):
            rule = Answers(meaning.clause, meaning.candidates)
            self._sat.add((2 * variable + 1, *(2 * each for each in meaning.variables)), rule)
        elif meaning is not None:
            self._unfold_member(variable, meaning)

    def _unfold_member(self, variable: int, candidate: Candidate) -> None:
        asking = self._wishes.asking(candidate)
        for relation in self._wishes.conflicts(candidate):
            self._refuse(variable, candidate, relation)
        for clause in self._wishes.clauses(candidate):
            requirement = self._requirement(clause, asking)
            self._sat.add((2 * variable + 1, 2 * requirement), Needs(candidate, clause))

    def _refuse(self, variable: int, candidate: Candidate, relation: Relation) -> None:
        for other in self._providers(relation.name):
            if hits(candidate.package, relation, other.package, self._native):
                literals = (2 * variable + 1, 2 * self._member(other) + 1)
                self._sat.add(literals, Conflicts(candidate, relation, other))

    def _rivals(self, variable: int) -> Iterator[tuple[int, Rule]]:
        candidate = self._meanings[variable]
        if isinstance(candidate, Candidate):
            for rival, other in self._namesakes[candidate.package.name]:
                if rival != variable and not can_stand_beside(candidate.package, other.package):
                    yield rival, Excludes(candidate, other)

    def _decide(self, level: int) -> int:
        """The variable to make true next; 0 when everything required is there."""
        del self._settled[level + 1 :]
        values, trail = self._sat.values, self._sat.trail
        for place in range(self._settled[-1], len(trail)):
            literal = trail[place]
            meaning = None if literal & 1 else self._meanings[literal >> 1]
            if not isinstance(meaning, _Requirement):
                continue
            if any(values[2 * variable] > 0 for variable in meaning.variables):
                continue
            self._settled += [self._settled[-1]] * (level + 1 - len(self._settled))
            self._settled[level] = place
            return next(each for each in meaning.variables if self._sat.is_open(each))
        return 0
