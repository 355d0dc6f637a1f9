"""What a project says of its build backend (PEP 517, 518)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeGuard

import msgspec

from imagist.errors import InputError, NotFound, RequestError
from imagist.packages.wheel.lock.reading import read_regular
from imagist.text.tomlnodes import read_toml

_LEGACY: Final = ("setuptools >= 40.8.0",)
_LEGACY_BACKEND: Final = "setuptools.build_meta:__legacy__"
"""What holds where a project does not say what builds it (PEP 517, PEP 518)."""
_NAMED: Final = re.compile(
    r"(?![^\s@]*\.(whl|zip|t[a-z]z|tar\.\w+)\s*$)\s*[A-Za-z0-9][\w.-]*\s*([\[(<>=!~;@].*)?",
    re.DOTALL,
)
"""What requirements look like (PEP 508): pip would take others for options, or for files of the
folder that it runs in."""


class Options(msgspec.Struct, frozen=True):
    """How a project is built."""

    mtime: int = 0
    """SOURCE_DATE_EPOCH, as the backend sees it."""
    offline: bool = False
    """Whether nothing may be fetched."""
    settings: Mapping[str, str] = {}
    """Settings for the backend (PEP 517, `config_settings`)."""
    ignore: tuple[str, ...] = ()
    """More lines of the project's ignore file."""
    whole: bool = False
    """Whether nothing is ignored: of a source distribution its author chose what is in it."""
    tell: Callable[[str], object] = lambda _: None
    """Takes the lines that a backend which did its work said."""


class Backend(msgspec.Struct, frozen=True):
    """What builds a project."""

    name: str
    path: tuple[str, ...]
    """Folders of the project that it lies in; empty where it is installed."""
    requirements: tuple[str, ...]


def read_document(folder: Path) -> Mapping[str, Any]:
    """The `pyproject.toml` of a project; empty where it has a `setup.py` alone.

    Raises:
        NotFound: there is neither.
        InputError: it cannot be read.
    """
    file = folder / "pyproject.toml"
    try:
        return read_toml(read_regular(file), str(file))
    except NotFound:
        if (folder / "setup.py").exists():
            return {}
        raise NotFound(f"`{folder}` has no pyproject.toml: it is no project") from None
    except RequestError as error:  # of a source that somebody else wrote
        raise InputError(error.problems) from None


def find_backend(document: Mapping[str, Any], where: str) -> Backend:
    """What a project says of its backend (PEP 518), or what holds where it says nothing.

    Raises:
        InputError: it says something that means nothing.
    """
    system = document.get("build-system", {})
    settings = system if isinstance(system, dict) else {"requires": system}
    name = settings.get("build-backend", _LEGACY_BACKEND)
    path = settings.get("backend-path", [])
    requirements = settings.get("requires", [*_LEGACY])
    if not (name and are_texts([name]) and are_texts(path) and are_requirements(requirements)):
        raise InputError(
            f"the [build-system] of `{where}` is not as it should be",
            help="`requires` is a list of requirements such as `hatchling>=1.27`, `backend-path` "
            "one of folders, `build-backend` a text",
        )
    return Backend(name, tuple(path), tuple(requirements))


def are_texts(value: object) -> TypeGuard[list[str]]:
    """Whether something is a list of texts: a text alone would pass as one, of its letters."""
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def are_requirements(value: object) -> TypeGuard[list[str]]:
    """Whether something is a list of requirements, all of which begin with a name."""
    return are_texts(value) and all(map(_NAMED.fullmatch, value))
