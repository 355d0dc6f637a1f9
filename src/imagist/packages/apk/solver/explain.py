"""Why there is no solution, in sentences a person can act on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from msgspec.structs import replace

from imagist.errors import Problem, Span
from imagist.oci.platform import Platform
from imagist.packages.apk.dependency import Dependency
from imagist.packages.apk.index import Candidate, Package
from imagist.packages.apk.solver.encoding import Encoding
from imagist.packages.apk.solver.rules import (
    Answers,
    Asked,
    Conflicts,
    Differs,
    Excludes,
    Held,
    Limits,
    Needs,
    Rule,
)
from imagist.packages.apk.solver.search import search
from imagist.packages.apk.solver.suggest import join_versions, suggest
from imagist.packages.apk.universe import Universe
from imagist.packages.solving.core import shrink_core
from imagist.packages.solving.sat import MOST_CONFLICTS, Exhausted

World = Mapping[Platform, Sequence[Dependency]]
_MOST = 5
"""Contradictions told at once."""


def explain_failure(
    universes: Mapping[Platform, Universe],
    world: World,
    installed: Mapping[Platform, Sequence[Package]],
    places: Mapping[str, Span],
) -> list[Problem]:
    """One problem for each contradiction of a world that has no solution.

    Every contradiction is a smallest one, unless finding that takes too long: without any single
    rule of its chain it would not be one. What fails on several platforms for the same reason is
    told once; that the platforms do not fit together is told only where each has a solution.
    """
    told: dict[tuple[str, str], list[Platform]] = {}
    problems: dict[tuple[str, str], Problem] = {}
    for platform in sorted(universes):
        alone = {platform: universes[platform]}
        for core in _find_cores(alone, {platform: world[platform]}, installed):
            key = (_headline(core), _tell(core))
            told.setdefault(key, []).append(platform)
            advice = _advise(core, platform, universes)
            problems.setdefault(key, Problem("", _find_place(core, places), advice))
    if not problems:
        advice = "leave a platform out, or wait until its repository has caught up"
        return [
            Problem(f"{_headline(core)}: {_tell(core)}", _find_place(core, places), advice)
            for core in _find_cores(universes, world, installed)
        ]
    for key, platforms in told.items():
        everywhere = len(platforms) == len(universes)
        where = "" if everywhere else f" for {', '.join(map(str, platforms))}"
        problems[key] = replace(problems[key], message=f"{key[0]}{where}: {key[1]}")
    return list(problems.values())


def explain_exhaustion(places: Mapping[str, Span]) -> Problem:
    """The problem of a world for which the search was given up."""
    return Problem(
        "no choice of packages was found, nor a reason why there is none, within "
        f"{MOST_CONFLICTS} contradictory attempts",
        next(iter(places.values()), None),
        "ask for fewer packages at once, or pin versions (`name=1.2-r3`) to leave less to try",
    )


def _find_cores(
    universes: Mapping[Platform, Universe],
    world: World,
    installed: Mapping[Platform, Sequence[Package]],
) -> Iterator[list[Rule]]:
    """Contradictions that have no entry of the world in common."""
    left = {platform: list(world[platform]) for platform in universes}
    held = {platform: installed.get(platform, ()) for platform in universes}
    for _ in range(_MOST):
        encoding = Encoding(universes, left, held, {})
        try:
            if search(encoding):
                return
        except Exhausted:
            return  # what was found so far is told
        core = [cast("Rule", clause.label) for clause in shrink_core(encoding.sat.core)]
        core.sort(key=lambda rule: rule.entry if isinstance(rule, Asked) else "~")
        yield core
        blamed = set(_entries(core))
        if not blamed:
            return
        left = {p: [e for e in entries if e.text not in blamed] for p, entries in left.items()}


def _entries(core: Sequence[Rule]) -> tuple[str, ...]:
    """The entries of the world that take part in a contradiction."""
    return tuple(dict.fromkeys(rule.entry for rule in core if isinstance(rule, Asked)))


def _headline(core: Sequence[Rule]) -> str:
    entries = [f"`{entry}`" for entry in _entries(core)]
    if not entries:
        return "the base image cannot be kept as it is"
    if len(entries) == 1:
        return f"{entries[0]} cannot be installed"
    return f"{', '.join(entries[:-1])} and {entries[-1]} cannot be installed together"


def _find_place(core: Sequence[Rule], places: Mapping[str, Span]) -> Span | None:
    return next((places[entry] for entry in _entries(core) if entry in places), None)


def _advise(
    core: Sequence[Rule], platform: Platform, universes: Mapping[Platform, Universe]
) -> str:
    """The next step."""
    entries = _entries(core)
    others = {p: u for p, u in universes.items() if p != platform}
    for rule in core:
        if isinstance(rule, Answers) and not rule.candidates and not rule.dependency.broken:
            suggestion = suggest(
                rule.dependency, universes[platform], others, asked=rule.dependency.text in entries
            )
            if suggestion:
                return suggestion
    if len(entries) > 1:
        return "leave out or loosen one of " + ", ".join(f"`{entry}`" for entry in entries)
    return "ask for another version, or add the repository that has what is missing"


def _tell(core: Sequence[Rule]) -> str:
    """The chain of a contradiction, from the world on."""
    return "; ".join(_Story(core).tell())


class _Story:
    """Sentences for the rules of one core; rules that differ only in version are told as one."""

    def __init__(self, core: Sequence[Rule]) -> None:
        self._core = core
        self._needs = [rule for rule in core if isinstance(rule, Needs)]
        self._answers = {
            (rule.platform, rule.dependency.text): rule
            for rule in core
            if isinstance(rule, Answers)
        }
        self._several = len({rule.platform for rule in core}) > 1
        self._told: dict[str, None] = {}
        self._met: set[tuple[Platform, str]] = set()

    def tell(self) -> list[str]:
        """All sentences: what is asked for and follows from it, then what stands against it."""
        for rule in self._core:
            match rule:
                case Asked(platform, entry, None):
                    where = f" for {platform}" if self._several else ""
                    self._require(platform, entry, f"the world asks for `{entry}`{where}")
                case Held(platform, candidate):
                    self._say(f"the base image holds {candidate}")
                    self._follow(platform, [candidate])
                case _:
                    pass
        for rule in self._core:
            self._object(rule)
        return list(self._told)

    def _say(self, sentence: str) -> None:
        self._told[sentence] = None

    def _require(self, platform: Platform, text: str, sentence: str) -> None:
        """A requirement with its answers, and what those need in turn."""
        answers = self._answers.get((platform, text))
        if answers is None:
            self._say(sentence)
            return
        self._say(sentence + _describe_answers(answers))
        if (platform, text) not in self._met:
            self._met.add((platform, text))
            self._follow(platform, answers.candidates)

    def _follow(self, platform: Platform, candidates: Sequence[Candidate]) -> None:
        asking: dict[tuple[str, str], list[Candidate]] = {}
        for rule in self._needs:
            if rule.platform == platform and rule.candidate in candidates:
                key = (rule.candidate.package.name, rule.dependency.text)
                asking.setdefault(key, []).append(rule.candidate)
        for (_, text), subjects in asking.items():
            self._require(
                platform, text, f"{_describe(subjects)} {_verb(subjects, 'needs')} `{text}`"
            )

    def _object(self, rule: Rule) -> None:
        """Say a rule that ends a chain, together with all others that are alike."""
        alike = [other for other in self._core if _likeness(other) == _likeness(rule)]
        match rule:
            case Asked(_, entry, Candidate()):
                hit = [o.candidate for o in alike if isinstance(o, Asked) and o.candidate]
                self._say(f"the world excludes {_describe(hit)} by `{entry}`")
            case Limits(_, dependency, _):
                hit = [other.candidate for other in alike if isinstance(other, Limits)]
                self._say(f"`{dependency.text}` does not allow {_describe(hit)}")
            case Conflicts(_, candidate, dependency, _):
                hit = [other.other for other in alike if isinstance(other, Conflicts)]
                self._say(f"{candidate} refuses {_describe(hit)} by `{dependency.text}`")
            case Excludes(_, name, candidate, other):
                if candidate.package.name == other.package.name:
                    sides = [c for e in alike if isinstance(e, Excludes) for c in e[2:]]
                    versions = join_versions(each.package for each in sides)
                    self._say(
                        f"only one version of {candidate.package.name} can be installed, "
                        f"not {versions.replace(' and ', ' beside ')}"
                    )
                else:
                    one, two = sorted((str(candidate), str(other)))
                    self._say(
                        f"{one} and {two} both provide `{name}`, so that only one "
                        "of them can be installed"
                    )
            case Differs(platform, candidate, other_platform, other):
                self._say(
                    f"{candidate} for {platform} and {other} for {other_platform} differ, but a "
                    "package has one version on all platforms"
                )
            case _:
                pass


def _likeness(rule: Rule) -> tuple[object, ...]:
    """What rules have in common that can be told in one sentence."""
    match rule:
        case Asked(platform, entry, Candidate() as hit):
            return ("forbid", platform, entry, hit.package.name)
        case Limits(platform, dependency, hit):
            return ("limit", platform, dependency.text, hit.package.name)
        case Conflicts(platform, candidate, dependency, hit):
            return ("conflict", platform, id(candidate), dependency.text, hit.package.name)
        case Excludes(platform, name, one, other) if one.package.name == other.package.name:
            return ("version", platform, name, one.package.name)
        case _:
            return (id(rule),)


def _describe(candidates: Sequence[Candidate]) -> str:
    """Packages of one name: `a-1.0-r0`, `a 1.0-r0 and 1.1-r0`."""
    names = dict.fromkeys(candidate.package.name for candidate in candidates)
    parts = []
    for name in names:
        packages = [c.package for c in candidates if c.package.name == name]
        versions = {package.version for package in packages}
        mark = "-" if len(versions) == 1 else " "
        parts.append(f"{name}{mark}{join_versions(packages)}")
    if len(parts) > 4:
        parts[3:] = [f"{len(parts) - 3} other packages"]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} or {parts[-1]}"


def _verb(subjects: Sequence[Candidate], verb: str) -> str:
    return verb if len({str(subject) for subject in subjects}) == 1 else verb.removesuffix("s")


def _describe_answers(answers: Answers) -> str:
    wanted, candidates = answers.dependency, answers.candidates
    if not candidates:
        return (
            f", which means nothing ({wanted.broken})"
            if wanted.broken
            else ", which nothing provides"
        )
    if any(candidate.package.name != wanted.name for candidate in candidates):
        return f", which only {_describe(candidates)} {_verb(candidates, 'provides')}"
    return f", that is {_describe(candidates)}" if wanted.op else ""
