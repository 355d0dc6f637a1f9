"""Which files of a project stay out of an image: an ignore file in the syntax of `.dockerignore`.

Each line is a pattern for paths below the folder, as Docker reads it: `*` and `?` stay within a
name, `**` goes through any number of folders, `!` takes back what an earlier line left out, and
the last line that fits decides. A pattern that fits a folder fits all that lies in it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from imagist.errors import InputError, Problem, Span

FILES: Final = (".imagistignore", ".dockerignore")
"""Names of ignore files; the first that is there holds, alone."""

DEFAULTS: Final = (
    *("**/.git", "**/.hg", "**/.svn", "**/.DS_Store"),
    *("**/__pycache__", "**/*.pyc", "**/*.egg-info"),
    *("**/.venv", "**/.tox", "**/.nox", "**/.env"),
    *("**/.mypy_cache", "**/.ruff_cache", "**/.pytest_cache", "**/.hypothesis", "**/.coverage"),
    *FILES,
)
"""What no image is meant to have; an ignore file may take it back."""


class Pattern(NamedTuple):
    """A line of an ignore file."""

    text: str
    expression: re.Pattern[str]
    is_exception: bool

    def may_fit_below(self, folder: str) -> bool:
        """Whether something in a folder could fit."""
        parts, names = self.text.split("/"), folder.split("/")
        for part, name in zip(parts, names, strict=False):
            if part.startswith("**"):
                return True
            if not _compile(part).fullmatch(name):
                return False
        return len(parts) > len(names)


class Ignore:
    """The patterns for one folder, in order."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self._patterns = tuple(patterns)
        self._exceptions = [pattern for pattern in self._patterns if pattern.is_exception]

    def keeps(self, path: str, is_folder: bool = False) -> bool:
        """Whether a path is wanted; of a folder, whether anything in it may be."""
        if not self.ignores(path):
            return True
        return is_folder and any(each.may_fit_below(path) for each in self._exceptions)

    def ignores(self, path: str) -> bool:
        """Whether a path itself is left out; something in it may be taken back."""
        parts = path.split("/")
        above = ["/".join(parts[:number]) for number in range(1, len(parts) + 1)]
        for pattern in reversed(self._patterns):
            if any(pattern.expression.fullmatch(each) for each in above):
                return not pattern.is_exception
        return False


def read_ignore(folder: Path, more: Iterable[str] = ()) -> Ignore:
    """The patterns for a folder: the defaults, those of its ignore file, and some more.

    Raises:
        InputError: the file cannot be read, or has patterns that mean nothing.
    """
    lines: list[str] = []
    name = ""
    for name in FILES:
        try:
            lines = (folder / name).read_text("utf-8-sig").splitlines()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"`{folder / name}` cannot be read: {error}") from error
        break
    own = parse_patterns(lines, str(folder / name))
    return Ignore([*parse_patterns(DEFAULTS), *own, *parse_patterns(more)])


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
                found.append(Pattern(text, _compile(text), is_exception))
        except (ValueError, re.error) as error:
            where = Span(file, number, 1, len(line), line)
            problems.append(Problem(f"`{line.strip()}` is no pattern: {error}", where))
    if problems:
        raise InputError(problems)
    return found


def _compile(text: str) -> re.Pattern[str]:
    """A pattern as a regular expression for whole paths."""
    parts: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if text.startswith("**/", at - 1):
            parts.append("(?:.*/)?")
            at += 2
        elif text.startswith("**", at - 1):
            parts.append(".*")
            at += 1
        elif char == "*":
            parts.append("[^/]*")
        elif char == "?":
            parts.append("[^/]")
        elif char == "[":
            end = text.find("]", at + 1)
            if end < 0:
                raise ValueError("a `[` has no end")
            inside = text[at:end].replace("\\", r"\\")
            negated = inside.startswith(("^", "!"))
            parts.append(f"[{'^/' if negated else ''}{inside[negated:]}]")
            at = end + 1
        elif char == "\\":
            if at == len(text):
                raise ValueError("nothing follows the last `\\`")
            parts.append(re.escape(text[at]))
            at += 1
        else:
            parts.append(re.escape(char))
    return re.compile("".join(parts), re.DOTALL)
