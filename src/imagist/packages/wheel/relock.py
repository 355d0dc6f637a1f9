"""Making a lock where a project has none: uv resolves for every platform at once."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec.structs import replace

from imagist.errors import NotFound, Problem, RequestError
from imagist.packages.wheel.handover import variables_for_uv
from imagist.packages.wheel.indexes import read_configuration
from imagist.packages.wheel.lock.model import Package, normalize
from imagist.packages.wheel.lock.pylock import note_making, read_pylock
from imagist.packages.wheel.lock.reading import check_regular
from imagist.packages.wheel.lock.uv import run_uv
from imagist.packages.wheel.pins import (
    PINS,
    Pin,
    find_contradictions,
    find_unneeded,
    read_pins,
    refuse_moves,
)
from imagist.text.suggest import did_you_mean

NAME: Final = "pylock.toml"
SOURCES: Final = ("pyproject.toml", "requirements.in", "requirements.txt")
"""What a project's requirements may be in, in the order in which they are looked for."""
_TEMPORARY: Final = "pylock.imagist-unfinished.toml"
"""uv insists on this form of a name, and keeps the versions that it finds in its output."""
_HEADER: Final = (
    b"# Made by `imagist lock` with uv. `imagist lock --update PACKAGE` takes a newer version,\n"
    b"# --update '*' the newest of all.\n"
)
_STANDARD_INPUT: Final = "-"
_NOWHERE: Final = ("not found in the package registry", "valid authentication credentials")
_WHERE_FROM: Final = (
    "name the index that has it as uv or pip know it, with user and password where it asks for "
    "them: UV_INDEX, PIP_INDEX_URL, pip.conf, uv.toml or [[tool.uv.index]]"
)
_WHOSE_PINS: Final = (
    f"versions that {PINS} pins are kept: change them there, or remove those that need not hold"
)
_USERINFO: Final = re.compile(rb"(https?://)[^/@\s\"']+@")
_LOCAL: Final = re.compile(rb'url = "file://(/[^"\\]*)"')
_LEAST: Final = re.compile(r"(?:>=|~=|==)\s*(3\.\d+)")


ALL: Final = "*"
"""What to update, where it is everything."""


class Moved(msgspec.Struct, frozen=True):
    """A package that differs between two locks."""

    name: str
    before: str
    """Its versions; empty where it was not there."""
    after: str
    """Its versions; empty where it is gone."""


class Relocked(msgspec.Struct, frozen=True):
    """A new lock, and what to say of it."""

    data: bytes
    notice: str
    moved: tuple[Moved, ...]
    """What differs from the lock that there was, by name."""
    warnings: tuple[str, ...] = ()


def find_source(names: Collection[str]) -> str | None:
    """Which of a folder's files has the requirements; None where none has."""
    return next((name for name in SOURCES if name in names), None)


