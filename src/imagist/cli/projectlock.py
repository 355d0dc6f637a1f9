"""`imagist lock DIR`: the lock of a Python project for all platforms, made, updated or checked."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from imagist.build.lock import Move
from imagist.cli.answer import print_json
from imagist.cli.messages import Messages
from imagist.cli.project import read_project
from imagist.cli.telling import tell_moves
from imagist.declaration.projectfile import LoadedProject
from imagist.errors import CheckFailed, NotFound, Problem, RequestError
from imagist.packages.wheel.lock.find import find_lock
from imagist.packages.wheel.lock.reading import read_regular
from imagist.packages.wheel.relock import (
    NAME,
    SOURCES,
    Moved,
    Relocked,
    find_source,
    least_python,
    make_lock,
)
from imagist.store.output import replace_file


class _Tool(msgspec.Struct, frozen=True):
    """What makes, checks and updates a lock that another tool made."""

    make: str
    check: str
    update: str


_TOOLS: Final = {
    "uv.lock": _Tool("uv lock", "uv lock --check", "uv lock --upgrade-package"),
    "poetry.lock": _Tool("poetry lock", "poetry check --lock", "poetry update --lock"),
    "pdm.lock": _Tool("pdm lock", "pdm lock --check", "pdm update --no-sync"),
}
_LEAST_PYTHON: Final = "3.11"
"""For which a lock is made where the project does not say."""


def lock_project(values: argparse.Namespace) -> None:
    """Lock, update a lock, or check one; the answer is its path.

    Raises:
        RequestError: there is nothing to lock, another tool's lock counts, nothing fits, or what
            is to be updated is not in the lock.
        CheckFailed: --check, and the lock is not what would be written now.
        NotFound: there is no lock to check, or uv is not installed.
    """
    folder = Path(values.thing)
    loaded = read_project(values)
    names = {path.name for path in folder.iterdir()}
    _refuse_others(folder, names, values)
    metadata = loaded.metadata
    if not (metadata.name or metadata.has_build_system):  # it has settings of tools alone
        names -= {"pyproject.toml"}
    source = find_source(names)
    if source is None:
        raise RequestError(
            f"{folder} has nothing to lock",
            help=f"say what it requires in one of {', '.join(SOURCES)}",
        )
    place = Path(values.output or folder / NAME)
    old = _read_old(place)
    if old is None and (values.check or values.update):
        flag = "--check" if values.check else "--update"
        raise NotFound(f"there is no lock {place}", help=f"make it without {flag}")
    made = make_lock(
        folder,
        source,
        python=_python(loaded),
        extras=loaded.project.extras,
        groups=loaded.project.groups,
        requirements=loaded.requirements() if source == "pyproject.toml" else (),
        old=old,
        update=values.update,
    )
    messages = Messages(values)
    for warning in made.warnings:
        messages.warn(warning)
    changed = made.data != old
    if values.json:
        moved = [msgspec.structs.asdict(move) for move in made.moved]
        print_json({"path": str(place), "changed": changed, "moved": moved})
    if values.check and changed:
        raise CheckFailed(_list_drift(place, made))
    if changed:
        replace_file(place, made.data)
    if values.json and changed:
        messages.stage(made.notice)
    if not values.json:
        if not values.check:
            if (changed or values.update) and not values.quiet:  # it says which pins were kept
                sys.stderr.write(f"{made.notice}\n")
            tell_moves([_as_move(each) for each in made.moved], values, is_new=old is None)
        sys.stdout.write(f"{place}\n")


def _read_old(place: Path) -> bytes | None:
    try:
        return read_regular(place)
    except NotFound:
        return None


def _list_drift(place: Path, made: Relocked) -> list[Problem]:
    """What would be locked otherwise; the last says what to do."""
    problems = [Problem(str(_as_move(each)), str(place)) for each in made.moved]
    if not problems:
        problems = [Problem(f"{place} is not what would be locked now")]
    return [
        *problems[:-1],
        replace(problems[-1], help="lock again with `imagist lock`"),
    ]


def _as_move(moved: Moved) -> Move:
    """What moved, for the words that locks of images have for it."""
    return Move(moved.name, moved.before, moved.after, (), everywhere=True)


def _refuse_others(folder: Path, names: set[str], values: argparse.Namespace) -> None:
    """Two locks of one project would be one too many, unless somebody names the second."""
    found = find_lock(names)
    if found in _TOOLS and not values.output:
        tool = _TOOLS[found]
        if values.check:
            advice = f"`{tool.check}` checks it"
        elif values.update:
            advice = f"`{tool.update} {' '.join(values.update)}` updates it"
        else:
            advice = f"`{tool.make}` makes it anew"
        raise RequestError(
            f"{folder} has a {found}, which counts", help=f"{advice}; or name another lock with -o"
        )


def _python(loaded: LoadedProject) -> str:
    """The lowest Python that a lock is for."""
    wanted = ".".join(loaded.project.python.rstrip("t").split(".")[:2])
    return wanted or least_python(loaded.metadata.requires_python, _LEAST_PYTHON)
