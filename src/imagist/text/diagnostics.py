"""Errors as a person reads them: sentence, place, the line with a caret, and one next step."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, TextIO

from imagist.errors import ImagistError, Problem, Span

WIDTH: Final = 100
"""Characters of a line that are shown; of longer ones, those around the place."""
TAB: Final = "    "

_RED: Final = "\x1b[1;31m"
_BLUE: Final = "\x1b[1;34m"
_CYAN: Final = "\x1b[1;36m"
_BOLD: Final = "\x1b[1m"
_RESET: Final = "\x1b[0m"


def render(error: ImagistError, *, color: bool) -> str:
    """All problems of an error in the form of rustc, with a trailer where there are several.

    ```
    error: unknown key `repository` in `contents`
     --> image.yaml:2:3
      |
    2 |   repository:
      |   ^^^^^^^^^^
    help: did you mean `repositories`?
    ```
    """
    paint = _paint if color else _plain
    parts = [_render_problem(problem, paint) for problem in error.problems]
    if len(parts) > 1:
        parts.append(f"Found {len(parts)} errors.\n")
    return "\n".join(parts)


def _render_problem(problem: Problem, paint: Callable[[str, str], str]) -> str:
    lines = [f"{paint(_RED, 'error')}{paint(_BOLD, ': ' + printable(problem.message))}"]
    where = problem.where
    gutter = ""
    if isinstance(where, Span):
        gutter = " " * len(str(where.line))
        lines.append(f"{gutter}{paint(_BLUE, '-->')} {printable(str(where))}")
        lines += _excerpt(where, gutter, paint)
    elif where:
        lines.append(f" {paint(_BLUE, '-->')} {printable(where)}")
    if problem.help:
        lines.append(f"{paint(_CYAN, 'help')}: {printable(problem.help)}")
    return "\n".join(lines) + "\n"


def _excerpt(span: Span, gutter: str, paint: Callable[[str, str], str]) -> list[str]:
    """The line with a caret below the place; nothing where the line is not known."""
    if not span.text.strip():
        return []
    start = span.column - 1
    end = min(start + max(1, span.length), max(len(span.text), start + 1))
    first = max(0, min(start - WIDTH // 2, len(span.text) - WIDTH))
    shown, lead = span.text[first : first + WIDTH], span.text[first:start]
    before = "..." if first else ""
    after = "..." if first + WIDTH < len(span.text) else ""
    marked = span.text[start : min(end, first + WIDTH)]
    caret = " " * (len(before) + columns(lead)) + paint(_RED, "^" * max(1, columns(marked)))
    bar = paint(_BLUE, "|")
    number = paint(_BLUE, str(span.line))
    return [
        f"{gutter} {bar}",
        f"{number} {bar} {before}{printable(shown)}{after}".rstrip(),
        f"{gutter} {bar} {caret}",
    ]


def printable(text: str) -> str:
    """Text that cannot steer a terminal: tabs become spaces, control characters show as one."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_show, text))


def _show(character: str) -> str:
    if character == "\t":
        return TAB
    return character if character.isprintable() or character == "\n" else "\ufffd"


def columns(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii() and text.isprintable():
        return len(text)
    import unicodedata  # noqa: PLC0415 - most text is ASCII

    def column(character: str) -> int:
        if character == "\t":
            return len(TAB)
        if unicodedata.combining(character):
            return 0
        return 2 if unicodedata.east_asian_width(character) in "WF" else 1

    return sum(map(column, text))


def _paint(style: str, text: str) -> str:
    return f"{style}{text}{_RESET}"


def _plain(_style: str, text: str) -> str:
    return text


def is_colored(stream: TextIO, when: str) -> bool:
    """Whether to colour what goes to a stream: by flag, NO_COLOR, and whether it is a terminal."""
    if when != "auto":
        return when == "always"
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
