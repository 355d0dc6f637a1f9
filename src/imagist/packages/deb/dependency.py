"""Relations between Debian packages (deb-control(5), Debian Policy 7).

    clause    relation { | relation }
    relation  name[:arch] [(op version)] [[arch ...]] [<profile ...> ...]

A field of relations is a list of clauses with commas between them; all clauses must hold, and of
each clause one relation. What is in brackets restricts a relation to some architectures; profiles
matter for building alone, so that a relation with some is none here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from imagist.errors import Problem, RequestError
from imagist.packages.deb.version import is_valid, matches_key, sort_key

NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9+._-]*")
"""Policy asks for lower case and two characters at least; archives hold others."""
_RELATION: Final = re.compile(
    r"\s*(?P<name>[a-zA-Z0-9][a-zA-Z0-9+._-]*)(?::(?P<arch>[a-z0-9-]+))?"
    r"(?:\s*\(\s*(?P<op><<|<=|>=|>>|=|<|>)\s*(?P<version>[^\s()]+)\s*\))?"
    r"(?:\s*\[(?P<archs>[^\]]*)\])?(?P<profiles>(?:\s*<[^>]*>)*)\s*",
    re.ASCII,
)
_LEGACY: Final = {"<": "<=", ">": ">="}
_ASKED: Final = re.compile(
    r"(?P<mark>!?)(?P<name>[a-zA-Z0-9][a-zA-Z0-9+._-]*)(?::(?P<arch>[a-z0-9-]+))?"
    r"(?:/(?P<suite>[A-Za-z0-9._-]+))?"
    r"\s*(?:\(\s*(?P<op><<|<=|>=|>>|=)\s*(?P<version>[^\s()]+)\s*\)"
    r"|(?P<bare_op><<|<=|>=|>>|=)\s*(?P<bare_version>[^\s()=<>]+))?",
    re.ASCII,
)
ANY: Final = "any"
"""The qualifier of a relation that any architecture's package answers, where it allows that."""


class Relation(msgspec.Struct, frozen=True, gc=False):
    """One name with a version, of one clause."""

    name: str
    op: str = ""
    """Empty for any version, else one of `version.OPERATORS`."""
    version: str = ""
    arch: str = ""
    """What stands behind the colon: an architecture, `any`, or nothing."""
    key: str = ""
    """The sort key of `version`."""

    def __str__(self) -> str:
        name = f"{self.name}:{self.arch}" if self.arch else self.name
        return f"{name} ({self.op} {self.version})" if self.op else name

    def accepts(self, version: str) -> bool:
        """Whether a version is among those asked for; none at all answers only a bare name."""
        return not self.op or (bool(version) and matches_key(sort_key(version), self.op, self.key))


class Clause(msgspec.Struct, frozen=True, gc=False):
    """Relations of which one must hold; `text` is how it was written."""

    text: str
    relations: tuple[Relation, ...]
    """In order of preference; none where nothing is asked for on this architecture."""
    broken: str = ""
    """Why the text means nothing; then nothing satisfies the clause."""

    def __str__(self) -> str:
        return self.text


class Provide(msgspec.Struct, frozen=True, gc=False):
    """A name that a package offers; without a version it stands for no version at all."""

    name: str
    version: str = ""
    arch: str = ""


class Asked(msgspec.Struct, frozen=True):
    """An entry of a declaration: something to install, or something to leave out."""

    text: str
    clause: Clause
    exclude: bool = False
    suite: str = ""
    """The suite to take it from (`name/suite`), or empty."""


@lru_cache(maxsize=1 << 14)
def parse_clauses(field: str, arch: str) -> tuple[Clause, ...]:
    """Read a field of relations; never raises: see `Clause.broken`.

    An index may hold a package that nobody wants and whose relations make no sense.

    Args:
        field: the value of `Depends` and so on.
        arch: the Debian architecture for which `[arch ...]` is read.
    """
    return tuple(_parse_clause(text, arch) for text in field.split(",") if text.strip())


@lru_cache(maxsize=1 << 16)
def _parse_clause(text: str, arch: str) -> Clause:
    text = " ".join(text.split())
    relations: list[Relation] = []
    for part in text.split("|"):
        found = _RELATION.fullmatch(part)
        if found is None:
            return Clause(text, (), f"`{part.strip()}` is not `name` or `name (>= version)`")
        if found["profiles"] or not _is_for(arch, found["archs"]):
            continue
        version = found["version"] or ""
        if version and not is_valid(version):
            return Clause(text, (), f"`{version}` is not a version")
        op = found["op"] or ""
        key = sort_key(version) if version else ""
        relations.append(
            Relation(found["name"], _LEGACY.get(op, op), version, found["arch"] or "", key)
        )
    return Clause(text, tuple(relations))


def _is_for(arch: str, archs: str | None) -> bool:
    """Whether `[archs]` names an architecture; `any`, `linux-any` and `any-ARCH` are wildcards."""
    if archs is None:
        return True
    wildcards = {arch, "any", "linux-any", f"any-{arch}", f"linux-{arch}"}
    words = archs.split()
    negated = [word[1:] for word in words if word.startswith("!")]
    if negated:
        return not wildcards & set(negated)
    return bool(wildcards & set(words))


@lru_cache(maxsize=1 << 14)
def parse_provides(field: str) -> tuple[Provide, ...]:
    """Read a `Provides` field; what means nothing in it is passed over."""
    provides = []
    for text in field.split(","):
        found = _RELATION.fullmatch(text)
        if found is None or found["op"] not in {None, "="}:
            continue
        version = found["version"] or ""
        if not version or is_valid(version):
            provides.append(Provide(found["name"], version, found["arch"] or ""))
    return tuple(provides)


def parse_world(entries: Sequence[str], arch: str) -> list[Asked]:
    """Read what a declaration asks for.

    An entry is `name`, `name:arch`, `name=version`, `name>=version`, `name (>= version)`,
    `name/suite`, alternatives of these with `|`, or `!name` for what must not be installed.

    Raises:
        RequestError: one problem for each entry that means nothing.
    """
    world: list[Asked] = []
    problems: list[Problem] = []
    for entry in entries:
        asked = _parse_asked(" ".join(entry.split()), arch)
        if isinstance(asked, str):
            problems.append(
                Problem(
                    f"`{entry.strip()}` is not a package to install: {asked}",
                    help="write `name`, `name:arch`, `name=1.2-3`, `name (>= 1.2)`, `name/suite`, "
                    "`name | other` or `!name`",
                )
            )
        else:
            world.append(asked)
    if problems:
        raise RequestError(problems)
    return world


def _parse_asked(text: str, arch: str) -> Asked | str:
    """An entry of a declaration, or what is wrong with it."""
    if "|" in text:
        clause = _parse_clause(text, arch)
        return clause.broken or Asked(text, clause)
    found = _ASKED.fullmatch(text)
    if found is None:
        return "it has no name that a package could have"
    version = found["version"] or found["bare_version"] or ""
    op = found["op"] or found["bare_op"] or ""
    if version and not is_valid(version):
        return f"`{version}` is not a version"
    key = sort_key(version) if version else ""
    relation = Relation(found["name"], op, version, found["arch"] or "", key)
    clause = Clause(text.removeprefix("!"), (relation,))
    return Asked(text, clause, bool(found["mark"]), found["suite"] or "")
