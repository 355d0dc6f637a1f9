"""Loading what a folder says of its image: pyproject.toml, imagist.yaml, or nothing at all."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

import msgspec

from imagist.declaration.metadata import Metadata, read_metadata
from imagist.declaration.model import PORT, SIGNAL, Declaration
from imagist.declaration.project import Project
from imagist.declaration.sourcefile import Read, SourceFile
from imagist.errors import NotFound, Problem, RequestError, Span
from imagist.oci.platform import parse_platform
from imagist.packages.wheel.lock.find import find_lock
from imagist.packages.wheel.lock.model import normalize
from imagist.packages.wheel.upkeep import expand_groups
from imagist.text.decode import Decoded, Place, decode
from imagist.text.nodes import Document
from imagist.text.suggest import did_you_mean
from imagist.text.tomlnodes import find_node, parse_toml, read_toml
from imagist.text.words import split_words

PYPROJECT: Final = "pyproject.toml"
OWN_FILES: Final = ("imagist.yaml", "imagist.yml")
TABLE: Final = "tool.imagist"
DECLARED: Final = (".yaml", ".yml", ".json")
"""How names of files with a declaration end."""


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

    def span_of(self, path: str) -> Span | None:
        """Where `files[1].source` was written, or the innermost part of it that was."""
        return self.place.find(path).span if self.place else None

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
        project = self.project
        entrypoint = _words(project.entrypoint)
        if not entrypoint and project.binary:
            entrypoint = (self.binary_path,)
        if not self.is_python:  # what the base runs may be just what is wanted
            return entrypoint, _words(project.command)
        entrypoint = entrypoint or (self._script(),)
        called = self.metadata.scripts.get(entrypoint[0])
        if called is not None:
            entrypoint = (*self._call(entrypoint[0], called), *entrypoint[1:])
        return entrypoint, _words(project.command)

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
                help=f'say which a container runs: entrypoint = "{scripts[0]}"',
            )
        if self.metadata.name:
            advice = (
                'add a script to [project.scripts], or entrypoint = ["python", "-m", "module"]'
            )
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
    decoded = decode(document, Project) if document else Decoded(Project(), None)
    metadata = read_metadata(values)
    loaded = LoadedProject(
        decoded.value,
        metadata,
        tuple(files),
        decoded.place,
        has_lock=find_lock(names) is not None,
        folder=posixpath.basename(posixpath.abspath(folder)),
    )
    problems = [*(document.problems if document else ()), *_Checker(loaded).check()]
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
    document.root = find_node(document, TABLE)
    return document if document.root is not None else None


def _words(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return tuple(split_words(value)) if isinstance(value, str) else value


class _Checker:
    """What a project must satisfy beyond its types."""

    def __init__(self, loaded: LoadedProject) -> None:
        self.project = loaded.project
        self.metadata = loaded.metadata
        self.span_of: Callable[[str], Span | None] = loaded.span_of
        self.problems: list[Problem] = []

    def report(self, path: str, message: str, advice: str | None = None) -> None:
        self.problems.append(Problem(message, self.span_of(path) or path, advice))

    def check(self) -> list[Problem]:
        project = self.project
        self.check_base()
        self.check_platforms()
        for key in ("entrypoint", "command"):
            self.check_words(key, getattr(project, key))
        self.check_known("extras", project.extras, self.metadata.extras)
        self.check_known("groups", project.groups, self.metadata.groups)
        for key in ("prefix", "work_dir", "interpreter", "binary_path"):
            value = getattr(project, key)
            if value and not value.startswith("/"):
                name = key.replace("_", "-")
                self.report(name, f"`{name}` must begin with /: `{value}`")
        if not project.prefix.strip("/") or ".." in project.prefix.split("/"):
            self.report("prefix", f"`{project.prefix}` cannot hold a virtual environment")
        for index, volume in enumerate(project.volumes):
            if not volume.startswith("/"):
                self.report(f"volumes[{index}]", f"a volume must begin with /: `{volume}`")
        for index, port in enumerate(project.ports):
            match = PORT.fullmatch(port)
            if match is None or not 1 <= int(match[1]) <= 0xFFFF:
                self.report(f"ports[{index}]", f"`{port}` is not a port", "write 8080 or 53/udp")
        if project.stop_signal and not SIGNAL.fullmatch(project.stop_signal):
            self.report("stop-signal", f"`{project.stop_signal}` is not a signal", "as in SIGTERM")
        for name in project.env:
            if not name or "=" in name or "\0" in name:
                self.report(f"env.{name}", f"`{name}` cannot name a variable")
        self.check_files()
        return self.problems

    def check_base(self) -> None:
        base = self.project.base
        if isinstance(base, Declaration):
            from imagist.declaration.validate import check_declaration  # noqa: PLC0415 - large

            try:
                check_declaration(base, lambda path: self.span_of(f"base.{path}"))
            except RequestError as error:
                self.problems += error.problems

    def check_platforms(self) -> None:
        named = [(f"platforms[{i}]", name) for i, name in enumerate(self.project.platforms)]
        for path, name in [*named, *((f"binary.{name}", name) for name in self.project.binary)]:
            try:
                parse_platform(name)
            except RequestError as error:
                problem = error.problems[0]
                self.report(path, problem.message, problem.help)

    def check_words(self, key: str, value: str | tuple[str, ...]) -> None:
        try:
            _words(value)
        except ValueError as error:
            self.report(key, f"`{key}` cannot be split into words: {error}")

    def check_known(self, key: str, names: Iterable[str], known: Mapping[str, Any]) -> None:
        """An extra or group that pyproject.toml does not have is a slip of the pen."""
        if not self.metadata.name:
            return  # a folder of requirements, whose lock knows
        normal = {normalize(name) for name in known}
        for index, name in enumerate(names):
            if normalize(name) not in normal:
                what = f"`{name}` is not one of the project's {key}"
                self.report(f"{key}[{index}]", what, did_you_mean(name, known))

    def check_files(self) -> None:
        for name, path in self.project.binary.items():
            if path.startswith("/") or ".." in path.split("/"):
                advice = "name something in the project's folder"
                self.report(f"binary.{name}", f"`{path}` is outside the project", advice)
        for index, file in enumerate(self.project.files):
            path = f"files[{index}]"
            for key, value in (("source", file.source), ("path", file.path)):
                if not value:
                    self.report(path, f"`{path}` has no `{key}`", f"add `{key}`")
            if file.source.startswith("/") or ".." in file.source.split("/"):
                advice = "name something in the project's folder"
                self.report(f"{path}.source", f"`{file.source}` is outside the project", advice)
            if file.path and not file.path.startswith("/"):
                self.report(f"{path}.path", f"`path` must begin with /: `{file.path}`")
            elif ".." in file.path.split("/") or "\0" in file.path:
                self.report(f"{path}.path", f"a path must not go upwards: `{file.path}`")
