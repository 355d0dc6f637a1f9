"""From a set of packages to their installation order, and to the reasons for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from imagist.packages.apk.dependency import Dependency
from imagist.packages.apk.index import Candidate, depends_of, install_if_of, provides_of
from imagist.packages.apk.solver.preference import carried_version
from imagist.packages.apk.solver.resolution import Chosen, Reason
from imagist.packages.apk.solver.search import is_triggered


def arrange(world: Sequence[Dependency], candidates: Iterable[Candidate]) -> tuple[Chosen, ...]:
    """Put the packages of one platform in installation order, with their reasons.

    The order is that of a walk from the world, depth first: a package stands behind what it needs.
    Where packages need each other in a circle, the one that the walk enters last stands first.
    Packages that install themselves stand behind what triggered them and what they need.
    """
    return _Arrangement(world, candidates).arrange()


class _Arrangement:
    def __init__(self, world: Sequence[Dependency], candidates: Iterable[Candidate]) -> None:
        self._world = sorted(world, key=lambda entry: entry.text)
        self._candidates = sorted(candidates, key=lambda each: each.package.name)
        self._offered: dict[str, list[Candidate]] = {}
        for candidate in self._candidates:
            for name in dict.fromkeys(name for name, _ in provides_of(candidate.package)):
                self._offered.setdefault(name, []).append(candidate)
        self._reasons: dict[str, dict[Reason, None]] = {}

    def arrange(self) -> tuple[Chosen, ...]:
        self._give_reasons()
        order: dict[str, Candidate] = {}
        entered: set[str] = set()
        for candidate in self._starting_points():
            self._walk(candidate, entered, order)
        return tuple(
            Chosen(candidate, tuple(self._reasons[name])) for name, candidate in order.items()
        )

    def _starting_points(self) -> Iterator[Candidate]:
        """What the base image holds, what the world names, what installs itself."""
        yield from (each for each in self._candidates if each.repository < 0)
        for entry in self._world:
            yield from self._answering(entry)
        yield from self._candidates

    def _walk(self, start: Candidate, entered: set[str], order: dict[str, Candidate]) -> None:
        """Append a package behind what it needs. Chains may be long, so this does not recurse."""
        path = [(start, iter((start,)))]
        while path:
            candidate, needed = path[-1]
            for other in needed:
                name = other.package.name
                if name in self._reasons and name not in entered:
                    entered.add(name)
                    path.append((other, iter(self._needed(other))))
                    break
            else:
                path.pop()
                if path:
                    order[candidate.package.name] = candidate

    def _needed(self, candidate: Candidate) -> list[Candidate]:
        """What should be installed before a package."""
        if candidate.repository < 0:
            return []
        package = candidate.package
        wanted = sorted(depends_of(package), key=lambda each: each.text)
        if any(reason.kind == "install_if" for reason in self._reasons[package.name]):
            wanted += install_if_of(package)
        return [other for each in wanted if not each.conflict for other in self._answering(each)]

    def _answering(self, wanted: Dependency) -> list[Candidate]:
        if wanted.conflict:
            return []
        return [
            candidate
            for candidate in self._offered.get(wanted.name, ())
            if carried_version(candidate.package, wanted) is not None
        ]

    def _give_reasons(self) -> None:
        """Walk from the world, nearest packages first, noting who asks for whom."""
        # 1. What is there already, and what the world asks for.
        waiting: list[Candidate] = []
        for candidate in self._candidates:
            if candidate.repository < 0:
                self._note(candidate, Reason("installed", str(candidate)), waiting)
        for entry in self._world:
            for candidate in self._answering(entry):
                self._note(candidate, Reason("world", entry.text), waiting)
        self._spread(waiting)
        # 2. What installs itself, with what that needs in turn.
        for candidate in self._candidates:
            if candidate.package.install_if and is_triggered(candidate, self._offered):
                text = " ".join(candidate.package.install_if)
                conditions = map(self._answering, install_if_of(candidate.package))
                names = dict.fromkeys(each.package.name for found in conditions for each in found)
                reason = Reason("install_if", text, triggers=tuple(names))
                self._note(candidate, reason, waiting)
                self._spread(waiting)

    def _spread(self, waiting: list[Candidate]) -> None:
        """Follow dependencies breadth first, from the packages that were just noted."""
        for candidate in waiting:  # which grows meanwhile
            if candidate.repository < 0:
                continue
            package = candidate.package
            for wanted in sorted(depends_of(package), key=lambda each: each.text):
                if carried_version(package, wanted) is not None:
                    continue
                for other in self._answering(wanted):
                    self._note(other, Reason("depends", wanted.text, package.name), waiting)
        waiting.clear()

    def _note(self, candidate: Candidate, reason: Reason, waiting: list[Candidate]) -> None:
        reasons = self._reasons.get(candidate.package.name)
        if reasons is None:
            reasons = self._reasons[candidate.package.name] = {}
            waiting.append(candidate)
        reasons[reason] = None
