"""The clauses that a world of APK packages stands for, written as the search asks for them.

There are two kinds of variables, both for one platform each: a candidate (it is installed), and a
requirement (a dependency text has to be answered). What holds between them is labelled with one of
`rules`, from which `explain` tells a person why there is no solution.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from imagist.oci.platform import Platform
from imagist.packages.apk.dependency import Dependency, parse_dependency, parse_provide
from imagist.packages.apk.index import Candidate, Package
from imagist.packages.apk.solver.preference import (
    Option,
    carried_version,
    has_version,
    order_options,
    prefer_origin,
)
from imagist.packages.apk.solver.rules import (
    Answers,
    Asked,
    Conflicts,
    Differs,
    Excludes,
    Held,
    Limits,
    Member,
    Names,
    Needs,
    Requirement,
    Rule,
)
from imagist.packages.apk.universe import Universe
from imagist.packages.solving.sat import Sat


class Encoding:
    """The problem of one world, unfolding inside one `Sat`."""

    def __init__(
        self,
        universes: Mapping[Platform, Universe],
        world: Mapping[Platform, Sequence[Dependency]],
        installed: Mapping[Platform, Sequence[Package]],
        locked: Mapping[str, str],
    ) -> None:
        self.universes = {platform: universes[platform] for platform in sorted(universes)}
        self.world = world
        self.installed = installed
        self.locked = locked
        self.sat = Sat(self._unfold, self._rivals)
        self.meanings: list[Member | Requirement | None] = [None]
        """What each variable stands for."""
        self._members: dict[tuple[Platform, int], int] = {}
        self._requirements: dict[tuple[Platform, str], int] = {}
        self._names: dict[int, Names] = {}
        # Who has a name, and whether with a version. Most candidates are never chosen, so one is
        # listed under its own name, and under those that it provides once it was chosen: two that
        # exclude each other by a provided name meet there at the latest.
        self._by_name: dict[tuple[Platform, str], list[tuple[int, Member, bool]]] = {}
        self._by_package: dict[str, list[tuple[int, Member]]] = {}
        self._by_origin: dict[tuple[Platform, str, str], list[int]] = {}
        self._offered_versions: dict[str, list[frozenset[str]]] = {}
        self._held: dict[Platform, tuple[Candidate, ...]] = {
            platform: tuple(Candidate(package, -1, "", "") for package in packages)
            for platform, packages in installed.items()
        }
        self._pinned = {p: _find_pinned(u, world[p]) for p, u in self.universes.items()}
        self._pins = {
            (platform, entry.name, entry.pin)
            for platform, entries in world.items()
            for entry in entries
            if entry.pin
        }
        self._state()

    def _state(self) -> None:
        """Add the clauses of the world and of the base image."""
        for platform, held in self._held.items():
            for candidate in held:
                variable = self.member(platform, candidate)
                self.sat.add((2 * variable,), Held(platform, candidate))
        for platform, entries in self.world.items():
            for entry in entries:
                if entry.conflict:
                    self._forbid(platform, entry)
                else:
                    variable = self.requirement(platform, entry)
                    self.sat.add((2 * variable,), Asked(platform, entry.text))

    def _forbid(self, platform: Platform, entry: Dependency) -> None:
        for candidate in self.providers(platform, entry.name):
            if carried_version(candidate.package, entry) is not None:
                variable = self.member(platform, candidate)
                self.sat.add((2 * variable + 1,), Asked(platform, entry.text, candidate))

    def providers(self, platform: Platform, name: str) -> list[Candidate]:
        """What the base image and the repositories have under a name, of whatever tag."""
        held = [
            candidate
            for candidate in self._held.get(platform, ())
            if carried_version(candidate.package, Dependency(name, name)) is not None
        ]
        return [*held, *self.universes[platform].providers(name)]

    def is_allowed(self, platform: Platform, candidate: Candidate) -> bool:
        """Whether a package may be chosen as to its tag: untagged, or reached by a pin."""
        return not candidate.tag or id(candidate) in self._pinned[platform]

    def member(self, platform: Platform, candidate: Candidate) -> int:
        """The variable of a candidate."""
        key = (platform, id(candidate))
        known = self._members.get(key)
        if known is not None:
            return known
        package = candidate.package
        variable = self._members[key] = self.sat.new_variable()
        member = Member(platform, candidate)
        self.meanings.append(member)
        namesakes = self._by_name.setdefault((platform, package.name), [])
        relatives = self._by_package.setdefault(package.name, [])
        # A rival that is true already was asked for its rivals before this one was known.
        is_true = self.sat.is_true
        if any(is_true(rival) for rival, _, _ in namesakes) or (
            len(self.universes) > 1 and any(is_true(rival) for rival, _ in relatives)
        ):
            self._exclude_by_true(variable, member)
        namesakes.append((variable, member, True))
        relatives.append((variable, member))
        origin = (platform, package.origin, package.version)
        self._by_origin.setdefault(origin, []).append(variable)
        return variable

    def _exclude_by_true(self, variable: int, member: Member) -> None:
        own = (member.candidate.package.name,)
        for rival, rule in self._find_rivals(variable, member, own):
            if self.sat.is_true(rival):
                self.sat.exclude(variable, rival, rule)
                return

    def names(self, variable: int, member: Member) -> Names:
        """What a candidate is called; asked for those that are or were chosen."""
        known = self._names.get(variable)
        if known is not None:
            return known
        package = member.candidate.package
        provides = [parse_provide(text) for text in package.provides]
        every = tuple(dict.fromkeys((package.name, *(name for name, _ in provides))))
        versioned = frozenset((package.name, *(name for name, version in provides if version)))
        for name in every[1:]:
            entry = (variable, member, name in versioned)
            self._by_name.setdefault((member.platform, name), []).append(entry)
        known = self._names[variable] = Names(every, versioned)
        return known

    def requirement(self, platform: Platform, wanted: Dependency) -> int:
        """The variable of a requirement."""
        key = (platform, wanted.text)
        known = self._requirements.get(key)
        if known is not None:
            return known
        variable = self._requirements[key] = self.sat.new_variable()
        self.meanings.append(None)
        options = order_options(self._options(platform, wanted))
        variables = tuple(self.member(platform, option.candidate) for option in options)
        names = len({option.package.name for option in options})
        self.meanings[variable] = Requirement(platform, wanted, tuple(options), variables, names)
        return variable

    def _options(self, platform: Platform, wanted: Dependency) -> Iterator[Option]:
        for candidate in self.providers(platform, wanted.name):
            if not self.is_allowed(platform, candidate):
                continue
            carried = carried_version(candidate.package, wanted)
            if carried is not None:
                standing = self.standing(platform, wanted.name, candidate)
                yield Option(standing, carried, candidate)

    def standing(
        self, platform: Platform, name: str, candidate: Candidate
    ) -> tuple[int, int, int]:
        """A candidate's place by rules 1 to 3 of `preference`, when `name` is asked for."""
        package = candidate.package
        locked = self.locked.get(package.name) == package.version
        tag = 1
        if candidate.tag:
            tag = 0 if (platform, name, candidate.tag) in self._pins else 2
        return (not locked, tag, self.coverage(package))

    def coverage(self, package: Package) -> int:
        """0: this version is on all platforms; 1: on all that have the name; 2: otherwise."""
        if len(self.universes) == 1:
            return 0
        offered = self._offered_versions.get(package.name)
        if offered is None:
            offered = self._offered_versions[package.name] = [
                frozenset(named.package.version for named in universe.named(package.name))
                for universe in self.universes.values()
            ]
        lacking = [versions for versions in offered if package.version not in versions]
        return 0 if not lacking else 2 if any(lacking) else 1

    def choose(self, requirement: Requirement) -> int:
        """The variable of the best option that is still open, or 0 when none is."""
        sat = self.sat
        still_open = [
            (option, variable)
            for option, variable in zip(requirement.options, requirement.variables, strict=True)
            if sat.is_open(variable)
        ]
        if not still_open:
            return 0

        def is_chosen(candidate: Candidate) -> bool:
            package = candidate.package
            key = (requirement.platform, package.origin, package.version)
            return any(sat.is_true(variable) for variable in self._by_origin.get(key, ()))

        best = prefer_origin((option for option, _ in still_open), is_chosen)
        return next(variable for option, variable in still_open if option is best)

    def _unfold(self, variable: int) -> None:
        meaning = self.meanings[variable]
        if isinstance(meaning, Requirement):
            self._unfold_requirement(variable, meaning)
        elif meaning is not None and meaning.candidate.repository >= 0:
            self._unfold_member(variable, meaning)

    def _unfold_requirement(self, variable: int, requirement: Requirement) -> None:
        platform, wanted, options, variables, _ = requirement
        rule = Answers(platform, wanted, tuple(option.candidate for option in options))
        self.sat.add((2 * variable + 1, *(2 * each for each in variables)), rule)
        if not wanted.op or len(variables) < 2:
            return
        # That one version excludes another follows from `Excludes`. Said here, it lets several
        # requirements on a name be intersected before the first choice is made.
        for candidate in self.providers(platform, wanted.name):
            if carried_version(candidate.package, wanted) is not None:
                continue
            if has_version(candidate.package, wanted.name):
                other = self.member(platform, candidate)
                rule_out = Limits(platform, wanted, candidate)
                self.sat.add((2 * variable + 1, 2 * other + 1), rule_out)

    def _unfold_member(self, variable: int, member: Member) -> None:
        platform, candidate = member
        needed: list[tuple[int, str, int, Dependency]] = []
        for text in candidate.package.depends:
            wanted = parse_dependency(text)
            if wanted.conflict:
                self._refuse(variable, member, wanted)
            elif carried_version(candidate.package, wanted) is None:
                requirement = self.requirement(platform, wanted)
                meaning = self.meanings[requirement]
                choices = len(meaning.options) if isinstance(meaning, Requirement) else 0
                needed.append((choices, text, requirement, wanted))
        # The narrowest dependency first: that is the order in which they are decided.
        for _, _, requirement, wanted in sorted(needed, key=lambda item: item[:2]):
            rule = Needs(platform, candidate, wanted)
            self.sat.add((2 * variable + 1, 2 * requirement), rule)

    def _refuse(self, variable: int, member: Member, refused: Dependency) -> None:
        for other in self.providers(member.platform, refused.name):
            if other is member.candidate or carried_version(other.package, refused) is None:
                continue
            rule = Conflicts(member.platform, member.candidate, refused, other)
            hit = self.member(member.platform, other)
            self.sat.add((2 * variable + 1, 2 * hit + 1), rule)

    def _rivals(self, variable: int) -> Iterator[tuple[int, Rule]]:
        member = self.meanings[variable]
        if isinstance(member, Member):
            yield from self._find_rivals(variable, member, self.names(variable, member).every)

    def _find_rivals(
        self, variable: int, member: Member, names: Sequence[str]
    ) -> Iterator[tuple[int, Rule]]:
        platform, candidate = member
        own = candidate.package.name
        for name in names:
            alone = name == own or name in self._names[variable].versioned
            for rival, other, versioned in self._by_name.get((platform, name), ()):
                if rival != variable and (alone or versioned):
                    yield rival, Excludes(platform, name, candidate, other.candidate)
        if len(self.universes) > 1:
            for rival, other in self._by_package[own]:
                same = other.candidate.package.version == candidate.package.version
                if other.platform != platform and not same:
                    yield rival, Differs(platform, candidate, other.platform, other.candidate)


def _find_pinned(universe: Universe, world: Sequence[Dependency]) -> dict[int, Candidate]:
    """The tagged packages that may be chosen, by `id`.

    Those are the tagged packages that a pinned entry of the world names, and those of the same tag
    that they depend on, however far behind.
    """
    allowed: dict[int, Candidate] = {}
    for tag in sorted({entry.pin for entry in world if entry.pin}):
        waiting = [entry.name for entry in world if entry.pin == tag]
        reached = set(waiting)
        while waiting:
            for candidate in universe.providers(waiting.pop()):
                if candidate.tag != tag:
                    continue
                allowed[id(candidate)] = candidate
                for wanted in map(parse_dependency, candidate.package.depends):
                    if not wanted.conflict and wanted.name not in reached:
                        reached.add(wanted.name)
                        waiting.append(wanted.name)
    return allowed
