"""Loading a declaration with what it includes, without losing where each value was written.

Reading files is the caller's; this only says which, in which order.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from imagist.declaration.model import Accounts, Contents, Declaration
from imagist.declaration.sourcefile import Read, SourceFile
from imagist.errors import NotFound, Problem, RequestError, Span
from imagist.text.decode import Place, decode

MAX_INCLUDES: Final = 16
_FIELDWISE: Final = (Declaration, Contents, Accounts)
"""Structs that merge field by field; every other one is taken whole."""
_REPLACED: Final = frozenset({"archs"})
"""Lists of the included declaration that count only where the including one has none."""
_OWN: Final = frozenset({"include"})
"""Fields that are not inherited."""
_REPOSITORIES: Final = ("repositories", "build_repositories", "runtime_repositories")


class LoadedDeclaration(msgspec.Struct, frozen=True):
    """A declaration with everything it includes, checked, and where it comes from."""

    declaration: Declaration
    files: tuple[SourceFile, ...]
    """The files in the order read, the main one first; checksums are over their bytes."""
    place: Place | None

    def span_of(self, path: str) -> Span | None:
        """Where `contents.packages[3]` was written, or the innermost part of it that was.

        None where the declaration is empty.
        """
        return self.place.find(path).span if self.place else None


class _Part(msgspec.Struct, frozen=True):
    """A declaration, or a value in one, with its place."""

    value: Any
    place: Place | None


def load_declaration(
    read: Read, path: str, include_paths: Sequence[str] = ()
) -> LoadedDeclaration:
    """Read a declaration and what it includes; merge, check, and keep the places.

    An included path is looked for as it is written (as apko does), then under each of
    `include_paths`, then beside the file that names it. Where both have a value:

    - scalars, `entrypoint`, `layering`, `certificates`, `healthcheck`, `baseimage` and `archs`:
      the including declaration's, unless it has none;
    - `environment`, `annotations`, `labels` and other mappings: key by key, likewise;
    - all other lists: the included one's entries, then the including one's.

    `vcs-url` is a scalar like others here; apko forgets that of an included file.

    Raises:
        RequestError: anything about the declarations is wrong; all of it at once.
        NotFound: a file is not there.
    """
    loader = _Loader(read, include_paths)
    part = loader.load(path, None)
    if loader.problems:
        raise RequestError(loader.problems)
    declaration = _trim_repositories(part.value)
    loaded = LoadedDeclaration(declaration, tuple(loader.files), part.place)
    from imagist.declaration.validate import check_declaration  # noqa: PLC0415 - as above

    check_declaration(declaration, loaded.span_of)
    return loaded


class _Loader:
    def __init__(self, read: Read, include_paths: Sequence[str]) -> None:
        self.read = read
        self.include_paths = include_paths
        self.files: list[SourceFile] = []
        self.problems: list[Problem] = []
        self.chain: list[str] = []

    def load(self, path: str, asked: Span | None) -> _Part:
        """The declaration in a file, merged over what it includes."""
        found, data = self.find(path, asked)
        self.refuse_cycle(found, asked)
        self.files.append(SourceFile(found, data))
        try:
            from imagist.text.yamlnodes import parse_yaml  # noqa: PLC0415 - most builds recall

            document = parse_yaml(data, found)
        except RequestError as error:
            raise RequestError([*self.problems, *error.problems]) from None
        if document.root is None:
            empty = Problem(f"the declaration {found} is empty", asked, "write at least `{}`")
            raise RequestError([*self.problems, empty])
        decoded = decode(document, Declaration)
        self.problems += sorted(document.problems, key=_by_place)
        own = _Part(_anchor_sources(decoded.value, found), decoded.place)
        if not decoded.value.include:
            return own
        assert decoded.place is not None  # noqa: S101  an include was written somewhere
        self.chain.append(posixpath.normpath(found))
        included = self.load(decoded.value.include, decoded.place.find("include").span)
        self.chain.pop()
        return _merge_structs(included, own)

    def find(self, path: str, asked: Span | None) -> tuple[str, bytes]:
        """The path under which a file is found, and its bytes."""
        tries = [path]
        if asked is not None:
            tries += [posixpath.join(folder, path) for folder in self.include_paths]
            tries.append(posixpath.join(posixpath.dirname(asked.file), path))
        tries = list(dict.fromkeys(tries))
        for candidate in tries:
            try:
                return candidate, self.read(candidate)
            except (NotFound, FileNotFoundError):
                continue
        if asked is None:
            raise NotFound(
                f"there is no declaration {path}",
                help="name an image's YAML file, or the folder of a project",
            )
        looked = "looked for " + ", ".join(tries)
        problem = Problem(f"the included file {path} is not there", asked, looked)
        raise NotFound([*self.problems, problem])

    def refuse_cycle(self, found: str, asked: Span | None) -> None:
        chain = [*self.chain, posixpath.normpath(found)]
        if chain[-1] in self.chain:
            way = " -> ".join(chain[chain.index(chain[-1]) :])
            problem = Problem(f"{found} includes itself: {way}", asked, "remove this `include`")
            raise RequestError([*self.problems, problem])
        if len(chain) > MAX_INCLUDES:
            raise RequestError(f"more than {MAX_INCLUDES} files include each other", where=asked)


def _by_place(problem: Problem) -> tuple[int, int]:
    where = problem.where
    return (where.line, where.column) if isinstance(where, Span) else (0, 0)


def _anchor_sources(declaration: Declaration, file: str) -> Declaration:
    """Make the sources of `files` relative to where the declaration was found from."""
    folder = posixpath.dirname(file)
    if not folder or not any(entry.source for entry in declaration.files):
        return declaration
    files = tuple(
        replace(entry, source=posixpath.join(folder, entry.source)) if entry.source else entry
        for entry in declaration.files
    )
    return replace(declaration, files=files)


def _trim_repositories(declaration: Declaration) -> Declaration:
    contents = declaration.contents
    trimmed = {
        name: tuple(_trim(line) for line in getattr(contents, name)) for name in _REPOSITORIES
    }
    return replace(declaration, contents=replace(contents, **trimmed))


def _trim(line: str) -> str:
    """A location without `/` at its end; of a Debian source that is the name of a suite."""
    from imagist.packages.deb.sources import is_source  # noqa: PLC0415 - as above

    return line if is_source(line) else line.rstrip("/")


def _merge_structs(low: _Part, high: _Part) -> _Part:
    """`high` over `low`, two structs of one type, by the kinds of their fields."""
    kind = type(high.value)
    blank = kind()
    place = high.place.copy() if high.place else None
    if place is None and low.place is not None:
        place = low.place.copy()
        place.children.clear()
    values = {}
    for entry in msgspec.structs.fields(kind):
        key = entry.encode_name
        parts = (_part(low, entry.name, key), _part(high, entry.name, key))
        merged = parts[1] if key in _OWN else _merge(key, *parts, getattr(blank, entry.name))
        values[entry.name] = merged.value
        if place is not None and merged.place is not None:
            place.children[key] = merged.place
    return _Part(kind(**values), place)


def _part(struct: _Part, name: str, key: str) -> _Part:
    place = struct.place.children.get(key) if struct.place else None
    return _Part(getattr(struct.value, name), place)


def _merge(key: str, low: _Part, high: _Part, absent: object) -> _Part:
    if isinstance(high.value, _FIELDWISE):
        return _merge_structs(low, high)
    if high.value == absent:
        return low
    if low.value == absent or key in _REPLACED:
        return high
    if isinstance(high.value, tuple):
        return _merge_lists(low, high)
    if isinstance(high.value, dict):
        return _merge_dicts(low, high)
    return high


def _merge_lists(low: _Part, high: _Part) -> _Part:
    if low.place is None or high.place is None:
        return _Part(low.value + high.value, high.place or low.place)
    place = high.place.copy()
    place.children = dict(low.place.children)
    for index, child in high.place.children.items():
        place.children[len(low.value) + int(index)] = child
    return _Part(low.value + high.value, place)


def _merge_dicts(low: _Part, high: _Part) -> _Part:
    values = {**low.value, **high.value}
    place = high.place.copy() if high.place else None
    for key, value in low.value.items():
        child = low.place.children.get(key) if low.place else None
        if key not in high.value:
            if place is not None and child is not None:
                place.children[key] = child
        elif isinstance(value, tuple):
            own = high.place.children.get(key) if high.place else None
            merged = _merge_lists(_Part(value, child), _Part(high.value[key], own))
            values[key] = merged.value
            if place is not None and merged.place is not None:
                place.children[key] = merged.place
    return _Part(values, place)
