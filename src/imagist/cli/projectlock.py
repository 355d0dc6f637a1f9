"""`imagist lock DIR`: the lock of a Python project for all platforms, made, updated or checked."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from imagist.cli.answer import print_json
from imagist.cli.messages import Messages
from imagist.cli.project import read_project
from imagist.cli.session import read_file
from imagist.declaration.projectfile import LoadedProject
from imagist.errors import CheckFailed, NotFound, Problem, RequestError
from imagist.packages.wheel.lock.find import find_lock
from imagist.packages.wheel.relock import NAME, SOURCES, find_source, least_python, make_lock
from imagist.store.output import replace_file

_TOOLS: Final = {"uv.lock": "uv lock", "poetry.lock": "poetry lock", "pdm.lock": "pdm lock"}
"""Locks of other tools, and what makes them anew."""
_LEAST_PYTHON: Final = "3.11"
"""For which a lock is made where the project does not say."""


def lock_project(values: argparse.Namespace) -> None:
    """Lock, update a lock, or check one; the answer is its path.

    Raises:
        RequestError: there is nothing to lock, another tool's lock counts, or nothing fits.
        CheckFailed: --check, and the lock is not what would be written now.
        NotFound: there is no lock to check, or uv is not installed.
    """
    folder = Path(values.thing)
    loaded = read_project(values)
    names = {path.name for path in folder.iterdir()}
    _refuse_others(folder, names, values)
    source = find_source(names)
    if source is None:
        raise RequestError(
            f"{folder} has nothing to lock",
            help=f"say what it requires in one of {', '.join(SOURCES)}",
        )
    place = Path(values.output or folder / NAME)
    old = read_file(str(place)) if place.is_file() else None
    if values.check and old is None:
        raise NotFound(f"there is no {place} to check", help="make it without --check")
    made = make_lock(
        folder,
        source,
        python=_python(loaded),
        extras=loaded.project.extras,
        groups=loaded.project.groups,
        old=old,
        update=values.update,
    )
    changed = made.data != old
    if values.json:
        print_json({"lock": str(place), "changed": changed})
    if values.check:
        if changed:
            what = f"{place} is not what would be locked now"
            raise CheckFailed(Problem(what, None, "lock again with `imagist lock`"))
    elif changed:
        replace_file(place, made.data)
        Messages(values).stage(made.notice)
    if not values.json:
        sys.stdout.write(f"{place}\n")


def _refuse_others(folder: Path, names: set[str], values: argparse.Namespace) -> None:
    """Two locks of one project would be one too many, unless somebody names the second."""
    found = find_lock(names)
    if found in _TOOLS and not values.output:
        raise RequestError(
            f"{folder} has a {found}, which counts",
            help=f"`{_TOOLS[found]}` makes it anew; or name another lock with -o",
        )


def _python(loaded: LoadedProject) -> str:
    """The lowest Python that a lock is for."""
    wanted = ".".join(loaded.project.python.rstrip("t").split(".")[:2])
    return wanted or least_python(loaded.metadata.requires_python, _LEAST_PYTHON)
