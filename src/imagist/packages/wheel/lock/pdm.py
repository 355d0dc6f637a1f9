"""`pdm.lock` of the strategy `inherit_metadata`, which says of every package when it is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from imagist.errors import RequestError
from imagist.packages.wheel.lock.model import MAIN, File, Lock, Origin, Package, normalize
from imagist.packages.wheel.lock.named import NamedLock, specifier, tables, text, texts

_DEFAULT: Final = "default"
"""What PDM calls the group that is always wanted."""
_HELP: Final = "lock again: `pdm lock --strategy inherit_metadata`, or export: `pdm export`"


def read_pdm(data: bytes, file: str) -> Lock:
    """Read a lock of PDM. Its extras are groups, too.

    Raises:
        RequestError: it is malformed, of another strategy or version, or a file has no SHA-256.
    """
    lock = NamedLock(data, file)
    version = text(lock.metadata, "lock_version")
    if not version.startswith("4."):
        message = f"lock_version `{version}` is not one that is understood"
        raise RequestError(lock.places.problem(message, "metadata.lock_version", _HELP))
    if "inherit_metadata" not in texts(lock.metadata, "strategy"):
        message = "the lock does not say when a package is wanted"
        raise RequestError(lock.places.problem(message, "metadata.strategy", _HELP))
    entries = list(lock.packages())
    plain = {(v["name"], v["version"]) for _, v in entries if not texts(v, "extras")}
    # A package is listed once more for the extras it is wanted with; it is the same package.
    packages = [
        _package(lock, path, values)
        for path, values in entries
        if not texts(values, "extras") or (values["name"], values["version"]) not in plain
    ]
    lock.finish()
    groups = tuple(map(normalize, texts(lock.metadata, "groups")))
    groups = tuple(group for group in groups if group != _DEFAULT)
    return Lock(
        file=file,
        packages=tuple(packages),
        environments=_environments(lock),
        extras=groups,
        groups=groups,
        default_groups=(MAIN,),
        extras_are_groups=True,
        locate=lock.places,
    )


def _environments(lock: NamedLock) -> tuple[str, ...]:
    """The targets that it was made for, as markers; none where one of them is everything."""
    found = []
    for values in tables(lock.metadata, "targets"):
        clauses = [
            f"python_full_version {each.operator} '{each.version}'"
            for each in _clauses(text(values, "requires_python"))
        ]
        platform = text(values, "platform")
        if platform:
            system = _SYSTEMS.get(platform.partition("_")[0], platform)
            clauses.append(f"sys_platform == '{system}'")
        if not clauses:
            return ()
        found.append(" and ".join(clauses))
    return tuple(found)


_SYSTEMS: Final = {
    "linux": "linux",
    "manylinux": "linux",
    "musllinux": "linux",
    "macos": "darwin",
    "windows": "win32",
}


def _clauses(words: str) -> list[Any]:
    from packaging.specifiers import SpecifierSet  # noqa: PLC0415

    return sorted(SpecifierSet(specifier(words)), key=str)


def _package(lock: NamedLock, path: str, values: Mapping[str, Any]) -> Package:
    files = tuple(lock.files(values, path))
    url, git, folder = text(values, "url"), text(values, "git"), text(values, "path")
    origin = None
    if git:
        origin = Origin("vcs", git, text(values, "revision"))
    elif (url or folder) and len(files) == 1:
        files = (File(files[0].name, files[0].sha256, location=url or folder),)
    elif folder:
        origin = Origin("directory", folder)
    elif not files:
        name = values["name"]
        lock.report(f"`{name}` has no files with hashes in the lock", f"{path}.name", _HELP)
    groups = texts(values, "groups") or (_DEFAULT,)
    return Package(
        name=normalize(values["name"]),
        version=values["version"],
        files=files,
        origin=origin,
        subdirectory=text(values, "subdirectory"),
        marker=text(values, "marker"),
        requires_python=specifier(text(values, "requires_python")),
        groups={MAIN if group == _DEFAULT else normalize(group): "" for group in groups},
        where=f"{path}.name",
    )
