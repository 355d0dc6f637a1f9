"""`requirements.txt` with hashes, in pip's format, as pip-compile and uv write it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec.structs import replace

from imagist.errors import InputError, NotFound, Problem, RequestError, Span
from imagist.net.url import is_remote
from imagist.packages.wheel.lock.model import (
    File,
    Lock,
    Origin,
    Package,
    Read,
    normalize,
    read_hash,
    unhashed,
)
from imagist.packages.wheel.lock.unhashed import Bare, is_wanted, tell_bare

if TYPE_CHECKING:
    from packaging.requirements import Requirement

MAX_INCLUDES: Final = 32
_COMMENT: Final = re.compile(r"(^|\s+)#.*$")
_VARIABLE: Final = re.compile(r"\$\{([A-Z0-9_]+)\}")
_OPTION: Final = re.compile(r"(--?[a-zA-Z][a-z-]*)(?:[ =]\s*(.*))?$")
_HASH: Final = re.compile(r"\s--hash(?:=|\s+)(\S+)")
_TRAILING: Final = re.compile(r"\s(--[a-z][a-z-]*)")
PINNED: Final = re.compile(r"===?\s*([^\s,*]+)")
"""A specifier that only one version satisfies."""
_EXCERPT: Final = 200
_LONG: Final = {"-i": "--index-url", "-f": "--find-links", "-e": "--editable"}
_INCLUDES: Final = {
    "-r": "--requirement",
    "--requirement": "--requirement",
    "-c": "--constraint",
    "--constraint": "--constraint",
}
_NO_MATTER: Final = frozenset(
    ("--require-hashes", "--prefer-binary", "--only-binary", "--pre", "--trusted-host")
)
"""Hashes are required, wheels preferred and versions pinned in any case; a host is not trusted."""


class _Line(msgspec.Struct, frozen=True):
    """A logical line with its place; `span` is of its first character."""

    text: str
    span: Span


def read_requirements(
    read: Read,
    path: str,
    variables: Mapping[str, str] | None = None,
    environments: Sequence[Mapping[str, str]] = (),
) -> Lock:
    """Read a requirements file and those that it names.

    Args:
        read: gives the bytes of a file.
        path: the file.
        variables: what `${NAME}` stands for; none are known by default.
        environments: for which the lock is wanted, as markers see them; a requirement that is for
            none of them needs no hash. All are wanted where there are none.

    Raises:
        RequestError: a requirement is not pinned, has no hash or is none; all of them at once, and
            those that only lack a hash as one.
        NotFound: the file, or one that it names, is not there.
    """
    reader = _Reader(read, variables or {}, environments)
    reader.read_file(path, None, constraint=False)
    reader.check_constraints()
    if problems := [*tell_bare(reader.bare, reader.count), *reader.problems]:
        raise RequestError(problems)
    spans = reader.spans
    return Lock(
        file=path,
        packages=tuple(reader.packages),
        indexes=tuple(reader.indexes),
        extra_indexes=tuple(reader.extra_indexes),
        find_links=tuple(reader.find_links),
        locate=lambda where: spans.get(where, path),
    )


def read_required(
    read: Read, path: str, variables: Mapping[str, str] | None = None
) -> list[tuple[str, Span]]:
    """What a requirements file asks for, pinned or not, and where; places without a name are not.

    Raises:
        NotFound: the file, or one that it names, is not there.
        RequestError: it cannot be read.
    """
    reader = _Required(read, variables or {})
    reader.read_file(path, None, constraint=False)
    return reader.required


class _Reader:
    def __init__(
        self,
        read: Read,
        variables: Mapping[str, str],
        environments: Sequence[Mapping[str, str]] = (),
    ) -> None:
        self.read = read
        self.variables = variables
        self.environments = environments
        self.packages: list[Package] = []
        self.constraints: list[tuple[str, str, Span]] = []
        self.indexes: list[str] = []
        self.extra_indexes: list[str] = []
        self.find_links: list[str] = []
        self.problems: list[Problem] = []
        self.bare: list[Bare] = []
        self.count = 0
        self.spans: dict[str, Span] = {}
        self.seen: list[tuple[str, bool]] = []

    def report(self, message: str, span: Span, advice: str | None = None) -> None:
        self.problems.append(Problem(message, span, advice))

    def read_file(self, path: str, asked: Span | None, *, constraint: bool) -> None:
        if (path, constraint) in self.seen:
            return
        self.seen.append((path, constraint))
        if len(self.seen) > MAX_INCLUDES:
            raise RequestError(f"{path} is one requirements file too many", where=asked)
        try:
            data = self.read(path)
        except (FileNotFoundError, NotFound):
            raise NotFound(f"there is no {path}", where=asked) from None
        except InputError as error:
            raise error.placed(asked) from None
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise RequestError(f"{path} is not UTF-8", help="save it as UTF-8") from None
        for line in _logical_lines(text, path):
            self.read_line(self.expand(line), path, constraint=constraint)

    def expand(self, line: _Line) -> _Line:
        """Put values for `${NAME}`; messages show the line as it was written."""
        return replace(
            line, text=_VARIABLE.sub(lambda m: self.variables.get(m[1], "") or m[0], line.text)
        )

    def read_line(self, line: _Line, path: str, *, constraint: bool) -> None:
        if line.text.startswith("-"):
            self.read_option(line, path)
        elif constraint:
            self.read_constraint(line)
        else:
            self.read_requirement(line, path)

    def read_option(self, line: _Line, path: str) -> None:
        match = _OPTION.match(line.text)
        name, value = (match[1], (match[2] or "").strip()) if match else (line.text, "")
        name = _LONG.get(name, name)
        if name in _INCLUDES:
            target = value if value.startswith("/") else _beside(path, value)
            self.read_file(target, line.span, constraint=_INCLUDES[name] == "--constraint")
        elif name == "--index-url":
            self.indexes = [value]
        elif name == "--extra-index-url":
            self.extra_indexes.append(value)
        elif name == "--find-links":
            self.find_links.append(value if _is_url(value) else _beside(path, value))
        elif name == "--editable":
            self.read_requirement(replace(line, text=value), path)
        elif name == "--no-binary":
            advice = "wheels are installed as they are; remove the line"
            self.report("`--no-binary` asks for packages to be built", line.span, advice)
        elif name not in _NO_MATTER:
            self.report(f"the option `{name}` means nothing here", line.span, "remove the line")

    def read_constraint(self, line: _Line) -> None:
        name, specifier, _, url = _split(line.text.partition(" --")[0])
        if name and not url:
            self.constraints.append((normalize(name), specifier, line.span))

    def read_requirement(self, line: _Line, path: str) -> None:
        self.count += 1
        hashes = [match[1] for match in _HASH.finditer(line.text)]
        text = _HASH.sub("", line.text).strip()
        if other := _TRAILING.search(text):
            self.report(f"the option `{other[1]}` means nothing here", line.span)
            return
        allowed = frozenset(filter(None, map(read_hash, hashes)))
        name, specifier, marker, url = _split(text)
        where = f"{line.span.file}:{line.span.line}"
        self.spans[where] = line.span
        if url or _is_place(text):
            self.read_direct(line, path, name, url or text.partition(" ;")[0], marker, allowed)
            return
        pinned = PINNED.fullmatch(specifier)
        if not name:
            what, advice = _explain(text)
            self.report(what, line.span, advice)
        elif not hashes:
            self.note_bare(Bare(name, line.span, pinned is not None), marker)
        elif pinned is None:
            advice = f"write {name}==VERSION, or make it with `uv pip compile --generate-hashes`"
            self.report(f"`{name}` is not pinned to a version", line.span, advice)
        elif not allowed:
            self.problems.append(unhashed(f"`{name}`", line.span, hashes))
        else:
            self.packages.append(
                Package(
                    name=normalize(name),
                    version=pinned[1],
                    allowed=allowed,
                    marker=marker,
                    where=where,
                )
            )

    def read_direct(
        self, line: _Line, path: str, name: str, url: str, marker: str, allowed: frozenset[str]
    ) -> None:
        """A requirement that says where it is: an archive, a folder, or version control."""
        url, _, fragment = url.strip().partition("#")
        parts = dict(part.split("=", 1) for part in fragment.split("&") if "=" in part)
        name = name or parts.get("egg", "").partition("[")[0]
        where = f"{line.span.file}:{line.span.line}"
        subdirectory = parts.get("subdirectory", "")
        file_name = unquote(urlsplit(url).path).rpartition("/")[2]
        if not name and file_name.endswith(".whl"):
            name = file_name.partition("-")[0]
        url = url.removeprefix("file://") if url.startswith("file:///") else url
        local = url if _is_url(url) or url.startswith("/") else _beside(path, url)
        package = Package(
            name=normalize(name), marker=marker, subdirectory=subdirectory, where=where
        )

        if re.match(r"(git|hg|svn|bzr)\+", url):
            location, _, revision = (
                url.rpartition("@") if "@" in urlsplit(url).path else (url, "", "")
            )
            package = replace(package, origin=Origin("vcs", location, revision))
        elif not file_name.endswith((".whl", ".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz")):
            package = replace(package, origin=Origin("directory", local))
        else:
            stated = allowed | set(filter(None, [read_hash(f"sha256:{parts.get('sha256', '')}")]))
            if not allowed and "sha256" not in parts:
                self.note_bare(Bare(file_name, line.span, is_pinned=True), marker)
                return
            if len(stated) != 1:
                given = [f"sha256:{parts['sha256']}"] if "sha256" in parts else []
                self.problems.append(unhashed(f"`{file_name}`", line.span, given))
                return
            file = File(file_name, next(iter(stated)), None, local)
            version = file_name.split("-")[1] if file.is_wheel and "-" in file_name else ""
            package = replace(package, files=(file,), version=version)
        self.packages.append(package)

    def note_bare(self, bare: Bare, marker: str) -> None:
        """Take note of what has no hash, unless no environment wants it."""
        if not self.environments or is_wanted(marker, self.environments):
            self.bare.append(bare)

    def check_constraints(self) -> None:
        """A pin that a constraint excludes is a contradiction."""
        from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415

        for name, specifier, span in self.constraints:
            try:
                wanted = SpecifierSet(specifier)
            except InvalidSpecifier:
                self.report(f"`{specifier}` is no version specifier", span)
                continue
            for package in self.packages:
                if package.name == name and package.version not in wanted:
                    self.report(f"the constraint excludes {package}, which is required", span)


class _Required(_Reader):
    """Takes requirements as they stand: what is wrong with them, whoever locks them says."""

    def __init__(self, read: Read, variables: Mapping[str, str]) -> None:
        super().__init__(read, variables)
        self.required: list[tuple[str, Span]] = []

    def read_requirement(self, line: _Line, path: str) -> None:  # noqa: ARG002 - as above
        text = line.text.partition(" --")[0].strip()
        name, _, _, url = _split(text)
        if name and not url:
            self.required.append((text, line.span))


def _logical_lines(text: str, path: str) -> Iterator[_Line]:
    """Lines with continuations joined, without comments; empty ones are left out."""
    pending, first = "", 0
    lines = text.split("\n")
    for number, raw in enumerate(lines, 1):
        line = raw.removesuffix("\r")
        first = first or number
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            pending += line[:-1]
            continue
        joined = _COMMENT.sub("", pending + line)
        if stripped := joined.strip():
            shown = lines[first - 1].removesuffix("\r")
            column = len(shown) - len(shown.lstrip()) + 1
            length = len(shown.strip().removesuffix("\\").rstrip())
            yield _Line(stripped, Span(path, first, column, max(1, length), shown))
        pending, first = "", 0


def parse_requirement(text: str) -> Requirement | None:
    """A requirement (PEP 508); None where it is none."""
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415

    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def _split(text: str) -> tuple[str, str, str, str]:
    """Name, specifier, marker and URL of a requirement; empty where it is none."""
    found = parse_requirement(text)
    if found is None:
        return "", "", "", ""
    return found.name, str(found.specifier), str(found.marker or ""), found.url or ""


def _explain(text: str) -> tuple[str, str]:
    """What is wrong with what is no requirement, and how one looks."""
    before, _, marker = text.partition(";")
    if marker and _split(before)[0]:
        known = "as in `sys_platform == 'linux' and python_version < '3.13'` (PEP 508)"
        return f"`{marker.strip()[:_EXCERPT]}` is no marker that is known", known
    return f"`{text[:_EXCERPT]}` is no requirement", "as in name==1.2.3"


def _is_url(text: str) -> bool:
    return is_remote(text) or text.startswith("file:") or "+" in text.partition("://")[0]


def _is_place(text: str) -> bool:
    """Whether a requirement without a name is a URL or path."""
    return "://" in text or text.startswith((".", "/")) or text.endswith(".whl")


def _beside(path: str, other: str) -> str:
    """A path as the file that names it means it."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), other))
