"""`poetry.lock` of Poetry 2 (lock-version 2.1), which says of every package when it is wanted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from imagist.errors import RequestError
from imagist.packages.wheel.constraint import read_constraint
from imagist.packages.wheel.lock.model import MAIN, File, Lock, Origin, Package, normalize
from imagist.packages.wheel.lock.named import NamedLock, specifier, table, text, texts

_VERSION: Final = re.compile(r"(\d+)\.(\d+)")
_WITH_MARKERS: Final = (2, 1)
_KINDS: Final = {"git": "vcs", "directory": "directory"}


def read_poetry(data: bytes, file: str) -> Lock:
    """Read a lock of Poetry.

    Raises:
        RequestError: it is malformed, of an older version, or a file has no SHA-256.
    """
    lock = NamedLock(data, file)
    version = text(lock.metadata, "lock-version")
    match = _VERSION.fullmatch(version)
    if match is None or (int(match[1]), int(match[2])) < _WITH_MARKERS or match[1] != "2":
        raise RequestError(
            lock.places.problem(
                f"lock-version `{version}` does not say when a package is wanted",
                "metadata.lock-version",
                "lock again with Poetry 2, or export: `poetry export -f requirements.txt`",
            )
        )
    packages = [_package(lock, path, values) for path, values in lock.packages()]
    lock.finish()
    groups = dict.fromkeys(group for package in packages for group in package.groups)
    return Lock(
        file=file,
        packages=tuple(packages),
        requires_python=_read_python(text(lock.metadata, "python-versions")),
        extras=tuple(map(normalize, table(lock.values, "extras"))),
        groups=tuple(group for group in groups if group != MAIN),
        default_groups=(MAIN,),
        locate=lock.places,
    )


def _read_python(words: str) -> str:
    """What the lock is for, where one specifier says it; the project says it, too."""
    try:
        found = read_constraint(words)
    except ValueError:
        return ""
    return str(found[0]) if len(found) == 1 else ""


def _package(lock: NamedLock, path: str, values: Mapping[str, Any]) -> Package:
    files = tuple(lock.files(values, path))
    source = table(values, "source")
    kind, url = text(source, "type"), text(source, "url")
    origin = None
    if kind in _KINDS:
        revision = text(source, "resolved_reference")
        origin = Origin("vcs" if kind == "git" else "directory", url, revision)
    elif kind in {"url", "file"}:
        if len(files) == 1:
            files = (File(files[0].name, files[0].sha256, location=url),)
        else:
            lock.report("a package from one file needs that file and its hash", path)
    elif not files:
        lock.report(
            f"`{values['name']}` has no files with hashes in the lock",
            f"{path}.name",
            "lock again: `poetry lock`",
        )
    markers = values.get("markers")
    groups = texts(values, "groups") or (MAIN,)
    return Package(
        name=normalize(values["name"]),
        version=values["version"],
        files=files,
        index=url if kind == "legacy" else "",
        origin=origin,
        subdirectory=text(source, "subdirectory"),
        marker=markers if isinstance(markers, str) else "",
        requires_python=specifier(text(values, "python-versions")),
        groups={
            normalize(group): text(markers, group) if isinstance(markers, dict) else ""
            for group in groups
        },
        where=f"{path}.name",
    )
