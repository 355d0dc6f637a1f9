"""Slices: named parts of packages, as chisel's releases define them.

A release is a folder with `chisel.yaml` and a file `slices/<package>.yaml` for each package:

    package: NAME
    essential: [OTHER_SLICE]            what all slices of the package need
    slices:
      SLICE:
        essential: [...]
        contents:
          /usr/bin/tool:                what the package has there
          /etc/tool/**: {arch: amd64}   a pattern; on one architecture
          /etc/made: {text: "..."}      and `symlink`, `copy`, `make` with a `mode`
        mutate: |                       see `mutation`
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from imagist.errors import InputError, Problem, RequestError
from imagist.packages.deb.archive import DebFiles
from imagist.packages.globs import Glob
from imagist.rootfs.entry import MODE_BITS, Entry, order, parent
from imagist.text.nodes import Document, Node
from imagist.text.scalars import read_boolean, read_integer
from imagist.text.suggest import did_you_mean
from imagist.text.yamlnodes import parse_yaml

_OPTIONS: Final = frozenset(
    {"make", "mode", "copy", "text", "symlink", "mutable", "until", "arch", "generate", "prefer"}
)
_DEEPEST: Final = 100
"""Slices on the way from one that is asked for to the last that it needs."""
_KEYS: Final = frozenset({"essential", "v3-essential", "contents", "mutate", "hint"})


class Content(msgspec.Struct, frozen=True):
    """A path of a slice, and where it comes from: the package, unless something else is said."""

    path: str
    """A pattern, see `globs`."""
    copy: str = ""
    """The path in the package, where that is another one."""
    text: str | None = None
    symlink: str = ""
    make: bool = False
    """Whether a folder is made."""
    mode: int | None = None
    mutable: bool = False
    """Whether the slice's script may write it."""
    until: str = ""
    """`mutate`: gone when all scripts have run."""
    generate: str = ""
    """chisel's own list of files, which has no meaning here."""

    @property
    def is_made(self) -> bool:
        """Whether it is none of the package's files."""
        return self.text is not None or bool(self.symlink) or self.make


class Slice(msgspec.Struct, frozen=True):
    """A named part of a package."""

    package: str
    name: str
    essential: tuple[str, ...] = ()
    """Full names of the slices that it needs."""
    contents: tuple[Content, ...] = ()
    mutate: str = ""

    def __str__(self) -> str:
        return f"{self.package}_{self.name}"


def parse_slices(data: bytes, file: str, arch: str) -> list[Slice]:
    """Read the file of one package, as far as one architecture is concerned.

    Args:
        data: the file.
        file: its name in errors.
        arch: a Debian architecture.

    Raises:
        RequestError: it is not understood; all of it that is not.
    """
    document = parse_yaml(data, file)
    slices = _Reading(document, arch).read()
    if document.problems:
        raise RequestError(document.problems)
    return slices


def choose_slices(known: Mapping[str, Slice], wanted: Sequence[str]) -> list[Slice]:
    """The slices asked for, and those they need, in the order in which scripts are to run.

    Args:
        known: slices by full name.
        wanted: full names, such as `python3.13_standard`.

    Raises:
        RequestError: a name that is none, or slices that need each other.
    """
    chosen: dict[str, Slice] = {}
    problems: list[Problem] = []
    _visit(known, wanted, "", chosen, (), problems)
    if problems:
        raise RequestError(list(dict.fromkeys(problems)))
    return list(chosen.values())


def _visit(
    known: Mapping[str, Slice],
    names: Iterable[str],
    asker: str,
    chosen: dict[str, Slice],
    path: tuple[str, ...],
    problems: list[Problem],
) -> None:
    for name in names:
        if name in chosen:
            continue
        if len(path) == _DEEPEST:
            problems.append(Problem(f"slices need each other too deeply, as far as {name}"))
            continue
        if name in path:
            chain = " -> ".join([*path[path.index(name) :], name])
            problems.append(Problem(f"slices need each other: {chain}"))
            continue
        found = known.get(name)
        if found is None:
            by = f", which {asker} needs" if asker else ""
            problems.append(
                Problem(f"there is no slice {name}{by}", help=did_you_mean(name, known))
            )
            continue
        _visit(known, found.essential, name, chosen, (*path, name), problems)
        chosen[name] = found


def cut_to_slices(files: DebFiles, slices: Sequence[Slice]) -> DebFiles:
    """A package with nothing but what some of its slices say.

    Raises:
        InputError: a path that the package has not.
    """
    kept: dict[str, Entry] = {}
    problems: list[Problem] = []
    for each in slices:
        for content in each.contents:
            found = list(_entries_of(content, files))
            plain = Glob(content.path).is_plain
            if not found and plain and not content.generate:
                what = content.copy or content.path
                problems.append(
                    Problem(
                        f"{files.package.name} has no {what}, of which the slice {each} speaks",
                        help="the slices may be of another release than the package",
                    )
                )
            for entry in found:
                kept.setdefault(entry.path, entry)
    if problems:
        raise InputError(problems)
    folders = {entry.path: entry for entry in files.entries if entry.is_directory}
    for path in list(kept):
        while path := parent(path):
            kept.setdefault(path, folders.get(path) or Entry(path, "directory", 0o755))
    return files.with_entries(_complete(kept, files))


