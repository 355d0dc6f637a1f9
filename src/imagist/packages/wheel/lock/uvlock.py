"""`uv.lock` read directly: a graph of packages, walked for each target.

What is simple in it is read here; `read_uv_lock` gives None for the rest (conflicting extras, a
workspace without a project, a later version), which uv itself is then asked about (`lock.uv`).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from imagist.net.url import is_remote
from imagist.packages.wheel.lock.graph import Edge, Graph
from imagist.packages.wheel.lock.model import (
    File,
    Lock,
    Origin,
    Package,
    normalize,
    read_hash,
    unhashed,
)
from imagist.packages.wheel.lock.named import NamedLock, table, tables, text, texts

_VERSION: Final = 1
_FOLDERS: Final = ("editable", "virtual", "directory")
_HERE: Final = "."


def read_uv_lock(data: bytes, file: str) -> Lock | None:
    """Read a lock of uv; None where only uv can.

    Raises:
        RequestError: it is malformed, or a file has no SHA-256; all of it at once.
    """
    lock = NamedLock(data, file)
    values = lock.values
    if values.get("version") != _VERSION or values.get("conflicts"):
        return None
    entries = [(f"{path}.name", path, package) for path, package in _packages(lock)]
    root = next((entry for entry in entries if _is_root(entry[2])), None)
    if root is None:
        return None
    names = _Names([(where, package) for where, _, package in entries])
    edges: dict[tuple[str, str], tuple[Edge, ...]] = {}
    for where, path, package in entries:
        edges[where, ""] = tuple(names.edges(lock, package.get("dependencies"), path))
        for extra, needs in table(package, "optional-dependencies").items():
            edges[where, normalize(extra)] = tuple(names.edges(lock, needs, path))
    groups = {
        normalize(group): tuple(names.edges(lock, needs, root[1]))
        for group, needs in table(root[2], "dev-dependencies").items()
    }
    packages = [_package(lock, *entry) for entry in entries if entry is not root]
    lock.finish()
    provided = texts(table(root[2], "metadata"), "provides-extras")
    extras = dict.fromkeys([*provided, *table(root[2], "optional-dependencies")])
    return Lock(
        file=file,
        packages=tuple(packages),
        requires_python=text(values, "requires-python"),
        environments=texts(values, "supported-markers"),
        extras=tuple(map(normalize, extras)),
        groups=tuple(
            dict.fromkeys(
                [*groups, *map(normalize, table(table(root[2], "metadata"), "requires-dev"))]
            )
        ),
        graph=Graph(root[0], edges, groups),
        locate=lock.places,
    )


def _packages(lock: NamedLock) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The packages; that of a project may have no version, where its build system makes it up."""
    for number, package in enumerate(tables(lock.values, "package")):
        path = f"package[{number}]"
        if text(package, "name"):
            yield path, package
        else:
            lock.report("a package needs a name", path)


def _is_root(package: Mapping[str, Any]) -> bool:
    source = table(package, "source")
    return any(text(source, key) == _HERE for key in _FOLDERS)


class _Names:
    """Finds the package that a dependency means: its name, and where several have it, more."""

    def __init__(self, packages: list[tuple[str, Mapping[str, Any]]]) -> None:
        self.by_name: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
        for where, package in packages:
            self.by_name.setdefault(text(package, "name"), []).append((where, package))

    def edges(self, lock: NamedLock, needs: Any, path: str) -> Iterator[Edge]:
        """What a list of dependencies leads to."""
        for need in needs if isinstance(needs, list) else ():
            name = text(need, "name") if isinstance(need, dict) else ""
            found = [
                where
                for where, package in self.by_name.get(name, ())
                if all(
                    need[key] == package.get(key) for key in ("version", "source") if key in need
                )
            ]
            if len(found) != 1:
                lock.report(f"the lock has no one package for the dependency `{name}`", path)
                continue
            extras = tuple(map(normalize, texts(need, "extra")))
            yield Edge(found[0], extras, text(need, "marker"))


def _package(lock: NamedLock, where: str, path: str, package: Mapping[str, Any]) -> Package:
    source = table(package, "source")
    registry = text(source, "registry")
    folder = next((source[key] for key in _FOLDERS if text(source, key)), "")
    git = text(source, "git")
    origin = None
    files: list[File] = []
    if git:
        location, _, revision = git.rpartition("#")
        origin = Origin("vcs", location.partition("?")[0] or git, revision)
    elif folder:
        origin = Origin("directory", folder)
    else:
        files = list(_files(lock, path, package, source, registry))
    return Package(
        name=normalize(package["name"]),
        version=text(package, "version"),
        files=tuple(files),
        index=registry if is_remote(registry) else "",
        origin=origin,
        subdirectory=text(source, "subdirectory"),
        where=where,
    )


def _files(
    lock: NamedLock,
    path: str,
    package: Mapping[str, Any],
    source: Mapping[str, Any],
    registry: str,
) -> Iterator[File]:
    listed = [(f"wheels[{n}]", each) for n, each in enumerate(tables(package, "wheels"))]
    if sdist := table(package, "sdist"):
        listed.append(("sdist", sdist))
    direct = text(source, "url") or text(source, "path")
    for below, each in listed:
        location = text(each, "url") or direct
        if local := text(each, "path"):
            location = posixpath.join(registry, local)
        name = text(each, "filename") or unquote(urlsplit(location).path).rpartition("/")[2]
        sha256 = read_hash(text(each, "hash"))
        size = each.get("size")
        if not name:
            lock.report("a file needs a name", f"{path}.{below}")
        elif not sha256:
            place = lock.places(f"{path}.{below}")
            lock.problems.append(unhashed(f"`{name}`", place, [text(each, "hash")]))
        else:
            yield File(name, sha256, size if isinstance(size, int) else None, location)
