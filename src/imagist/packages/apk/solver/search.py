"""What the search decides, and in which order: the greedy side of solving (see `preference`)."""

from __future__ import annotations

from collections.abc import Iterator

from imagist.oci.platform import Platform
from imagist.packages.apk.dependency import Dependency
from imagist.packages.apk.index import Candidate, install_if_of
from imagist.packages.apk.solver.encoding import Encoding
from imagist.packages.apk.solver.preference import Option, carried_version, order_options
from imagist.packages.apk.solver.rules import Member, Requirement


def search(encoding: Encoding) -> bool:
    """Solve: afterwards `chosen_candidates` is the solution, or `encoding.sat.core` why not.

    Raises:
        Exhausted: neither was found within the bound on conflicts.
    """
    return encoding.sat.solve(_Decisions(encoding).decide)


def chosen_candidates(encoding: Encoding) -> dict[Platform, list[Candidate]]:
    """The candidates that are true now, for each platform, in the order they were chosen."""
    members = _chosen_members(encoding)
    return {platform: [each.candidate for _, each in members[platform]] for platform in members}


def _chosen_members(encoding: Encoding) -> dict[Platform, list[tuple[int, Member]]]:
    chosen: dict[Platform, list[tuple[int, Member]]] = {p: [] for p in encoding.universes}
    for literal in encoding.sat.trail:
        meaning = encoding.meanings[literal >> 1]
        if not literal & 1 and isinstance(meaning, Member):
            chosen[meaning.platform].append((literal >> 1, meaning))
    return chosen


class _Decisions:
    """The next wish of the search.

    Requirements become true in the order of their distance to the world, so the trail of the
    search is the list of what has to be decided.
    """

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._settled = [0]
        """For each level: how much of the trail is known to hold no open requirement."""
        self._awaiting: dict[tuple[Platform, str], tuple[Candidate, ...]] = {}

    def decide(self, level: int) -> int:
        """The variable to make true next; 0 when everything required is there."""
        del self._settled[level + 1 :]
        ambiguous: Requirement | None = None
        for requirement in self._open_requirements(level):
            if requirement.names == 1 or self._leaves_one_name(requirement):
                return self._encoding.choose(requirement)
            ambiguous = ambiguous or requirement
        if ambiguous is not None:
            return self._encoding.choose(ambiguous)
        return self._choose_triggered()

    def _open_requirements(self, level: int) -> Iterator[Requirement]:
        """The requirements that nothing answers yet, nearest to the world first."""
        encoding, values = self._encoding, self._encoding.sat.values
        trail = encoding.sat.trail
        start = self._settled[-1]
        settled = True
        for place in range(start, len(trail)):
            literal = trail[place]
            if literal & 1:
                continue
            meaning = encoding.meanings[literal >> 1]
            if not isinstance(meaning, Requirement):
                continue
            if any(values[2 * variable] > 0 for variable in meaning.variables):
                continue
            if settled:
                settled = False
                self._settle(level, place)
            yield meaning
        if settled:
            self._settle(level, len(trail))

    def _settle(self, level: int, place: int) -> None:
        self._settled += [self._settled[-1]] * (level + 1 - len(self._settled))
        self._settled[level] = place

    def _leaves_one_name(self, requirement: Requirement) -> bool:
        sat = self._encoding.sat
        pairs = zip(requirement.options, requirement.variables, strict=True)
        return len({o.package.name for o, variable in pairs if sat.is_open(variable)}) == 1

    def _choose_triggered(self) -> int:
        """A package whose install_if has come true, that is not there and not ruled out; or 0."""
        encoding = self._encoding
        for platform, chosen in _chosen_members(encoding).items():
            triggered = self._find_triggered(platform, chosen)
            for name in sorted(triggered):
                options = [
                    Option(encoding.standing(platform, name, each), each.package.version, each)
                    for each in triggered[name]
                ]
                for option in order_options(options):
                    variable = encoding.member(platform, option.candidate)
                    if encoding.sat.is_open(variable):
                        return variable
        return 0

    def _find_triggered(
        self, platform: Platform, chosen: list[tuple[int, Member]]
    ) -> dict[str, list[Candidate]]:
        offered: dict[str, list[Candidate]] = {}
        names = {member.candidate.package.name for _, member in chosen}
        for variable, member in chosen:
            for name in self._encoding.names(variable, member).every:
                offered.setdefault(name, []).append(member.candidate)
        triggered: dict[str, list[Candidate]] = {}
        for name in offered:
            for waiting in self._awaiting_on(platform, name):
                package = waiting.package
                if package.name not in names and is_triggered(waiting, offered):
                    known = triggered.setdefault(package.name, [])
                    if waiting not in known:
                        known.append(waiting)
        return triggered

    def _awaiting_on(self, platform: Platform, name: str) -> tuple[Candidate, ...]:
        key = (platform, name)
        known = self._awaiting.get(key)
        if known is None:
            found = self._encoding.universes[platform].install_if_on(name)
            allowed = (each for each in found if self._encoding.is_allowed(platform, each))
            known = self._awaiting[key] = tuple(allowed)
        return known


def is_triggered(candidate: Candidate, offered: dict[str, list[Candidate]]) -> bool:
    """Whether all that a package's install_if names is among what is offered under each name."""
    return all(
        is_answered(condition, offered) != condition.conflict
        for condition in install_if_of(candidate.package)
    )


def is_answered(wanted: Dependency, offered: dict[str, list[Candidate]]) -> bool:
    """Whether one of the packages offered under the wanted name answers a dependency."""
    return any(
        carried_version(candidate.package, wanted) is not None
        for candidate in offered.get(wanted.name, ())
    )
