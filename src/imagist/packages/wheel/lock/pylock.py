"""`pylock.toml`, the standard's lock (PEP 751)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from imagist.errors import Problem, RequestError
from imagist.packages.wheel.lock.model import (
    File,
    Lock,
    Origin,
    Package,
    normalize,
    pick_sha256,
    unhashed,
)
from imagist.packages.wheel.lock.named import table, text, texts
from imagist.packages.wheel.lock.places import TomlPlaces
from imagist.text.tomlnodes import read_toml

if TYPE_CHECKING:
    from packaging import pylock

_WORDS: Final = {"Missing required value": "a value that the standard requires is missing"}


def read_pylock(data: bytes, file: str) -> Lock:
    """Read a lock of the standard's form.

    Raises:
        RequestError: it is not valid (PEP 751), or a file has no SHA-256; all of it at once.
    """
    values = read_toml(data, file)
    places = TomlPlaces(data, file)
    lock = _validate(values, places)
    problems: list[Problem] = []
    packages = [
        _package(number, package, places, problems) for number, package in enumerate(lock.packages)
    ]
    if problems:
        raise RequestError(problems)
    found = Lock(
        file=file,
        packages=tuple(packages),
        requires_python=str(lock.requires_python or ""),
        environments=tuple(map(str, lock.environments or ())),
        extras=tuple(map(normalize, lock.extras or ())),
        groups=tuple(
            dict.fromkeys(
                map(normalize, [*(lock.dependency_groups or ()), *(lock.default_groups or ())])
            )
        ),
        default_groups=tuple(map(normalize, lock.default_groups or ())),
        locate=places,
    )
    return _narrow(found, values)


def note_making(source: str, extras: Sequence[str], groups: Sequence[str]) -> str:
    """What `imagist lock` adds to a lock: of what it was made, and for which extras and groups.

    uv puts their packages in, and leaves out whose they are.
    """
    lines = [f'source = "{source}"']
    for key, names in (("extras", extras), ("groups", groups)):
        quoted = ", ".join(f'"{name}"' for name in sorted(set(map(normalize, names))))
        lines += [f"{key} = [{quoted}]"]
    return "\n[tool.imagist]\n" + "\n".join(lines) + "\n"


def _narrow(lock: Lock, values: Mapping[str, Any]) -> Lock:
    noted = table(table(values, "tool"), "imagist")
    if not noted:
        return lock
    return msgspec.structs.replace(
        lock,
        source=text(noted, "source"),
        extras=tuple(map(normalize, texts(noted, "extras"))),
        groups=tuple(map(normalize, texts(noted, "groups"))),
        is_narrow=True,
    )


def _validate(values: Mapping[str, Any], places: TomlPlaces) -> pylock.Pylock:
    """What `packaging` makes of it; where it refuses, every package is looked at for itself."""
    from packaging import pylock  # noqa: PLC0415 - takes its time, and few need it

    try:
        return pylock.Pylock.from_dict(values)
    except pylock.PylockUnsupportedVersionError as error:
        advice = "lock again with a tool that writes lock-version 1.0"
        problem = places.problem(str(error), "lock-version", advice)
        raise RequestError(problem) from None
    except pylock.PylockValidationError as error:
        problems = [_explain(error, places, None)]
    packages = values.get("packages")
    found: list[Problem] = []
    for number, package in enumerate(packages if isinstance(packages, list) else ()):
        try:
            pylock.Pylock.from_dict({**values, "packages": [package]})
        except pylock.PylockValidationError as error:
            found.append(_explain(error, places, number))
    raise RequestError(list(dict.fromkeys([*found, *problems])))


def _explain(
    error: pylock.PylockValidationError, places: TomlPlaces, number: int | None
) -> Problem:
    path = error.context or ""
    if number is not None:
        path = path.replace("packages[0]", f"packages[{number}]", 1)
    said = _WORDS.get(error.message, error.message)
    named = f"`{path}`: {said}" if path else said
    return places.problem(named, path)


def _package(
    number: int, package: pylock.Package, places: TomlPlaces, problems: list[Problem]
) -> Package:
    path = f"packages[{number}]"
    files: list[File] = []
    for each, below in _files(package):
        name, sha256 = _file_name(each), pick_sha256(each.hashes)
        if not sha256:
            stated = [f"{algorithm}:{digits}" for algorithm, digits in each.hashes.items()]
            problems.append(unhashed(f"`{name}`", places(f"{path}.{below}.hashes"), stated))
        files.append(File(name, sha256, each.size, each.url or each.path or ""))
    vcs, directory, archive = package.vcs, package.directory, package.archive
    origin = None
    if vcs is not None:
        origin = Origin("vcs", vcs.url or vcs.path or "", vcs.commit_id)
    elif directory is not None:
        origin = Origin("directory", directory.path)
    source = vcs or directory or archive
    return Package(
        name=package.name,
        version=str(package.version or ""),
        files=tuple(files),
        index=package.index or "",
        origin=origin,
        subdirectory=(source.subdirectory if source else None) or "",
        marker=str(package.marker or ""),
        requires_python=str(package.requires_python or ""),
        where=f"{path}.name",
    )


def _files(package: pylock.Package) -> list[tuple[Any, str]]:
    found: list[tuple[Any, str]] = [
        (wheel, f"wheels[{number}]") for number, wheel in enumerate(package.wheels or ())
    ]
    if package.sdist is not None:
        found.append((package.sdist, "sdist"))
    if package.archive is not None:
        found.append((package.archive, "archive"))
    return found


def _file_name(file: Any) -> str:
    """Its name: stated, or the last part of its path or URL."""
    if name := getattr(file, "name", None):
        return str(name)
    path = file.path.replace("\\", "/") if file.path else unquote(urlsplit(file.url or "").path)
    return str(path.rpartition("/")[2])
