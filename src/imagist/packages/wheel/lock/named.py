"""What `poetry.lock` and `pdm.lock` have in common: files by name and hash, and groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from imagist.errors import Problem, RequestError
from imagist.packages.wheel.lock.model import File, read_hash, unhashed
from imagist.packages.wheel.lock.places import TomlPlaces
from imagist.text.tomlnodes import read_toml


class NamedLock:
    """A TOML lock with `[[package]]` tables, and what is wrong with it so far."""

    def __init__(self, data: bytes, file: str) -> None:
        """Read the text.

        Raises:
            RequestError: it is no TOML.
        """
        self.file = file
        self.values = read_toml(data, file)
        self.places = TomlPlaces(data, file)
        self.problems: list[Problem] = []

    def report(self, message: str, path: str, advice: str | None = None) -> None:
        """Note a problem at a path."""
        self.problems.append(self.places.problem(message, path, advice))

    def finish(self) -> None:
        """Raise what was noted.

        Raises:
            RequestError: there was something wrong.
        """
        if self.problems:
            raise RequestError(self.problems)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The table `[metadata]`."""
        return table(self.values, "metadata")

    def packages(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The packages with their paths; those without name and version are told and left out."""
        for number, values in enumerate(tables(self.values, "package")):
            path = f"package[{number}]"
            if not text(values, "name") or not text(values, "version"):
                self.report("a package needs a name and a version", path)
            else:
                yield path, values

    def files(self, package: Mapping[str, Any], path: str) -> Iterator[File]:
        """The files of a package; those without SHA-256 are told and left out."""
        for number, values in enumerate(tables(package, "files")):
            location = text(values, "url")
            name = text(values, "file") or location.rpartition("/")[2]
            stated = text(values, "hash")
            sha256 = read_hash(stated)
            if not name:
                self.report("a file needs a name", f"{path}.files[{number}]")
            elif not sha256:
                place = self.places(f"{path}.files[{number}]")
                self.problems.append(unhashed(f"`{name}`", place, [stated]))
            else:
                yield File(name, sha256, location=location)


def text(values: Mapping[str, Any], key: str) -> str:
    """A text of a table; empty where it is absent or something else."""
    value = values.get(key)
    return value if isinstance(value, str) else ""


def texts(values: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """A list of texts of a table; what else is in it is left out."""
    value = values.get(key)
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()


def specifier(words: str) -> str:
    """A constraint on Python where it is one of the standard's; what it says else is advice."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415

    try:
        return str(SpecifierSet(words))
    except InvalidSpecifier:
        return ""


def table(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A table of a table; empty where it is absent or something else."""
    value = values.get(key)
    return value if isinstance(value, dict) else {}


def tables(values: Mapping[str, Any], key: str) -> tuple[Mapping[str, Any], ...]:
    """A list of tables; what else is in it is an empty one, so that numbers stay."""
    value = values.get(key)
    if not isinstance(value, list):
        return ()
    return tuple(item if isinstance(item, dict) else {} for item in value)
