"""What a pyproject.toml says of the project itself: name, scripts, dependencies (PEP 621, 735)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

_SCRIPTS: Final = ("scripts", "gui-scripts")


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """A project as its pyproject.toml describes it; empty where it has none."""

    name: str = ""
    version: str = ""
    """Empty where its build system makes it up."""
    requires_python: str = ""
    poetry_python: str = ""
    """The same in Poetry's words (`^3.11`), where the standard's table does not say it."""
    scripts: Mapping[str, str] = {}
    """Names of the console scripts, in the order written, to what they call: `module:function`."""
    dependencies: tuple[str, ...] = ()
    """Requirements (PEP 508)."""
    extras: Mapping[str, tuple[str, ...]] = {}
    """Optional dependencies by extra."""
    groups: Mapping[str, tuple[Any, ...]] = {}
    """Dependency groups, as written: requirements, and tables that include other groups."""
    has_build_system: bool = False


def read_metadata(values: Mapping[str, Any]) -> Metadata:
    """Read the tables of a pyproject.toml; what has not the form that it should is left out.

    Build systems check their own input, so only what an image needs is looked at here. Where
    `[project]` is absent, `[tool.poetry]` gives name, version and scripts.
    """
    project = _table(values, "project")
    poetry = _table(_table(values, "tool"), "poetry")
    requires_python = _text(project, "requires-python")
    poetry_python = _text(_table(poetry, "dependencies"), "python")
    named = project or poetry
    scripts = {
        name: _text(_table(named, key), name) for key in _SCRIPTS for name in _table(named, key)
    }
    optional = _table(project, "optional-dependencies")
    groups = _table(values, "dependency-groups")
    return Metadata(
        name=_text(named, "name"),
        version=_text(named, "version"),
        requires_python=requires_python,
        poetry_python="" if requires_python else poetry_python,
        scripts=scripts,
        dependencies=_texts(project, "dependencies"),
        extras={extra: _texts(optional, extra) for extra in optional},
        groups={
            group: tuple(items) if isinstance(items, list) else ()
            for group, items in groups.items()
        },
        has_build_system=bool(_table(values, "build-system")),
    )


def _table(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = values.get(key)
    return found if isinstance(found, dict) else {}


def _text(values: Mapping[str, Any], key: str) -> str:
    found = values.get(key)
    return found if isinstance(found, str) else ""


def _texts(values: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = values.get(key)
    return tuple(v for v in found if isinstance(v, str)) if isinstance(found, list) else ()
