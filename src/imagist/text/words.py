"""Small languages inside declarations: command lines and durations."""

from __future__ import annotations

import re
from typing import Final

_PIECE: Final = re.compile(
    r"""
    (?P<space>[ \t\r\n]+)
  | (?P<comment>\#[^\n]*)              # only where a word could begin
  | '(?P<single>[^']*)'
  | "(?P<double>(?:\\.|[^"\\])*)"
  | \\(?P<escaped>.)
  | (?P<plain>[^ \t\r\n'"\\]+)
    """,
    re.VERBOSE | re.DOTALL,
)
_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")


def split_words(text: str) -> list[str]:
    r"""Split a command line into words, as apko does.

    Quotes and backslashes work as in a shell, but that a backslash inside double quotes always
    takes itself away; nothing is expanded; `#` where a word could begin starts a comment.

    >>> split_words(r'nginx -g "daemon off;" it\'s # now')
    ['nginx', '-g', 'daemon off;', "it's"]

    Raises:
        ValueError: a quote is not closed, or the text ends in a backslash.
    """
    words: list[str] = []
    word: str | None = None
    position = 0
    while position < len(text):
        # A `#` inside a word is an ordinary character, which the pattern cannot know.
        inside = word is not None and text[position] == "#"
        match = None if inside else _PIECE.match(text, position)
        if inside:
            word = f"{word}#"
            position += 1
            continue
        if match is None:
            raise ValueError(
                "it ends in a backslash" if text[position] == "\\" else "a quote is not closed"
            )
        position = match.end()
        if match.lastgroup == "space":
            if word is not None:
                words.append(word)
            word = None
        elif match.lastgroup == "double":
            word = (word or "") + re.sub(r"\\(.)", r"\1", match["double"], flags=re.DOTALL)
        elif match.lastgroup != "comment":
            word = (word or "") + match[str(match.lastgroup)]
    return words if word is None else [*words, word]


def parse_duration(text: str) -> int:
    """Nanoseconds of a duration in Go's notation.

    >>> parse_duration("1m30s")
    90000000000

    Raises:
        ValueError: the text is not a duration.
    """
    if text in {"0", ""}:
        return 0
    total = 0
    position = 0
    while position < len(text):
        match = _DURATION.match(text, position)
        if match is None:
            raise ValueError(f"`{text}` is not a duration such as `30s` or `1m30s`")
        whole, _, part = match[1].partition(".")
        unit = _UNITS[match[2]]
        total += int(whole or "0") * unit + int(part or "0") * unit // 10 ** len(part)
        position = match.end()
    return total
