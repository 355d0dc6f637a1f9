"""What a project says of its build backend (PEP 517, 518)."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from imagist.errors import InputError, NotFound

_LEGACY: Final = ("setuptools >= 40.8.0",)
_LEGACY_BACKEND: Final = "setuptools.build_meta:__legacy__"
"""What holds where a project does not say what builds it (PEP 517, PEP 518)."""


class Options(NamedTuple):
    """How a project is built."""

    mtime: int = 0
    """SOURCE_DATE_EPOCH, as the backend sees it."""
    offline: bool = False
    """Whether nothing may be fetched."""
    settings: Mapping[str, str] = {}
    """Settings for the backend (PEP 517, `config_settings`)."""
    ignore: tuple[str, ...] = ()
    """More lines of the project's ignore file."""
    tell: Callable[[str], object] = lambda _: None
    """Takes the lines that a backend which did its work said."""


class Backend(NamedTuple):
    """What builds a project."""

    name: str
    path: tuple[str, ...]
    """Folders of the project that it lies in; empty where it is installed."""
    requirements: tuple[str, ...]


def read_document(folder: Path) -> dict[str, Any]:
    """The `pyproject.toml` of a project; empty where it has a `setup.py` alone.

    Raises:
        NotFound: there is neither.
        InputError: it cannot be read.
    """
    try:
        return tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
    except FileNotFoundError:
        if (folder / "setup.py").exists():
            return {}
        raise NotFound(f"`{folder}` has no pyproject.toml: it is no project") from None
    except (OSError, ValueError) as error:
        raise InputError(f"`{folder / 'pyproject.toml'}` cannot be read: {error}") from error


def find_backend(document: Mapping[str, Any], where: str) -> Backend:
    """What a project says of its backend (PEP 518), or what holds where it says nothing.

    Raises:
        InputError: it says something that means nothing.
    """
    system = document.get("build-system", {})
    backend = Backend(
        system.get("build-backend", _LEGACY_BACKEND),
        tuple(system.get("backend-path", ())),
        tuple(system.get("requires", _LEGACY)),
    )
    if not all(isinstance(each, str) for each in (backend.name, *backend[1], *backend[2])):
        raise InputError(
            f"the [build-system] of `{where}` is not as it should be",
            help="`requires` and `backend-path` are lists of texts, `build-backend` is a text",
        )
    return backend