def make_lock(
    folder: Path,
    source: str,
    *,
    python: str,
    extras: Sequence[str] = (),
    groups: Sequence[str] = (),
    requirements: Sequence[str] = (),
    old: bytes | None = None,
    update: Sequence[str] = (),
) -> Relocked:
    """Resolve the requirements of a project for every platform, with hashes.

    Nothing is written that stays. Where packages come from is what uv is configured to use, else
    pip. Versions that a requirements.txt beside the source pins are taken.

    Args:
        folder: of the project.
        source: the file with its requirements.
        python: the lowest version that the lock is for, such as `3.12`.
        extras: those that are in it.
        groups: dependency groups that are in it.
        requirements: those in the source as far as they are known, to be compared with pins.
        old: the lock that there was: its versions stay.
        update: packages that get newer versions; `ALL` for all.

    Raises:
        NotFound: uv is not installed, or the file is not there.
        RequestError: there is no solution, told in uv's words; the lock that there was is wrong,
            or has not a package that is to be updated; a pin is contradicted.
    """
    try:
        check_regular(folder / source)
    except NotFound:
        raise NotFound(
            f"there is no {folder / source} to lock", help="one of " + ", ".join(SOURCES)
        ) from None
    before = read_pylock(old, NAME).packages if old is not None else ()
    _check_names(update, {package.name for package in before})
    pins = read_pins(folder, source)
    if told := [*find_contradictions(pins, requirements, source), *refuse_moves(pins, update)]:
        raise RequestError(told)
    output = folder / _TEMPORARY
    words = ["pip", "compile", source, "--universal", "--python-version", python]
    words += ["--format", "pylock.toml", "--no-header", "--no-annotate", "-o", _TEMPORARY]
    words += [word for extra in extras for word in ("--extra", extra)]
    words += [word for group in groups for word in ("--group", group)]
    if pins:
        words += ["--constraints", _STANDARD_INPUT]
    if ALL in update:
        words.append("--upgrade")
    else:
        words += [word for name in update for word in ("--upgrade-package", name)]
    try:
        if old is not None:
            output.write_bytes(old)
        _resolve(words, folder, pins)
        made = _USERINFO.sub(rb"\1", output.read_bytes())
    except OSError as error:
        raise RequestError(f"{output} cannot be written: {error.strerror}") from error
    finally:
        output.unlink(missing_ok=True)
    data = _HEADER + _name_beside(made, folder) + note_making(source, extras, groups).encode()
    lock = read_pylock(data, NAME)
    count = len(lock.packages)
    plural = "package" if count == 1 else "packages"
    notice = f"locked {count} {plural} of {source} for Python {python} and later with uv"
    names = {package.name for package in lock.packages}
    if kept := {pin.name for pin in pins} & names:
        notice = f"{notice}, {len(kept)} of them in the versions that {PINS} pins"
    moved = tuple(_compare(before, lock.packages)) if old is not None else ()
    warnings = tuple(
        f"{PINS} pins `{name}`, which nothing in {source} requires: it is not in the lock"
        for name in find_unneeded(pins, names)
    )
    return Relocked(data, f"{notice}; keep {NAME} beside it", moved, warnings)


def _resolve(words: Sequence[str], folder: Path, pins: Sequence[Pin]) -> None:
    """Let uv write a lock, with the indexes of pip where it has none of its own."""
    variables = variables_for_uv(read_configuration(folder), os.environ)
    given = "".join(f"{pin}\n" for pin in pins).encode()
    what = "the requirements cannot be locked"
    try:
        run_uv(words, folder, what=what, variables=variables, given=given)
    except RequestError as error:
        advice = _WHOSE_PINS if pins else None
        if any(words in str(error) for words in _NOWHERE):
            advice = _WHERE_FROM
        raise RequestError([replace(each, help=advice) for each in error.problems]) from None


def _name_beside(made: bytes, folder: Path) -> bytes:
    """Name files in the project's folder by their paths from there, as on any other machine."""
    root = folder.resolve()

    def name(found: re.Match[bytes]) -> bytes:
        path = Path(unquote_to_bytes(found[1]).decode("utf-8", "surrogateescape"))
        relative = str(path.relative_to(root)) if path.is_relative_to(root) else ""
        if not relative.isprintable() or not relative or {'"', "\\"} & set(relative):
            return found[0]
        return f'path = "{relative}"'.encode()

    return _LOCAL.sub(name, made)


def _check_names(update: Sequence[str], known: Collection[str]) -> None:
    problems = [
        Problem(f"the lock has no package `{name}` to update", NAME, did_you_mean(name, known))
        for name in update
        if name != ALL and normalize(name) not in known
    ]
    if problems:
        raise RequestError(problems)


def _compare(before: Sequence[Package], after: Sequence[Package]) -> Iterator[Moved]:
    """What differs; a package may have a version for each platform."""
    old, new = _versions(before), _versions(after)
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield Moved(name, old.get(name, ""), new.get(name, ""))


def _versions(packages: Sequence[Package]) -> dict[str, str]:
    versions: dict[str, list[str]] = {}
    for package in packages:
        versions.setdefault(package.name, []).append(package.version)
    return {name: ", ".join(dict.fromkeys(each)) for name, each in versions.items()}


def least_python(requires: str, default: str) -> str:
    """The lowest minor version that a `requires-python` allows.

    >>> least_python(">=3.10,<4", "3.12"), least_python("<4", "3.12")
    ('3.10', '3.12')
    """
    found = [tuple(map(int, minor.split("."))) for minor in _LEAST.findall(requires)]
    return ".".join(map(str, max(found))) if found else default
