"""Nodes of a file that a person wrote, with their places, whatever its syntax."""

from __future__ import annotations

import functools
import re
from typing import Final, Literal

import msgspec

from imagist.errors import Problem, Span

MAX_BYTES: Final = 16 << 20
MAX_DEPTH: Final = 64
LINE_ENDS: Final = {"YAML": "\r\n|[\n\r\x85\u2028\u2029]", "TOML": "\r?\n"}
"""What each syntax (YAML 1.1) counts as the end of a line."""


class Node(msgspec.Struct, eq=False):
    """A scalar, sequence or mapping, where it was written (an alias: where its anchor was)."""

    kind: Literal["scalar", "sequence", "mapping"]
    line: int
    """1-based, as is `column`."""
    column: int
    length: int = 1
    """Characters on its first line."""
    text: str = ""
    """The scalar as written, after unquoting and folding."""
    tag: str = ""
    """The type a tag forces, such as `str` or `int`; quoted scalars are `str`; "": undecided."""
    items: list[Node] = []
    pairs: list[tuple[Node, Node]] = []
    """Keys and values, merged ones last."""
    size: int = 1
    """Nodes below and including this one, with aliases written out."""


class Document:
    """The nodes of a file, and what is wrong with them so far."""

    def __init__(self, file: str, text: str, syntax: Literal["YAML", "TOML"] = "YAML") -> None:
        """Start with the text of a file that is called `file` in messages."""
        self.file = file
        self.text = text
        self.syntax = syntax
        self.root: Node | None = None
        self.problems: list[Problem] = []

    @functools.cached_property
    def lines(self) -> list[str]:
        """The lines of the text, for who is told of a place in it."""
        return re.split(LINE_ENDS[self.syntax], self.text)

    def span(self, node: Node) -> Span:
        """The place of a node with its line."""
        return self.locate(node.line, node.column, node.length)

    def locate(self, line: int, column: int, length: int = 1) -> Span:
        """A place by 1-based line and column."""
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        return Span(self.file, line, column, max(1, length), text)

    def report(self, message: str, node: Node, advice: str | None = None) -> None:
        """Note a problem at a node; one for each place, however many aliases lead to it."""
        where = self.span(node)
        if all(problem.where != where for problem in self.problems):
            self.problems.append(Problem(message, where, advice))
