"""Compiled Python: what Debian's packages make when they are installed, and ship none of.

Without it each start compiles what it imports, and an image that is read-only can never keep the
result.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import Final

from imagist.build.derived.place import find_file, make_folders, put_entry
from imagist.packages.bytecode import Source, compile_with
from imagist.rootfs.content import Contents
from imagist.rootfs.entry import Entry
from imagist.rootfs.tree import Node, Tree

_LIBRARY: Final = re.compile(r"usr/lib/python3\.(\d+)/.*\.py", re.DOTALL)
_SHARED: Final = re.compile(r"usr/lib/python3/dist-packages/.*\.py", re.DOTALL)
_DEFAULT: Final = re.compile(r"(?:.*/)?python3\.(\d+)")


def put_pycache(tree: Tree, contents: Contents, *, epoch: int) -> list[str]:
    """Compile the Python modules of packages; the warnings tell what could not be.

    Modules below usr/lib/python3.N are compiled for that version, those of dist-packages for the
    one that usr/bin/python3 leads to. What a package brings compiled stays.
    """
    warnings: list[str] = []
    for version, nodes in sorted(_find_sources(tree).items()):
        interpreter = find_interpreter(version)
        if interpreter is None:
            warnings.append(
                f"{len(nodes)} Python modules are not compiled, since there is no "
                f"python3.{version} here: each start of a program will take longer; with that in "
                "PATH (`uv python install` has it) they are compiled"
            )
            continue
        sources = contents.read(nodes.values())
        ordered = [Source(path, sources[node.entry.path]) for path, node in sorted(nodes.items())]
        files = compile_with(interpreter, ordered).files
        for source, data in zip(ordered, files, strict=True):
            if data:
                _put(tree, source.path, version, data, epoch)
    return warnings


def find_interpreter(version: int) -> str | None:
    """An interpreter of Python 3.`version` on this machine."""
    if sys.version_info[:2] == (3, version) and sys.implementation.name == "cpython":
        return sys.executable
    found = shutil.which(f"python3.{version}")
    if found is None:
        return None
    question = "import sys; print(*sys.version_info[:2], sys.implementation.name)"
    try:
        answer = subprocess.run(  # noqa: S603 - a program of this machine, and no shell
            [found, "-I", "-S", "-c", question], capture_output=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found if answer.stdout.split() == [b"3", b"%d" % version, b"cpython"] else None


def _find_sources(tree: Tree) -> dict[int, dict[str, Node]]:
    """The modules that packages bring uncompiled: version to path to file."""
    default = _default_version(tree)
    found: dict[int, dict[str, Node]] = {}
    for node in tree.nodes():
        path = node.entry.path
        if not path.endswith(".py") or not node.owner:
            continue
        versioned = _LIBRARY.fullmatch(path)
        version = int(versioned[1]) if versioned else default
        if version is None or not (versioned or _SHARED.fullmatch(path)):
            continue
        file = find_file(tree, path)
        if file is not None and _place(path, version) not in tree:
            found.setdefault(version, {})[path] = file
    return found


def _default_version(tree: Tree) -> int | None:
    found = _DEFAULT.fullmatch(tree.resolve("usr/bin/python3", follow_last=True))
    return int(found[1]) if found else None


def _place(path: str, version: int) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/__pycache__/{name.removesuffix('.py')}.cpython-3{version}.pyc"


def _put(tree: Tree, path: str, version: int, data: bytes, epoch: int) -> None:
    place = _place(path, version)
    make_folders(tree, place.rpartition("/")[0], mtime=epoch)
    put_entry(tree, Entry(place, mode=0o644, mtime=epoch, size=len(data), data=data))
