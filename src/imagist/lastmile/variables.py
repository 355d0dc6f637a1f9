"""The variables of this process that what is built depends on: they count as inputs.

Backends heed some, which their names tell. Programs of the project that run while it is built
(setup.py, build hooks, a backend of its own) may read any: so each counts whose name stands in
quotes in one of those, or in a module beside it. A name that is put together at run time is not
found, nor one in a source distribution, whose programs nobody reads before it is unpacked.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Sequence
from typing import Final

from imagist.editing.additions import Item
from imagist.lastmile.backend import Backend

_STEERS: Final = re.compile(
    r"(?:SETUPTOOLS|DISTUTILS|VCS_VERSIONING|HATCH|PDM|POETRY|FLIT|UV_BUILD)_\w+"
    r"|CC|CXX|LDSHARED|(?:C|CPP|CXX|LD|ARCH)FLAGS"
)
"""Variables by which a user tells build backends and compilers what to do, a version among it."""
_QUOTED: Final = re.compile(rb"""["']([A-Za-z_]\w{0,99})["']""")
_RUN: Final = frozenset({"setup.py", "hatch_build.py", "pdm_build.py"})
"""Programs at the top of a project that its backend runs."""


def steering(programs: Iterable[bytes] = ()) -> dict[str, str]:
    """The variables that count, with their values.

    Args:
        programs: those of the project that run while it is built.
    """
    named = {name.decode() for text in programs for name in _QUOTED.findall(text)}
    return {
        name: value
        for name, value in os.environ.items()
        if name in named or _STEERS.fullmatch(name)
    }


def find_programs(backend: Backend, items: Sequence[Item]) -> list[Item]:
    """The files of a project that may run while it is built; those in its packages do not."""
    folders = {posixpath.normpath(path) for path in backend.path}
    below = tuple(f"{folder}/" for folder in folders)
    at_top = "." in folders or not _RUN.isdisjoint(item.path for item in items)
    return [
        item
        for item in items
        if item.kind == "file"
        and item.path.endswith(".py")
        and (item.path.startswith(below) or (at_top and "/" not in item.path))
    ]
