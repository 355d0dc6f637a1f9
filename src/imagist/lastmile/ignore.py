"""Which files of a project stay out of an image: an ignore file in the syntax of `.dockerignore`.

Each line is a pattern for paths below the folder, as Docker reads it: `*` and `?` stay within a
name, `**` goes through any number of folders, `!` takes back what an earlier line left out, and
the last line that fits decides. A pattern that fits a folder fits all that lies in it. What no
image is meant to have is left out as if lines before the first one said so.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable
from itertools import groupby, pairwise
from pathlib import Path
from typing import Final

import msgspec

from imagist.errors import InputError, Problem, Span

FILES: Final = (".imagistignore", ".dockerignore")
"""Names of ignore files; the first that is there holds, alone."""

NAMES: Final = frozenset(
    (
        *(".git", ".hg", ".svn", ".DS_Store", ".coverage", ".hypothesis"),
        *("__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"),
        *(".venv", ".tox", ".nox", ".env"),
        # Known to hold credentials. `*.pem` is not among them: most are certificates.
        *(".netrc", "_netrc", ".pypirc", "pip.conf", ".npmrc", ".git-credentials"),
        *(".ssh", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", ".gnupg"),
        *(".aws", ".azure", ".kube"),
    )
)
"""What no image is meant to have, wherever it lies; lines of an ignore file may take it back."""
ENDINGS: Final = (".pyc", ".egg-info", "/.docker/config.json")
"""The same by how paths end."""
MARKS: Final = frozenset(("pyvenv.cfg", "oci-layout"))
"""Files in a folder that make it the same: a virtual environment, or an OCI layout."""
_ENDED: Final = tuple(f"{ending}/" for ending in ENDINGS)

_STAR: Final = "[^/]*"
_MEANT: Final = {"**/": "(?:.*/)?", "**": ".*", "*": _STAR, "?": "[^/]"}
_GAPS: Final = frozenset({"(?:.*/)?", ".*", _STAR})
"""What stands for any number of characters."""
_TOKEN: Final = re.compile(r"\*\*/|\*\*|\*|\?|\[.[^\]]*\]|\\.|[^\[\\]", re.DOTALL)
_SETS: Final = r"[\\\[&~|]"
"""What means something in a set of regular expressions, but not in one of patterns."""


class Pattern(msgspec.Struct, frozen=True):
    """A line of an ignore file."""

    text: str
    expression: str
    """The same, as a regular expression for whole paths."""
    is_exception: bool

    def may_fit_below(self, folder: str) -> bool:
        """Whether something in a folder could fit."""
        parts, names = self.text.split("/"), folder.split("/")
        for part, name in zip(parts, names, strict=False):
            if part.startswith("**"):
                return True
            if not re.fullmatch(_translate(part), name, re.DOTALL):
                return False
        return len(parts) > len(names)


class Ignore:
    """The patterns for one folder, in order."""

    def __init__(self, patterns: Iterable[Pattern], *, usual: bool = False) -> None:
        """Take patterns; `usual`: after what no image is meant to have."""
        patterns = tuple(patterns)
        self._is_usual = usual
        self._marked: tuple[str, ...] = ()
        self._exceptions = [pattern for pattern in patterns if pattern.is_exception]
        # Lines of one kind that follow each other are one question, asked of each path once.
        self._runs = [
            (is_exception, _join(pattern.expression for pattern in run))
            for is_exception, run in groupby(patterns, lambda pattern: pattern.is_exception)
        ]

    def keeps(self, path: str, is_folder: bool = False) -> bool:
        """Whether a path is wanted; of a folder, whether anything in it may be."""
        if not self.ignores(path):
            return True
        return is_folder and any(each.may_fit_below(path) for each in self._exceptions)

    def enters(self, folder: str, members: Collection[str]) -> bool:
        """Whether anything in a folder may be wanted, now that it is known what lies in it."""
        if not self._is_usual or MARKS.isdisjoint(members):
            return True
        self._marked = (*self._marked, f"{folder}/")
        return self.keeps(folder, is_folder=True)

    def ignores(self, path: str) -> bool:
        """Whether a path itself is left out; something in it may be taken back."""
        for is_exception, expression in reversed(self._runs):
            if expression.fullmatch(path):
                return not is_exception
        return self._is_usual and self._is_left_out(path)

    def _is_left_out(self, path: str) -> bool:
        """Whether no image is meant to have it. Asked of each path, so without expressions."""
        if not NAMES.isdisjoint(path.split("/")) or path in FILES:
            return True
        whole = f"/{path}/"
        return any(end in whole for end in _ENDED) or whole.startswith(self._marked, 1)


def read_ignore(folder: Path, more: Iterable[str] = ()) -> Ignore:
    """The patterns for a folder: what is usual, those of its ignore file, and some more.

    Raises:
        InputError: the file cannot be read, or has patterns that mean nothing.
    """
    lines: list[str] = []
    name = ""
    for name in FILES:
        try:
            if not (folder / name).exists():
                continue
            if not (folder / name).is_file():  # a pipe would be waited for
                raise InputError(f"`{folder / name}` is no file")
            lines = (folder / name).read_text("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"`{folder / name}` cannot be read: {error}") from error
        break
    own = parse_patterns(lines, str(folder / name))
    return Ignore([*own, *parse_patterns(more)], usual=True)


def parse_patterns(lines: Iterable[str], file: str = "") -> list[Pattern]:
    """Read the lines of an ignore file.

    Raises:
        InputError: some are no patterns; all of them are told.
    """
    found: list[Pattern] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or line.startswith("#"):
            continue
        is_exception = text.startswith("!")
        text = text.removeprefix("!").strip()
        text = posixpath.normpath(text).lstrip("/") if text else ""
        try:
            if not text:
                raise ValueError("nothing follows it")  # noqa: TRY301 - told with the others
            if text != ".":  # the folder itself, which is never left out
                found.append(Pattern(text, _translate(text), is_exception))
        except (ValueError, re.error) as error:
            where = Span(file, number, 1, len(line), line)
            problems.append(Problem(f"`{line.strip()}` is no pattern: {error}", where))
    if problems:
        raise InputError(problems)
    return found


def _join(expressions: Iterable[str]) -> re.Pattern[str]:
    """What fits where one of some expressions fits a path, or a folder above it."""
    return re.compile(f"(?:{'|'.join(expressions)})(?:/.*)?", re.DOTALL)


def _translate(text: str) -> str:
    """A pattern as a regular expression for whole paths.

    A `*` that another one follows takes as little as it can, and stays with that (`(?>...)`): the
    next one takes the rest. So no path is tried in more ways than there are places in it.

    Raises:
        ValueError: it is no pattern.
    """
    tokens = _read_tokens(text)
    gaps = [at for at, token in enumerate(tokens) if token in _GAPS]
    parts = list(tokens)
    for at, following in pairwise(gaps):
        if tokens[at] == tokens[following] == _STAR:
            parts[at] = "(?>[^/]*?"
            parts[following - 1] += ")"
    return "".join(parts)


def _read_tokens(text: str) -> list[str]:
    """The parts of a pattern, each as a regular expression: a gap, or what is one character."""
    tokens: list[str] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(
                "a `[` has no end" if text[at] == "[" else "nothing follows the last `\\`"
            )
        found, at = match[0], match.end()
        token = _MEANT.get(found) or _one_character(found)
        if not (tokens and tokens[-1] == token and token in _GAPS):  # `**/**/` is `**/`
            tokens.append(token)
    return tokens


def _one_character(found: str) -> str:
    if not found.startswith("["):
        return re.escape(found[-1])
    inside = found[1:-1]
    is_negated = inside.startswith(("^", "!"))
    members = re.sub(_SETS, r"\\\g<0>", inside[is_negated:])
    expression = f"(?!/)[^{members}]" if is_negated else f"[{members}]"
    re.compile(expression)
    return expression
