"""Loading what a folder says of its image: pyproject.toml, imagist.yaml, or nothing at all."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from imagist.declaration.metadata import Metadata, read_metadata
from imagist.declaration.model import Declaration
from imagist.declaration.project import Project
from imagist.declaration.projectcheck import check_project
from imagist.declaration.sourcefile import Read, SourceFile
from imagist.errors import NotFound, Problem, RequestError, Span
from imagist.packages.wheel.lock.find import find_lock
from imagist.packages.wheel.lock.model import normalize
from imagist.packages.wheel.upkeep import expand_groups
from imagist.text.tomlnodes import find_node, parse_toml, read_toml

if TYPE_CHECKING:
    from imagist.text.decode import Place
    from imagist.text.nodes import Document

PYPROJECT: Final = "pyproject.toml"
OWN_FILES: Final = ("imagist.yaml", "imagist.yml")
TABLE: Final = "tool.imagist"
DECLARED: Final = (".yaml", ".yml", ".json")
"""How names of files with a declaration end."""
SCRATCH: Final = "scratch"
"""A base of nothing, as Dockerfiles call it."""


class LoadedProject(msgspec.Struct, frozen=True):
    """A project, checked, and where it comes from."""

    project: Project
    metadata: Metadata
    files: tuple[SourceFile, ...]
    """The files that were read."""
    place: Place | None
    """Where the settings stand; None where nobody wrote any."""
    has_lock: bool = False
    """Whether a lock of Python packages lies in the folder."""
    folder: str = ""
    """The name of the folder."""
    flags: tuple[str, ...] = ()
    """Flags that go before keys of the same name, or of its plural."""

    def span_of(self, path: str) -> Span | None:
        """Where `files[1].source` was written, or the innermost part of it that was."""
        return self.place.find(path).span if self.place else None

    def where(self, key: str) -> Span | str | None:
        """Where the value of a key is from: its place, its flag, or None where nobody said it."""
        flag = key.removesuffix("s")
        if flag in self.flags:
            return f"--{flag}"
        known = self.place is not None and key in self.place.children
        return self.span_of(key) if known else None

    def where_in_pyproject(self, path: str) -> Span | str | None:
        """Where pyproject.toml says something, such as `project.requires-python`."""
        file = next((f for f in self.files if posixpath.basename(f.path) == PYPROJECT), None)
        if file is None:
            return None
        document = parse_toml(file.data, file.path)
        node = find_node(document, path)
        return document.span(node) if node is not None else file.path

    @property
    def is_yaml(self) -> bool:
        """Whether settings are written as YAML, and not as TOML."""
        if self.place is None:
            return not self.files
        return not self.place.file.endswith(PYPROJECT)

    def setting(self, key: str, *values: str, is_list: bool = False) -> str:
        """How a key is written with a text or a list, in the syntax of the file with the settings.

        A part of a sentence, which says where to write it if there are no settings yet.
        """
        listed = ", ".join(values if self.is_yaml else [f'"{value}"' for value in values])
        value = f"[{listed}]" if is_list else listed
        said = f"`{key}: {value}`" if self.is_yaml else f"`{key} = {value}`"
        if self.place is not None:
            return said
        return f"{said} in {OWN_FILES[0]}" if self.is_yaml else f"{said} below [{TABLE}]"

    def adding(self, package: str) -> str:
        """How a package is added to a base that is declared."""
        return self.setting("packages", *self.project.packages, package, is_list=True)

    @property
    def mode(self) -> str:
        """How the project itself gets in: `wheel`, `source` or `none`."""
        if self.project.mode:
            return self.project.mode
        if not self.is_python:
            return "none"
        return "wheel" if self.metadata.has_build_system else "source"

    @property
    def is_python(self) -> bool:
        """Whether there are packages to install, or a project that is one."""
        return bool(self.metadata.name or self.project.lock or self.has_lock)

    @property
    def binary_path(self) -> str:
        """Where the program of `binary` goes."""
        return self.project.binary_path or f"/usr/local/bin/{self.metadata.name or self.folder}"

    @property
    def base_kind(self) -> str:
        """What `base` names: `registry`, `file`, `layout`, `inline`; empty where absent."""
        base = self.project.base
        if isinstance(base, Declaration):
            return "inline"
        if base.endswith(DECLARED):
            return "file"
        return "layout" if base.startswith((".", "/")) else ("registry" if base else "")

    def requirements(self) -> tuple[str, ...]:
        """What the project requires with the extras and groups that are asked for (PEP 508)."""
        extras = {normalize(name): items for name, items in self.metadata.extras.items()}
        optional = [
            item for name in self.project.extras for item in extras.get(normalize(name), ())
        ]
        groups = expand_groups(self.metadata.groups, self.project.groups)
        return tuple(dict.fromkeys([*self.metadata.dependencies, *optional, *groups]))

    def command(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Entrypoint and command of the image, as lists of words.

        Raises:
            RequestError: nothing says what to run.
        """
        entrypoint, command = self._entrypoint(), _words(self.project.command)
        script = self.script()
        if script:
            entrypoint = (*self._call(script, self.metadata.scripts[script]), *entrypoint[1:])
        return entrypoint, command

    def script(self) -> str:
        """The script of the project that a container runs; empty where it is another program.

        Raises:
            RequestError: nothing says what to run.
        """
        first = next(iter(self._entrypoint()), "")
        return first if self.is_python and first in self.metadata.scripts else ""

    def _entrypoint(self) -> tuple[str, ...]:
        entrypoint = _words(self.project.entrypoint)
        if not entrypoint and self.project.binary:
            return (self.binary_path,)
        # Without Python, what the base runs may be just what is wanted.
        return entrypoint if entrypoint or not self.is_python else (self._script(),)

    def _call(self, script: str, called: str) -> tuple[str, ...]:
        """How a script is run: a project that is not installed has no file for it."""
        folder = f"{self.project.prefix}/bin"
        module, _, name = called.partition(":")
        if self.mode != "source" or not (module and name):
            return (f"{folder}/{script}",)
        first = name.partition(".")[0].strip()
        program = f"import sys; from {module.strip()} import {first}; sys.exit({name.strip()}())"
        return f"{folder}/python", "-c", program

    def _script(self) -> str:
        scripts, name = list(self.metadata.scripts), self.metadata.name
        if len(scripts) == 1 or name in scripts:
            return scripts[0] if len(scripts) == 1 else name
        where = self.place.span if self.place else (self.files[0].path if self.files else None)
        if scripts:
            raise RequestError(
                f"the project has several scripts: {', '.join(scripts)}",
                where=where,
                help=f"say which a container runs: {self.setting('entrypoint', scripts[0])}",
            )
        if self.metadata.name:
            said = self.setting("entrypoint", "python -m MODULE")
            advice = f"add a script to [project.scripts], or write {said}"
        else:
            advice = "write `entrypoint: python -m MODULE` into an imagist.yaml in the folder"
        raise RequestError("nothing says what a container runs", where=where, help=advice)


