"""What is asked for on one platform, and which version of a package is the favourite.

apt looks at one version of each package: the one of the highest priority, of these the highest
(apt_preferences(5)). A request for a certain version or suite makes another one the favourite, a
lock prefers the one it holds, and a base image has the one it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from imagist.packages.deb.dependency import ANY, Asked, Clause, Relation
from imagist.packages.deb.index import Package
from imagist.packages.deb.relations import answers, architecture_of
from imagist.packages.deb.universe import INSTALLED, Candidate, Universe

Essential = Literal["none", "minimal", "full"]
BASE: Final = "base-files"
"""Holds the links and folders without which no program starts, such as /lib64."""


class Request(msgspec.Struct, frozen=True):
    """Something to install, as the declaration or `essential` asks for it."""

    kind: Literal["world", "essential"]
    clause: Clause
    suite: str = ""

    @property
    def text(self) -> str:
        """How it was written."""
        return self.clause.text


class Wishes:
    """The requests for one platform, and what follows from them for single packages."""

    def __init__(
        self,
        universe: Universe,
        world: Iterable[Asked],
        *,
        essential: Essential = "none",
        installed: Iterable[Package] = (),
        preferred: Mapping[str, str] | None = None,
        unneeded: Iterable[str] = (),
        alone: Iterable[str] = (),
    ) -> None:
        """Read the world against a universe.

        Args:
            universe: the packages on offer.
            world: what the declaration asks for, and what it excludes; in this order it is chosen.
            essential: `full`: all packages marked essential. `minimal`: base-files alone, without
                its Pre-Depends, which serve nothing but its maintainer scripts.
            installed: packages of a base image, kept as they are.
            preferred: versions by package name that are taken as long as they are possible.
            unneeded: names of packages that nothing needs, whatever it depends on.
            alone: names of packages that bring nothing along, whatever they depend on.
        """
        self.universe = universe
        asked = tuple(world)
        self.excluded = tuple(entry for entry in asked if entry.exclude)
        self.requests = (
            *(Request("essential", _clause(name)) for name in _essential(universe, essential)),
            *(Request("world", e.clause, e.suite) for e in asked if not e.exclude),
        )
        self.installed = tuple(
            Candidate(each, INSTALLED, foreign=_foreign(each, universe.native))
            for each in installed
        )
        self._bare = {BASE} if essential == "minimal" else frozenset[str]()
        self._preferred = preferred or {}
        self._unneeded = frozenset(unneeded)
        self.spared: set[str] = set()
        """What of it something would have needed."""
        self._alone = frozenset(alone)
        # By identity: a universe gives the same package as the same object, as long as it lives.
        self._clauses: dict[int, tuple[Clause, ...]] = {}
        self._conflicts: dict[int, tuple[Relation, ...]] = {}
        self._held = {
            (each.package.name, each.foreign or universe.native): each for each in self.installed
        }
        self._favourites: dict[tuple[str, str], Candidate | None] = dict(self._held)
        for request in self.requests:
            self._favour(request)

    def is_answered_by_base(self, clause: Clause, asking: str) -> bool:
        """Whether what a base image holds answers a clause."""
        return any(
            self.answers(candidate, relation, asking)
            for candidate in self.installed
            for relation in clause.relations
        )

    def favourite(self, name: str, architecture: str) -> Candidate | None:
        """The version that apt calls the candidate; None where there is none."""
        key = (name, architecture)
        if key not in self._favourites:
            allowed = [c for c in self.universe.named(name, architecture) if self.allows(c)]
            self._favourites[key] = self._best(allowed)
        return self._favourites[key]

    def allows(self, candidate: Candidate) -> bool:
        """Whether a package may be chosen at all."""
        return candidate.priority >= 0 and self.exclusion_of(candidate) is None

    def exclusion_of(self, candidate: Candidate) -> Asked | None:
        """The entry of the world that excludes a package, or None."""
        for entry in self.excluded:
            if self.answers(candidate, entry.clause.relations[0], self.universe.native):
                return entry
        return None

    def clauses(self, candidate: Candidate) -> tuple[Clause, ...]:
        """What a package needs, in apt's order; nothing for what a base image holds."""
        known = self._clauses.get(id(candidate))
        if known is None:
            known = self._clauses[id(candidate)] = self._read_clauses(candidate)
        return known

    def _read_clauses(self, candidate: Candidate) -> tuple[Clause, ...]:
        if candidate.held or candidate.package.name in self._alone:
            return ()
        package, native = candidate.package, self.universe.native
        needed = package.clauses("depends", native)
        if package.name not in self._bare:
            needed = (*package.clauses("pre_depends", native), *needed)
        return tuple(
            clause
            for clause in needed
            if (clause.relations or clause.broken) and not self._is_unneeded(clause)
        )

    def _is_unneeded(self, clause: Clause) -> bool:
        """Whether what is unneeded would answer a clause, by its name or by what it provides."""
        if not self._unneeded:
            return False
        names = {relation.name for relation in clause.relations}
        names |= {each.package.name for name in names for each in self.universe.providers(name)}
        found = names & self._unneeded
        self.spared |= found
        return bool(found)

    def conflicts(self, candidate: Candidate) -> tuple[Relation, ...]:
        """What a package cannot stand beside, by its Conflicts and Breaks."""
        known = self._conflicts.get(id(candidate))
        if known is None:
            package, native = candidate.package, self.universe.native
            fields = (package.clauses("conflicts", native), package.clauses("breaks", native))
            known = tuple(r for clauses in fields for clause in clauses for r in clause.relations)
            self._conflicts[id(candidate)] = known
        return known

    def answers(self, candidate: Candidate, relation: Relation, asking: str) -> bool:
        """Whether a candidate answers a relation of a package of an architecture."""
        return answers(candidate.package, relation, asking, self.universe.native)

    def asking(self, candidate: Candidate) -> str:
        """The architecture for which a candidate's relations are read."""
        return architecture_of(candidate.package, self.universe.native)

    def matching(self, request: Request) -> list[Candidate]:
        """The packages that a request names by their own name and version, best first."""
        if len(request.clause.relations) != 1:
            return []
        relation = request.clause.relations[0]
        architecture = self._architecture(relation)
        return [
            candidate
            for candidate in self.universe.named(relation.name, architecture)
            if relation.accepts(candidate.version) and candidate.is_from(request.suite)
        ]

    def _favour(self, request: Request) -> None:
        """Make what a request names the favourite of its name."""
        matching = [each for each in self.matching(request) if self.exclusion_of(each) is None]
        if not matching:
            return
        relation = request.clause.relations[0]
        key = (relation.name, self._architecture(relation))
        if key not in self._held and (relation.op or request.suite):
            self._favourites[key] = self._best(matching)

    def _best(self, candidates: Sequence[Candidate]) -> Candidate | None:
        """The preferred version, else the first."""
        for candidate in candidates:
            if self._preferred.get(candidate.name) == candidate.version:
                return candidate
        return candidates[0] if candidates else None

    def _architecture(self, relation: Relation) -> str:
        return relation.arch if relation.arch not in {"", ANY} else self.universe.native


def _essential(universe: Universe, essential: Essential) -> list[str]:
    match essential:
        case "none":
            return []
        case "minimal":
            return [BASE] if universe.named(BASE) else []
        case "full":
            return universe.essential()


def _clause(name: str) -> Clause:
    return Clause(name, (Relation(name),))


def _foreign(package: Package, native: str) -> str:
    architecture = architecture_of(package, native)
    return "" if architecture == native else architecture
