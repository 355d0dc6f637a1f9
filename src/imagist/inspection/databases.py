"""The package databases of an image: which files they are, and which package owns which path.

Images have apk's, dpkg's or, without dpkg, a file for each Debian package; some have several.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from imagist.errors import InputError
from imagist.packages.deb.installed import (
    DIVERSIONS,
    INFO,
    LIST,
    MD5SUMS,
    STATUS,
    STATUS_FOLDER,
    list_names,
    read_diversions,
    read_list,
    read_md5sums,
    read_stanzas,
)
from imagist.packages.installed import Installed
from imagist.rootfs.entry import parent
from imagist.rootfs.tree import Node, Tree

_APK: Final = ("usr/lib/apk/db/installed", "lib/apk/db/installed")
"""The first that is there counts."""
_PATHS: Final = "|".join(map(re.escape, (*_APK, STATUS, DIVERSIONS)))
_DATABASE: Final = re.compile(
    f"{_PATHS}|{re.escape(STATUS_FOLDER)}/[^/]+|{re.escape(INFO)}/[^/]+{re.escape(LIST)}"
)


class Record(NamedTuple):
    """An installed package, and the paths that are its own as the database has them."""

    package: Installed
    paths: Iterable[str]
    """Relative; they may lead through symlinks, or nowhere."""


def is_database(path: str) -> bool:
    """Whether a file of this path belongs to a package database."""
    return _DATABASE.fullmatch(path) is not None


def find_databases(tree: Tree) -> dict[str, Node]:
    """The files of all databases, by the paths at which their tools look for them.

    Raises:
        InputError: symlinks lead nowhere, in a circle.
    """
    apk = next((path for path in _APK if tree.find(path) is not None), _APK[0])
    lists = (path for path in _children(tree, INFO) if path.endswith(LIST))
    paths = (apk, STATUS, DIVERSIONS, *_children(tree, STATUS_FOLDER), *lists)
    found = ((path, tree.find_file(path)) for path in paths)
    return {path: node for path, node in found if node is not None}


def read_records(files: Mapping[str, bytes], native: str) -> Iterator[Record]:
    """What databases list, each in its order.

    Args:
        files: the contents of what `find_databases` found.
        native: the image's architecture, as Debian names it.

    Raises:
        InputError: a database is malformed; where is said.
    """
    lists = dict(files)
    for path, text in files.items():
        try:
            if path in _APK:
                yield from _read_apk(text)
            elif path == STATUS or (parent(path) == STATUS_FOLDER and not path.endswith(MD5SUMS)):
                yield from _read_deb(path, text, lists, native)
        except InputError as error:
            raise error.placed(f"/{path}") from error


def _children(tree: Tree, folder: str) -> Iterator[str]:
    """The paths directly in a folder, wherever that is."""
    place = tree.resolve(folder, follow_last=True)
    if place not in tree:
        return
    for node in tree.below(place):
        name = node.entry.path[len(place) + 1 :]
        if "/" not in name:
            yield f"{folder}/{name}"


def _read_apk(text: bytes) -> Iterator[Record]:
    from imagist.packages.apk.database import parse_installed  # noqa: PLC0415 - not in all images

    for record in parse_installed(text):
        package = record.package
        yield Record(
            Installed(
                package.name, package.version, package.arch, package.origin, package.license
            ),
            [entry.path for entry in record.entries],
        )


def _read_deb(path: str, text: bytes, lists: dict[str, bytes], native: str) -> Iterator[Record]:
    """The packages of one file; each list is used up, lest many stanzas name one that is long."""
    diversions = read_diversions(lists.get(DIVERSIONS, b"")) if path == STATUS else {}
    for package in read_stanzas(text, native):
        if path == STATUS:
            names = (f"{INFO}/{name}" for name in list_names(package))
            listed = next((name for name in names if name in lists), "")
            paths = read_list(lists.pop(listed, b""))
            yield Record(package, _divert(paths, package, diversions) if diversions else paths)
        else:
            yield Record(package, read_md5sums(lists.pop(path + MD5SUMS, b"")))


def _divert(
    paths: Iterable[str], package: Installed, diversions: Mapping[str, tuple[str, str]]
) -> Iterator[str]:
    """Where a package's files really lie."""
    own = package.name.partition(":")[0]
    for path in paths:
        place, taker = diversions.get(path, (path, own))
        yield path if taker == own else place
