"""Which file of a package a target takes: the wheel that fits best; refusals where none does."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final

import msgspec

from imagist.errors import Problem, RequestError
from imagist.net.url import redact
from imagist.packages.wheel.lock.model import File, Lock, Package, normalize
from imagist.packages.wheel.target import Target, compatible_tags
from imagist.packages.wheel.version import is_version_of

if TYPE_CHECKING:
    from packaging.tags import Tag

ALL: Final = ":all:"
"""Stands for every package, as in pip's `--no-binary`."""
_TAGS: Final = 1 << 10
"""Tags that a name may stand for: sets of them are multiplied, in each of three places."""
BuildTag = tuple[()] | tuple[int, str]


class WheelName(msgspec.Struct, frozen=True):
    """What the file name of a wheel says (binary distribution format, file name convention)."""

    name: str
    """Normalised."""
    version: str
    build: BuildTag
    tags: frozenset[Tag]


class Choice(msgspec.Struct, frozen=True):
    """A package with the file that a target takes of it."""

    package: Package
    file: File | None
    """None where it is a folder, which is yet to be made a wheel."""

    def __str__(self) -> str:
        return self.file.name if self.file else str(self.package)


def choose_files(
    lock: Lock,
    wanted: Mapping[Target, Sequence[Package]],
    *,
    sdists: Collection[str] = (),
) -> dict[Target, list[Choice]]:
    """The files that each target takes.

    Args:
        lock: where the packages are from.
        wanted: the packages of each target, with their files.
        sdists: packages of which a source distribution will do where no wheel fits; `ALL` of them.

    Raises:
        RequestError: packages have nothing that fits a target, or something of another name; all
            of them at once, each with what it has.
    """
    allowed = {normalize(name) if name != ALL else ALL for name in sdists}
    chosen: dict[Target, list[Choice]] = {}
    misfits: dict[str, tuple[Package, list[Target]]] = {}
    problems: list[Problem] = []
    for target, packages in wanted.items():
        choices = chosen[target] = []
        for package in packages:
            if package.origin is not None:
                problems += _check_origin(lock, package)
                choices.append(Choice(package, None))
                continue
            file = choose_file(package, target, source=bool({package.name, ALL} & allowed))
            if file is None:
                misfits.setdefault(f"{package.where} {package}", (package, []))[1].append(target)
                continue
            problems += _check_name(lock, package, file)
            choices.append(Choice(package, file))
    if misfits:
        problems += _explain(lock, misfits.values())
    if problems:
        raise RequestError(list(dict.fromkeys(problems)))
    return chosen


def chosen_files(selected: Mapping[Target, Iterable[Choice]]) -> list[File]:
    """The files of all targets, each once, in the order of their names."""
    files = {
        choice.file.sha256: choice.file
        for choices in selected.values()
        for choice in choices
        if choice.file is not None
    }
    return sorted(files.values(), key=lambda file: (file.name, file.sha256))


def choose_file(package: Package, target: Target, *, source: bool = False) -> File | None:
    """The wheel that fits best, or where none does and `source` allows it, the source.

    Of wheels that fit equally well the one with the higher build number is taken, then the first
    by name, so the order in the lock makes no difference.
    """
    ranks = _ranks(target)
    fitting: list[tuple[int, tuple[int, str], File]] = []
    for file in sorted(package.files, key=lambda file: file.name):
        name = parse_wheel_name(file.name)
        found = [ranks[tag] for tag in name.tags if tag in ranks] if name else []
        if name and found:
            fitting.append((min(found), name.build or (-1, ""), file))
    if fitting:
        fitting.sort(key=lambda each: each[1], reverse=True)
        return min(fitting, key=lambda each: each[0])[2]
    sources = (file for file in package.files if not file.is_wheel)
    return min(sources, key=_source_order, default=None) if source else None


def _explain(lock: Lock, misfits: Iterable[tuple[Package, list[Target]]]) -> list[Problem]:
    """What is said of packages that have nothing for some targets."""
    from imagist.packages.wheel.refusal import (  # noqa: PLC0415 - seldom needed
        Misfit,
        explain_misfits,
    )

    told = []
    for package, targets in misfits:
        names = [parse_wheel_name(file.name) for file in package.files]
        tags = [name.tags for name in names if name is not None]
        has_source = any(not file.is_wheel for file in package.files)
        told.append(Misfit(package, targets, tags, has_source, lock.place(package)))
    return explain_misfits(told)


def _source_order(file: File) -> tuple[bool, str]:
    """The one form that the standard knows comes before zips."""
    return not file.name.endswith(".tar.gz"), file.name


@cache
def parse_wheel_name(name: str) -> WheelName | None:
    """What the name of a wheel says; None where it is none."""
    from packaging.utils import parse_wheel_filename  # noqa: PLC0415 - takes its time

    sets = [part.count(".") + 1 for part in name.split("-")[-3:]]
    if not name.endswith(".whl") or math.prod(sets) > _TAGS:
        return None
    try:
        project, version, build, tags = parse_wheel_filename(name)
    except ValueError:  # as pip does: a file like that is not there
        return None
    return WheelName(project, str(version), build, tags)


@cache
def _ranks(target: Target) -> dict[Tag, int]:
    ranks: dict[Tag, int] = {}
    for rank, tag in enumerate(compatible_tags(target)):
        ranks.setdefault(tag, rank)
    return ranks


def _check_origin(lock: Lock, package: Package) -> Iterable[Problem]:
    """A commit has no hash of what is installed, so nothing would vouch for it."""
    if package.origin is not None and package.origin.kind == "vcs":
        yield Problem(
            f"{package} is from version control ({redact(package.origin.location)})",
            lock.place(package),
            "build its wheel, put that into a folder that `find-links` of [tool.uv] or of a "
            "requirements file names, and lock again",
        )


def _check_name(lock: Lock, package: Package, file: File) -> Iterable[Problem]:
    """A wheel of another package or version is not what the lock is about."""
    known = parse_wheel_name(file.name) is not None
    if known and not is_wheel_of(file.name, package.name, package.version):
        yield Problem(
            f"`{file.name}` is listed as a file of {package}, which it is not",
            lock.place(package),
            "lock again; if nobody edited the lock by hand, ask who did",
        )


def is_wheel_of(filename: str, package: str, version: str = "") -> bool:
    """Whether a file is called as a wheel of a package is, of any version where none is given."""
    name = parse_wheel_name(filename)
    if name is None or name.name != package:
        return False
    return not version or is_version_of(name.version, version)
