"""The rules of a world of Debian packages; every clause of a search is labelled with one."""

from __future__ import annotations

from typing import NamedTuple

from imagist.packages.deb.dependency import Asked as Entry
from imagist.packages.deb.dependency import Clause, Relation
from imagist.packages.deb.solver.wishes import Request
from imagist.packages.deb.universe import Candidate


class Asked(NamedTuple):
    """The declaration asks for something."""

    request: Request


class Excluded(NamedTuple):
    """The declaration excludes a package, or its priority does (no entry)."""

    entry: Entry | None
    candidate: Candidate


class Needs(NamedTuple):
    """A package needs one of the alternatives of a clause."""

    candidate: Candidate
    clause: Clause


class Answers(NamedTuple):
    """A clause is answered by one of these candidates, and by nothing else."""

    clause: Clause
    candidates: tuple[Candidate, ...]


class Conflicts(NamedTuple):
    """A package conflicts with another, or breaks it."""

    candidate: Candidate
    relation: Relation
    other: Candidate


class Excludes(NamedTuple):
    """Two packages of one name, which dpkg would not hold beside each other."""

    candidate: Candidate
    other: Candidate


class Held(NamedTuple):
    """The base image holds a package."""

    candidate: Candidate


Rule = Asked | Excluded | Needs | Answers | Conflicts | Excludes | Held
