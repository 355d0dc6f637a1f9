"""A tree of s6 services: `/sv/<name>/run` for each service of a service bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from imagist.build.derived.place import put_file
from imagist.errors import Problem, RequestError
from imagist.rootfs.entry import Entry
from imagist.rootfs.tree import Node, Tree

ROOT: Final = "sv"
_FOLDER_MODE: Final = 0o777
"""s6-supervise writes into a service's folder, as whatever user the image runs as."""


def put_services(tree: Tree, services: Mapping[str, str], *, epoch: int) -> list[str]:
    """Write an execlineb script for each service (name -> command line).

    Raises:
        RequestError: a name that cannot be a folder's; all of them at once.
    """
    wrong = [
        Problem(f"`{name}` cannot be the name of a service, since a folder is named so")
        for name in services
        if not name or "/" in name or "\0" in name or name.startswith(".")
    ]
    if wrong:
        raise RequestError(wrong)
    for name, command in sorted(services.items()):
        for folder in (ROOT, f"{ROOT}/{name}"):
            if tree.resolve(folder, follow_last=True) not in tree:
                tree.put(Node(Entry(folder, "directory", _FOLDER_MODE, mtime=epoch)))
        script = f"#!/bin/execlineb\n{command}\n".encode()
        put_file(tree, f"{ROOT}/{name}/run", script, mode=0o755, epoch=epoch)
    return []