def load_project(read: Read, folder: str = "", *, names: Collection[str] = ()) -> LoadedProject:
    """Read and check what a folder says of its image.

    Args:
        read: gives the bytes of a file.
        folder: of the project; without a file in it that imagist knows, the project is empty.
        names: what is in the folder.

    Raises:
        RequestError: anything is wrong; all of it at once.
    """
    files: list[SourceFile] = []
    found = {
        name: data
        for name in (PYPROJECT, *OWN_FILES)
        if (data := _try(read, posixpath.join(folder, name))) is not None
    }
    document: Document | None = None
    values: Mapping[str, Any] = {}
    for name, data in found.items():
        path = posixpath.join(folder, name)
        files.append(SourceFile(path, data))
        settings = _open_yaml(data, path) if name in OWN_FILES else _open_table(data, path)
        if name == PYPROJECT:
            values = read_toml(data, path)
        if document is not None and settings is not None:
            raise RequestError(
                f"{document.file} and {path} both say what the image is",
                help="keep one of them",
            )
        document = settings or document
    project, place = _read_settings(document)
    metadata = read_metadata(values)
    loaded = LoadedProject(
        project,
        metadata,
        tuple(files),
        place,
        has_lock=find_lock(names) is not None,
        folder=posixpath.basename(posixpath.abspath(folder)),
    )
    noted = map(_explain, document.problems) if document else ()
    problems = [*noted, *check_project(loaded)]
    if problems:
        raise RequestError(problems)
    return loaded


def _try(read: Read, path: str) -> bytes | None:
    try:
        return read(path)
    except (NotFound, FileNotFoundError):
        return None


def _open_yaml(data: bytes, path: str) -> Document:
    from imagist.text.yamlnodes import parse_yaml  # noqa: PLC0415 - most projects have none

    return parse_yaml(data, path)


def _open_table(data: bytes, path: str) -> Document | None:
    """The table of a pyproject.toml as a document of its own; None where it is absent."""
    document = parse_toml(data, path)
    root = document.root = find_node(document, TABLE)
    if root is not None and root.kind != "mapping":
        where = document.span(root)
        raise RequestError(f"`{TABLE}` must be a table", where=where, help=f"write [{TABLE}]")
    return document if root is not None else None


def _read_settings(document: Document | None) -> tuple[Project, Place | None]:
    """What a document says of the image, and where; the defaults where there is none."""
    if document is None:
        return Project(), None
    from imagist.text.decode import decode  # noqa: PLC0415 - not every project says something

    decoded = decode(document, Project)
    return decoded.value, decoded.place


def _explain(problem: Problem) -> Problem:
    """Say of a key that is one of images alone where it belongs."""
    own = {entry.encode_name for entry in msgspec.structs.fields(Project)}
    names = {entry.encode_name for entry in msgspec.structs.fields(Declaration)} - own
    found = next((name for name in names if problem.message == f"unknown key `{name}`"), "")
    advice = f"`{found}` is for images: write it into the declaration of the base (base.yaml)"
    return replace(problem, help=advice) if found else problem


def _words(value: str | tuple[str, ...]) -> tuple[str, ...]:
    if not isinstance(value, str):
        return value
    from imagist.text.words import split_words  # noqa: PLC0415 - most write no command

    return tuple(split_words(value)) if value else ()
