"""Whether what a project's scripts call is in its modules, seen without running any.

A module whose names may come from elsewhere is believed: `from x import *`, `__getattr__`, changes
of `globals()` and the like. So is one that this machine's Python cannot parse.
"""

from __future__ import annotations

import posixpath
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from imagist.declaration.projectfile import LoadedProject
from imagist.digest import sha256
from imagist.errors import Problem
from imagist.lastmile.projectimage import SOURCE_FOLDER
from imagist.lastmile.wheels import Wheel
from imagist.packages.wheel.archive import WheelArchive
from imagist.packages.wheel.facts import WheelFacts
from imagist.store.memo import memo_key
from imagist.store.store import Store

if TYPE_CHECKING:
    import ast

STEP: Final = "script-call"
FORMAT: Final = 1
"""Raise it whenever something else counts as there."""
_DYNAMIC: Final = frozenset(
    ("__dict__", "__getattr__", "eval", "exec", "globals", "locals", "modules", "setattr", "vars")
)
"""What may give a module names that nobody sees in its text."""


class Modules(Protocol):
    """The files of a project, by their paths in the image, relative to its root."""

    def digest(self, path: str) -> str:
        """SHA-256 of a file, in hexadecimal; empty where the project has none there."""

    def read(self, path: str) -> bytes:
        """The content of a file that is there."""


class WheelModules:
    """Those of the project's own wheel, which is opened only to read."""

    def __init__(self, store: Store, wheel: Wheel, facts: WheelFacts) -> None:
        """Nothing is read yet."""
        self._store = store
        self._wheel = wheel
        self._digests = {file.path: file.sha256 for file in facts.files}

    def digest(self, path: str) -> str:
        """See `Modules`."""
        return self._digests.get(path, b"").hex()

    def read(self, path: str) -> bytes:
        """See `Modules`."""
        with self._store.open_blob(self._wheel.digest) as stream:
            archive = WheelArchive(stream, self._wheel.filename)
            names = (name for name in archive.members if name.endswith(posixpath.basename(path)))
            wanted = self._digests[path]
            return archive.read(next(name for name in names if archive.sha256(name) == wanted))


class CopiedModules:
    """Those of a project that is copied as it is."""

    def __init__(self, folder: Path) -> None:
        """Nothing is read yet."""
        self._folder = folder

    def digest(self, path: str) -> str:
        """See `Modules`."""
        return sha256(self.read(path)).hex if self._place(path).is_file() else ""

    def read(self, path: str) -> bytes:
        """See `Modules`."""
        return self._place(path).read_bytes()

    def _place(self, path: str) -> Path:
        return self._folder / posixpath.relpath(path, SOURCE_FOLDER.strip("/"))


def check_calls(
    loaded: LoadedProject,
    scripts: Iterable[str],
    folders: Iterable[str],
    files: Modules,
    store: Store,
) -> list[str]:
    """Warnings about scripts whose function is not in their module.

    Args:
        loaded: the project.
        scripts: names of those of its scripts that are in the image.
        folders: where modules are looked for in the image, in this order.
        files: the project's.
        store: remembers what a module has.
    """
    said = []
    for script in scripts:
        called = loaded.metadata.scripts[script]
        path, function = _find(called, folders, files)
        if path and not _binds(path, function, files, store):
            where = loaded.where_in_pyproject(f"project.scripts.{script}")
            what = f"the script `{script}` calls `{called}`, and /{path} has no `{function}`"
            said.append(str(Problem(what, where)))
    return said


def _find(called: str, folders: Iterable[str], files: Modules) -> tuple[str, str]:
    """The file of the module that is called, if it is the project's, and what it must have."""
    name, _, reference = called.partition(":")
    function = re.split(r"[.\[]", reference)[0].strip()
    stem = name.strip().replace(".", "/")
    for folder in folders if function else ():
        package, module = f"{folder}/{stem}/__init__.py", f"{folder}/{stem}.py"
        if files.digest(package):
            below = f"{folder}/{stem}/{function}"
            is_module = files.digest(f"{below}.py") or files.digest(f"{below}/__init__.py")
            return "" if is_module else package, function
        if files.digest(module):
            return module, function
    return "", ""


def _binds(path: str, name: str, files: Modules, store: Store) -> bool:
    """Whether a module has a name at its top level, or may; remembered by its content."""
    key = memo_key(FORMAT, files.digest(path), name)
    known = store.memo.get(STEP, key)
    if known is None:
        known = b"1" if binds(files.read(path), name) else b"0"
        store.memo.put(STEP, key, known)
    return known == b"1"


def binds(source: bytes, name: str) -> bool:
    """Whether the text of a module gives it a name at its top level, or may do so unseen."""
    word = re.escape(name.encode())
    plain = rb"^(?:(?:async[ \t]+)?def|class)[ \t]+" + word + rb"\b|^" + word + rb"[ \t]*=[^=]"
    if re.search(plain, source, re.MULTILINE):
        return True
    import ast  # noqa: PLC0415 - most say it plainly

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
        everything = list(ast.walk(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True
    if not _DYNAMIC.isdisjoint(_mentioned(everything)):
        return True
    declared = {each for node in everything if isinstance(node, ast.Global) for each in node.names}
    return name in declared or any({"*", name} & _bound(node) for node in _at_top(tree))


def _mentioned(nodes: Iterable[ast.AST]) -> set[str]:
    """All names and attributes that are used or defined anywhere."""
    return {str(getattr(node, field, "")) for node in nodes for field in ("id", "attr", "name")}


def _at_top(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes whose names are the module's: not those in functions and classes."""
    import ast  # noqa: PLC0415 - as above

    for child in ast.iter_child_nodes(node):
        yield child
        scopes = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
        if not isinstance(child, scopes):
            yield from _at_top(child)


def _bound(node: ast.AST) -> set[str]:
    """The names that a statement or an expression gives: by import, definition or assignment."""
    import ast  # noqa: PLC0415 - as above

    if isinstance(node, ast.alias):
        return {node.asname or node.name.partition(".")[0]}
    if isinstance(node, ast.Name):
        return {node.id} if isinstance(node.ctx, ast.Store) else set()
    return {str(found) for field in ("name", "rest") if (found := getattr(node, field, None))}
