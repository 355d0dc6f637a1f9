"""Dependencies and provides of APK packages (apk-package(5), apk-world(5)).

    [!]name[@tag][operator version][@tag]

The tag stands after the name for apk-tools and at the end for apko; both are read. Names are plain
text, whatever namespace they carry: `so:libc.musl-x86_64.so.1`, `cmd:bash`, `pc:zlib`, `/bin/sh`.

A shared library's plain version (`so:libz.so.1=1`) counts as `0.1`, as apko has it: repositories
moved from the library's own version to the package's (`=1.3-r2`), and the new kind must be higher.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from imagist.errors import Problem, RequestError
from imagist.packages.apk.version import is_valid, matches_key, sort_key

_GRAMMAR: Final = re.compile(
    r"(!?)([^!@=<>~\s][^@=<>~\s]*)(?:@([\w.-]+))?(?:([=<>~]+)([^@=<>~\s][^@\s]*))?(?:@([\w.-]+))?",
    re.ASCII,
)
_OPERATORS: Final = {
    frozenset(spelling): spelling for spelling in ("=", "<", "<=", ">", ">=", "~", "<~", ">~")
} | {
    frozenset("~="): "~",
    frozenset("<~="): "<~",
    frozenset(">~="): ">~",
    frozenset("><"): "><",
}
_RELEASE: Final = re.compile(r"-r[0-9]+$")


class Dependency(msgspec.Struct, frozen=True):
    """A requirement on a name; `text` is how it was written."""

    text: str
    name: str
    op: str = ""
    """Empty for any version, one of `version.OPERATORS`, or `><` and a package's checksum."""
    version: str = ""
    """What to compare with; of a shared library already shifted below package versions."""
    conflict: bool = False
    pin: str = ""
    """Tag of the repository to prefer, without `@`."""
    broken: str = ""
    """Why the text means nothing; then nothing satisfies the dependency."""
    key: str = ""
    """The sort key of `version`."""

    def __str__(self) -> str:
        return self.text


class Provide(NamedTuple):
    """A name that a package offers; without a version it stands for no version at all."""

    name: str
    version: str = ""


@lru_cache(maxsize=1 << 16)
def parse_dependency(text: str) -> Dependency:
    """Read one dependency of a package; never raises: see `Dependency.broken`.

    An index may hold a package that nobody wants and whose dependencies make no sense.
    """
    found = _GRAMMAR.fullmatch(text)
    if found is None:
        name = re.split(r"[@=<>~\s]", text.removeprefix("!"), maxsplit=1)[0]
        return Dependency(text, name, broken="expected `name`, `name>=version` or `!name`")
    mark, name, tag, operator, version, pin = found.groups(default="")
    conflict = bool(mark)
    if tag and pin:
        return Dependency(text, name, broken="two repository tags")
    if not operator:
        return Dependency(text, name, conflict=conflict, pin=tag or pin)
    op = _OPERATORS.get(frozenset(operator), "")
    if not op or len(operator) != len(set(operator)):
        return Dependency(text, name, broken=f"`{operator}` is not an operator")
    if op == "><":
        return Dependency(text, name, op, version, conflict, tag or pin)
    version = _shift_soname(name, version)
    if not is_valid(version):
        return Dependency(text, name, broken=f"`{version}` is not a version")
    return Dependency(text, name, op, version, conflict, tag or pin, key=sort_key(version))


def parse_world(entries: tuple[str, ...] | list[str]) -> list[Dependency]:
    """Read what a declaration asks for.

    Raises:
        RequestError: one problem for each entry that means nothing.
    """
    world = [parse_dependency(entry.strip()) for entry in entries]
    problems = [
        Problem(
            f"`{entry.text}` is not a package to install: {entry.broken}",
            help="write `name`, `name=1.2-r3`, `name~1.2`, `name>=1.2`, `name@tag` or `!name`",
        )
        for entry in world
        if entry.broken
    ]
    if problems:
        raise RequestError(problems)
    return world


@lru_cache(maxsize=1 << 16)
def parse_provide(text: str) -> Provide:
    """Read one entry of `provides`; only its name and version matter, whatever the operator."""
    dependency = parse_dependency(text)
    return Provide(dependency.name, dependency.version)


def satisfies(provide: Provide, dependency: Dependency, *, checksum: str = "") -> bool:
    """Whether a provided name and version are among what a dependency names.

    A conflict is answered the same way, so that `!x<2` hits what `x<2` would accept. A provide
    without version satisfies only a dependency without version, and no versioned conflict hits it.

    Args:
        provide: what a package offers, its own name and version included.
        dependency: what is asked for.
        checksum: the offering package's `Q1` checksum, for the operator `><`.
    """
    if provide.name != dependency.name or dependency.broken:
        return False
    op = dependency.op
    if not op:
        return True
    if op == "><":
        return bool(checksum) and checksum == dependency.version
    return matches_key(sort_key(provide.version), op, dependency.key)


def _shift_soname(name: str, version: str) -> str:
    """A shared library's version, below all package versions unless it is one itself."""
    if name.startswith("so:") and not _RELEASE.search(version):
        return f"0.{version}"
    return version
