"""Modules that build backends carry into a wheel as they are, so that a change needs no backend.

A backend takes longer than all else that a changed line costs, and does nothing with the line: of
a pure project it copies modules, and makes metadata of pyproject.toml and the files that names.
That is so of the backends below where no hook, plugin or setup script is in play; and what one of
them made is believed only where every file of the wheel is one file of the project, byte for byte.
Whatever else changes, names and permissions too, the backend is run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from imagist.digest import sha256
from imagist.editing.additions import Item
from imagist.lastmile.backend import Backend
from imagist.packages.wheel.plain import Content

MODULES: Final = (".py", ".pyi")
"""Ends of the names of files that are carried."""
_INTO_METADATA: Final = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "AUTHORS")
"""How names begin of files that backends put into metadata unasked."""


class _Known(msgspec.Struct, frozen=True):
    """When a backend carries modules as they are."""

    packages: frozenset[str]
    """All that may be required to build: anything else may be a plugin."""
    settings: tuple[str, ...] = ()
    """Tables and keys of pyproject.toml that must be absent."""
    files: tuple[str, ...] = ()
    """Files of the project that must be absent."""


_HATCH: Final = "tool.hatch.build"
_BACKENDS: Final = {
    "hatchling.build": _Known(
        frozenset({"hatchling"}),
        (f"{_HATCH}.hooks", f"{_HATCH}.targets.wheel.hooks", "tool.hatch.metadata.hooks"),
        ("hatch.toml",),
    ),
    "setuptools.build_meta": _Known(
        frozenset({"setuptools", "wheel"}),
        (
            "tool.setuptools.cmdclass",
            "tool.setuptools.ext-modules",
            "tool.setuptools.script-files",
        ),
        ("setup.py", "setup.cfg"),
    ),
    "flit_core.buildapi": _Known(frozenset({"flit-core"}), ("tool.flit.metadata",)),
    "poetry.core.masonry.api": _Known(frozenset({"poetry-core"}), ("tool.poetry.build",)),
    "pdm.backend": _Known(
        frozenset({"pdm-backend"}),
        ("tool.pdm.build.custom-hook", "tool.pdm.build.run-setuptools"),
        ("pdm_build.py",),
    ),
    "uv_build": _Known(frozenset({"uv-build"})),
}


def find_modules(
    backend: Backend, document: Mapping[str, Any], items: Sequence[Item]
) -> frozenset[str]:
    """The files of a project that its backend does not look into; none where it may."""
    known = _BACKENDS.get(backend.name)
    if known is None or backend.path or not {*map(_name, backend.requirements)} <= known.packages:
        return frozenset()
    if any(look_up(document, setting) is not None for setting in known.settings):
        return frozenset()
    if look_up(document, "project.dynamic") or any(item.kind == "symlink" for item in items):
        return frozenset()
    if not {item.path for item in items}.isdisjoint(known.files):
        return frozenset()
    # A file that is named may be read: for the version, as readme, as license.
    words = " ".join(_texts(document))
    return frozenset(
        item.path
        for item in items
        if item.kind == "file"
        and item.path.endswith(MODULES)
        and not _base(item.path).upper().startswith(_INTO_METADATA)
        and _base(item.path) not in words
    )


def trace_members(
    contents: Mapping[str, Content],
    dist_info: str,
    digests: Mapping[str, str],
    modules: Iterable[str],
) -> dict[str, str] | None:
    """Which modules of a project are in its wheel, and where; None where that is not certain.

    Args:
        contents: the wheel's files.
        dist_info: its own folder.
        digests: of all files of the project, by path.
        modules: those that the backend carries.
    """
    modules = frozenset(modules)
    paths: dict[str, list[str]] = {}
    for path, digest in digests.items():
        paths.setdefault(digest, []).append(path)
    found: dict[str, str] = {}
    for member, content in contents.items():
        same = paths.get(sha256(content.data), [])
        if member.startswith(f"{dist_info}/"):
            if not modules.isdisjoint(same) and (content.data or member.endswith(MODULES)):
                return None  # a module has become metadata, if only by its name where it is empty
            continue
        sources = [path for path in same if path == member or path.endswith(f"/{member}")]
        if len(sources) != 1:
            return None
        if sources[0] in modules:
            found[sources[0]] = member
    return found


def _name(requirement: str) -> str:
    """The package that a requirement is about, as indexes compare names (PEP 503)."""
    end = next((at for at, c in enumerate(requirement) if not (c.isalnum() or c in "-_.")), None)
    return requirement[:end].lower().replace("_", "-").replace(".", "-")


def look_up(document: Mapping[str, Any], path: str) -> Any:
    """What a document has at `table.table.key`; None where it has nothing."""
    found: Any = document
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _texts(value: Any) -> Iterable[str]:
    """All texts in a document, keys among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
