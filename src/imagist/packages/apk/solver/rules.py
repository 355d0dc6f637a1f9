"""The rules of a package world, and the two kinds of things they speak of.

Every clause of a search is labelled with the rule it comes from.
"""

from __future__ import annotations

from typing import NamedTuple

from imagist.oci.platform import Platform
from imagist.packages.apk.dependency import Dependency
from imagist.packages.apk.index import Candidate
from imagist.packages.apk.solver.preference import Option


class Asked(NamedTuple):
    """The world asks for a requirement, or forbids a package (`candidate`)."""

    platform: Platform
    entry: str
    candidate: Candidate | None = None


class Needs(NamedTuple):
    """A package needs a requirement."""

    platform: Platform
    candidate: Candidate
    dependency: Dependency


class Answers(NamedTuple):
    """A requirement is answered by one of these candidates, and by nothing else."""

    platform: Platform
    dependency: Dependency
    candidates: tuple[Candidate, ...]


class Limits(NamedTuple):
    """A requirement with a version excludes the other versions of what it names."""

    platform: Platform
    dependency: Dependency
    candidate: Candidate


class Conflicts(NamedTuple):
    """A package refuses another by `!name`."""

    platform: Platform
    candidate: Candidate
    dependency: Dependency
    other: Candidate


class Excludes(NamedTuple):
    """Two packages own or provide one name, at least one of them with a version."""

    platform: Platform
    name: str
    candidate: Candidate
    other: Candidate


class Differs(NamedTuple):
    """One package in two versions on two platforms."""

    platform: Platform
    candidate: Candidate
    other_platform: Platform
    other: Candidate


class Held(NamedTuple):
    """The base image holds a package."""

    platform: Platform
    candidate: Candidate


Rule = Asked | Needs | Answers | Limits | Conflicts | Excludes | Differs | Held


class Requirement(NamedTuple):
    """What a requirement variable stands for; `variables` are those of `options`, best first."""

    platform: Platform
    dependency: Dependency
    options: tuple[Option, ...]
    variables: tuple[int, ...]
    names: int
    """How many package names the options have."""


class Member(NamedTuple):
    """What a candidate variable stands for."""

    platform: Platform
    candidate: Candidate


class Names(NamedTuple):
    """What a package is called."""

    every: tuple[str, ...]
    """All names it owns or provides."""
    versioned: frozenset[str]
    """Those that it owns or provides with a version: it stands alone under each."""
