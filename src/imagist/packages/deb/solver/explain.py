"""Why there is no solution, in sentences a person can act on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

from msgspec.structs import replace

from imagist.errors import Problem, Span
from imagist.oci.platform import Platform
from imagist.packages.deb.dependency import Clause
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
from imagist.packages.deb.solver.search import Search
from imagist.packages.deb.solver.wishes import Wishes
from imagist.packages.deb.universe import Candidate
from imagist.packages.deb.version import sort_key
from imagist.packages.solving.core import shrink_core
from imagist.packages.solving.sat import MOST_CONFLICTS, Exhausted
from imagist.packages.solving.wording import find_close, shorten

_MOST: Final = 5
"""Contradictions told at once."""


def explain_failure(
    failed: Mapping[Platform, Wishes],
    platforms: int,
    places: Mapping[str, Span],
    universes: Mapping[Platform, Wishes],
) -> list[Problem]:
    """One problem for each contradiction of the worlds that have no solution.

    Every contradiction is a smallest one, unless finding that takes too long. What fails on
    several platforms for the same reason is told once.

    Args:
        failed: the platforms without a solution.
        platforms: how many were asked for.
        places: where the entries of the world were written.
        universes: all platforms, for advice.
    """
    told: dict[tuple[str, str], list[Platform]] = {}
    problems: dict[tuple[str, str], Problem] = {}
    for platform in sorted(failed):
        others = {p: wishes for p, wishes in universes.items() if p != platform}
        for core in _find_cores(failed[platform]):
            key = (_headline(core), "; ".join(_Story(core).tell()))
            told.setdefault(key, []).append(platform)
            advice = _advise(core, failed[platform], others)
            place = next((places[e] for e in _entries(core) if e in places), None)
            problems.setdefault(key, Problem("", place, advice))
    for key, concerned in told.items():
        where = "" if len(concerned) == platforms else f" for {', '.join(map(str, concerned))}"
        problems[key] = replace(problems[key], message=f"{key[0]}{where}: {key[1]}")
    return list(problems.values()) or [_exhaustion(places)]


def _exhaustion(places: Mapping[str, Span]) -> Problem:
    return Problem(
        "no choice of packages was found, nor a reason why there is none, within "
        f"{MOST_CONFLICTS} contradictory attempts",
        next(iter(places.values()), None),
        "ask for fewer packages at once, or pin versions (`name=1.2-3`) to leave less to try",
    )


def _find_cores(wishes: Wishes) -> Iterator[list[Rule]]:
    """Contradictions, each without the requests of those before it."""
    left = list(wishes.requests)
    for _ in range(_MOST):
        search = Search(wishes, left)
        try:
            if search.solve() is not None:
                return
        except Exhausted:
            return  # what was found so far is told
        core = [cast("Rule", clause.label) for clause in shrink_core(search.core)]
        core.sort(key=lambda rule: rule.request.text if isinstance(rule, Asked) else "~")
        yield core
        blamed = {rule.request for rule in core if isinstance(rule, Asked)}
        if not blamed:
            return
        left = [request for request in left if request not in blamed]


def _entries(core: Sequence[Rule]) -> tuple[str, ...]:
    """The entries of the world that take part in a contradiction."""
    asked = [rule.request.text for rule in core if isinstance(rule, Asked)]
    excluded = [
        rule.entry.text for rule in core if isinstance(rule, Excluded) and rule.entry is not None
    ]
    return tuple(dict.fromkeys((*asked, *excluded)))


def _headline(core: Sequence[Rule]) -> str:
    entries = [f"`{rule.request.text}`" for rule in core if isinstance(rule, Asked)]
    entries = list(dict.fromkeys(entries))
    if not entries:
        return "the base image cannot be kept as it is"
    if len(entries) == 1:
        return f"{entries[0]} cannot be installed"
    return f"{', '.join(entries[:-1])} and {entries[-1]} cannot be installed together"


def _advise(core: Sequence[Rule], wishes: Wishes, others: Mapping[Platform, Wishes]) -> str:
    """The next step."""
    entries = _entries(core)
    for rule in core:
        if isinstance(rule, Answers) and not rule.candidates and not rule.clause.broken:
            return suggest(rule.clause, wishes, others, asked=rule.clause.text in entries)
    if any(isinstance(rule, Held) for rule in core):
        return "use a base image with newer packages, or ask for versions that go with it"
    if len(entries) > 1:
        return "leave out or loosen one of " + ", ".join(f"`{entry}`" for entry in entries)
    return "ask for another version, or add the suite that has what is missing"


def suggest(
    clause: Clause, wishes: Wishes, others: Mapping[Platform, Wishes], *, asked: bool
) -> str:
    """The next step for a clause that nothing answers.

    In this order: another version, another architecture, another platform, or a name alike.

    Args:
        clause: what nothing answers.
        wishes: where it was looked for.
        others: the other platforms.
        asked: whether the declaration asks for it, so that its writer can write it differently.
    """
    universe = wishes.universe
    for relation in clause.relations:
        there = universe.providers(relation.name)
        own = [each for each in there if each.package.name == relation.name]
        if own and relation.arch not in {"", "any", universe.native, *universe.foreign}:
            return f"there are no indexes for {relation.arch}: add the architecture to the source"
        if own:
            versions = sorted({each.version for each in own}, key=sort_key)
            suites = dict.fromkeys(str(each.suite) for each in own if each.suite.codename)
            where = f" in {shorten(list(suites))}" if suites else ""
            return f"{relation.name} exists only as {shorten(versions)}{where}"
        if there:
            providers = sorted({each.package.name for each in there})
            return f"`{relation.name}` is provided by {shorten(providers)}: ask for one of them"
        elsewhere = sorted(
            p for p, other in others.items() if other.universe.providers(relation.name)
        )
        if elsewhere:
            platforms = ", ".join(map(str, elsewhere))
            return f"{relation.name} exists only for {platforms}: ask for it there alone"
    if not asked:
        return f"add the suite or component that has `{clause.text}`"
    for relation in clause.relations:
        if relation.name in universe.names():
            return f"{relation.name} exists only for other architectures than {universe.native}"
        if close := find_close(relation.name, universe.names()):
            return "did you mean " + " or ".join(f"`{each}`" for each in close) + "?"
    return "check the name, or add the suite or component that has it"


class _Story:
    """Sentences for the rules of one core."""

    def __init__(self, core: Sequence[Rule]) -> None:
        self._core = core
        self._needs = [rule for rule in core if isinstance(rule, Needs)]
        self._answers = {rule.clause.text: rule for rule in core if isinstance(rule, Answers)}
        self._told: dict[str, None] = {}
        self._met: set[str] = set()

    def tell(self) -> list[str]:
        """All sentences: what is asked for and follows from it, then what stands against it."""
        for rule in self._core:
            match rule:
                case Asked(request) if request.kind == "essential":
                    self._require(request.text, f"a system needs `{request.text}`")
                case Asked(request):
                    self._require(request.text, f"the world asks for `{request.text}`")
                case Held(candidate):
                    self._say(f"the base image holds {candidate}")
                    self._follow([candidate])
                case _:
                    pass
        for rule in self._core:
            self._object(rule)
        return list(self._told)

    def _say(self, sentence: str) -> None:
        self._told[sentence] = None

    def _require(self, text: str, sentence: str) -> None:
        """A requirement with its answers, and what those need in turn."""
        answers = self._answers.get(text)
        if answers is None:
            self._say(sentence)
            return
        self._say(sentence + _describe_answers(answers))
        if text not in self._met:
            self._met.add(text)
            self._follow(answers.candidates)

    def _follow(self, candidates: Sequence[Candidate]) -> None:
        asking: dict[str, list[Candidate]] = {}
        for rule in self._needs:
            if rule.candidate in candidates:
                asking.setdefault(rule.clause.text, []).append(rule.candidate)
        for text, subjects in asking.items():
            verb = "needs" if len({str(each) for each in subjects}) == 1 else "need"
            self._require(text, f"{_describe(subjects)} {verb} `{text}`")

    def _object(self, rule: Rule) -> None:
        """Say a rule that ends a chain."""
        match rule:
            case Excluded(None, candidate):
                self._say(f"{candidate} has a priority below zero")
            case Excluded(entry, candidate) if entry is not None:
                self._say(f"the world excludes {candidate} by `{entry.text}`")
            case Conflicts(candidate, relation, other):
                self._say(f"{candidate} conflicts with {other} by `{relation}`")
            case Excludes(candidate, other) if candidate.name == other.name:
                versions = sorted((candidate.version, other.version), key=sort_key)
                self._say(
                    f"only one version of {candidate.name} can be installed, not "
                    f"{' beside '.join(versions)}"
                )
            case Excludes(candidate, other):
                one, two = sorted((str(candidate), str(other)))
                self._say(f"{one} and {two} cannot be installed beside each other")
            case _:
                pass


def _describe(candidates: Sequence[Candidate]) -> str:
    """Packages by name: `a-1.0-1`, `a 1.0-1 and 1.1-1`."""
    versions: dict[str, list[str]] = {}
    for candidate in candidates:
        versions.setdefault(candidate.name, []).append(candidate.version)
    parts = []
    for name, found in versions.items():
        several = sorted(set(found), key=sort_key)
        parts.append(f"{name}{'-' if len(several) == 1 else ' '}{shorten(several)}")
    if len(parts) > 4:
        parts[3:] = [f"{len(parts) - 3} other packages"]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} or {parts[-1]}"


def _describe_answers(answers: Answers) -> str:
    clause, candidates = answers.clause, answers.candidates
    if not candidates:
        return (
            f", which means nothing ({clause.broken})"
            if clause.broken
            else ", which nothing provides"
        )
    names = {relation.name for relation in clause.relations}
    if len(clause.relations) > 1 or any(each.package.name not in names for each in candidates):
        return f", which only {_describe(candidates)} can answer"
    return f", that is {_describe(candidates)}" if clause.relations[0].op else ""