def _entries_of(content: Content, files: DebFiles) -> Iterator[Entry]:
    path = content.path.strip("/")
    mode = content.mode
    time = files.package.build_time
    if content.text is not None:
        data = content.text.encode()
        yield Entry(path, "file", mode or 0o644, mtime=time, size=len(data), data=data)
    elif content.symlink:
        yield Entry(path, "symlink", 0o777, mtime=time, link=content.symlink)
    elif content.make:
        yield Entry(path, "directory", mode or 0o755, mtime=time)
    elif content.copy:
        source = content.copy.strip("/")
        found = (entry for entry in files.entries if entry.path == source)
        yield from (msgspec.structs.replace(entry, path=path) for entry in found)
    elif not content.generate:
        glob = Glob(content.path)
        yield from (entry for entry in files.entries if glob.matches(entry))


def _complete(kept: dict[str, Entry], files: DebFiles) -> tuple[Entry, ...]:
    """In order, with the content of hardlinks whose files are not there."""
    packed = {entry.path: entry for entry in files.entries}
    result = []
    for path in sorted(kept, key=order):
        entry = kept[path]
        if entry.kind == "hardlink" and entry.link not in kept:
            entry = msgspec.structs.replace(packed[entry.link], path=path)
        result.append(entry)
    links = [entry for entry in result if entry.kind == "hardlink"]
    return (*(entry for entry in result if entry.kind != "hardlink"), *links)


def _find_mistake(path: str) -> str:
    """What speaks against a path: there is one way to write each, and none leads out."""
    if not path.startswith("/"):
        return "does not begin with a slash"
    parts = path[1:].removesuffix("/").split("/")
    return "has empty parts, `.` or `..`" if {"", ".", ".."} & {*parts} else ""


class _Reading:
    """Reads one file; what is wrong is left in the document."""

    def __init__(self, document: Document, arch: str) -> None:
        self._document = document
        self._arch = arch
        self._package = ""

    def read(self) -> list[Slice]:
        root = self._mapping(self._document.root, "a file of slices")
        package = root.get("package")
        self._package = package.text if package else ""
        if not self._package:
            place = self._document.locate(1, 1)
            self._document.problems.append(Problem("no `package` is named", place))
        essential = (
            *self._essential(root.get("essential")),
            *self._essential(root.get("v3-essential")),
        )
        slices = self._mapping(root.get("slices"), "`slices`")
        return [self._slice(name, node, essential) for name, node in slices.items()]

    def _slice(self, name: str, node: Node, essential: tuple[str, ...]) -> Slice:
        fields = self._mapping(node, f"the slice {name}")
        for key in fields.keys() - _KEYS:
            self._refuse(node, f"a slice has no `{key}`")
        own = f"{self._package}_{name}"
        needs = [*essential, *self._essential(fields.get("essential"))]
        needs += self._essential(fields.get("v3-essential"))
        contents = [
            self._content(path, each)
            for path, each in self._mapping(fields.get("contents"), "`contents`").items()
        ]
        script = fields.get("mutate")
        return Slice(
            self._package,
            name,
            tuple(need for need in dict.fromkeys(needs) if need != own),
            tuple(content for content in contents if content is not None),
            script.text if script else "",
        )

    def _essential(self, node: Node | None) -> tuple[str, ...]:
        """A list of names, or from format 3 on a mapping of names to architectures."""
        if node is None or node.kind == "sequence":
            return tuple(item.text for item in (node.items if node else ()))
        found = self._mapping(node, "`essential`")
        return tuple(
            name
            for name, options in found.items()
            if self._is_for(self._mapping(options, "an essential slice").get("arch"))
        )

    def _content(self, path: str, node: Node) -> Content | None:
        options = self._mapping(node, f"the options of {path}")
        for key in options.keys() - _OPTIONS:
            self._refuse(node, f"a path has no option `{key}`")
        if not self._is_for(options.get("arch")):
            return None
        texts = {key: value.text for key, value in options.items()}
        for each in filter(None, (path, texts.get("copy"))):
            if wrong := _find_mistake(each):
                self._refuse(node, f"the path `{each}` {wrong}")
                return None
        if "prefer" in options:
            self._refuse(node, f"`prefer` of {path} is not understood")
        mode = read_integer(texts["mode"]) if "mode" in texts else None
        if "mode" in texts and (mode is None or mode & ~MODE_BITS or mode < 0):
            self._refuse(node, f"`{texts['mode']}` is no mode")
        return Content(
            path,
            texts.get("copy", ""),
            texts.get("text"),
            texts.get("symlink", ""),
            bool(read_boolean(texts.get("make", "false"))),
            mode,
            bool(read_boolean(texts.get("mutable", "false"))),
            texts.get("until", ""),
            texts.get("generate", ""),
        )

    def _is_for(self, node: Node | None) -> bool:
        if node is None:
            return True
        names = [item.text for item in node.items] if node.kind == "sequence" else [node.text]
        return self._arch in names

    def _mapping(self, node: Node | None, what: str) -> dict[str, Node]:
        if node is None or (node.kind == "scalar" and node.text in {"", "null", "~"}):
            return {}
        if node.kind != "mapping":
            self._refuse(node, f"{what} should be a mapping")
            return {}
        return {key.text: value for key, value in node.pairs}

    def _refuse(self, node: Node, why: str) -> None:
        self._document.report(why, node)
