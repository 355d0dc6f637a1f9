"""TOML as nodes that know their place, so that it is decoded and complained about as YAML is.

`tomllib` says what is TOML and what it means, but not where anything stood; so here a text that it
took is gone through once more, knowing that all is well with it. What only wants values takes
`read_toml`, and asks for nodes when there is something to complain about.
"""

from __future__ import annotations

import codecs
import functools
import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final

from imagist.errors import RequestError, Span
from imagist.text.nodes import LINE_ENDS, MAX_BYTES, MAX_DEPTH, Document, Node

_SPACE: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BLANK: Final = re.compile(r"[ \t]*")
_STRING: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|' + r"'''.*?'{3,5}|" + r'"(?:\\.|[^"\\])*"|' + r"'[^']*'",
    re.DOTALL,
)
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_BARE: Final = re.compile(r"[^,\]}#\r\n]+")
_INTEGER: Final = r"[-+]?[0-9_]+|0x[0-9A-Fa-f_]+|0o[0-7_]+|0b[01_]+"
_AT: Final = r" \(at (?:line (\d+), column (\d+)|end of document)\)$"
_KEPT: Final = 4
"""Files that are parsed once: a pyproject.toml is read for the image, for its backend, for uv."""


def read_toml(data: bytes, file: str) -> Mapping[str, Any]:
    """The values of a TOML file, plainly; the same ones to all who ask, and so to be left as is.

    Raises:
        RequestError: it is not UTF-8 or no TOML; told with its place.
    """
    return _load(_decode(data, file), file)


def parse_toml(data: bytes, file: str) -> Document:
    """A TOML file as nodes with places.

    Raises:
        RequestError: it is not UTF-8 or no TOML; told with its place.
    """
    text = _decode(data, file)
    _load(text, file)
    document = Document(file, text, "TOML")
    document.root = _Scanner(document).scan()
    return document


def find_node(document: Document, path: str) -> Node | None:
    """The node of a table or value by dotted keys, such as `tool.imagist`; None where absent."""
    node = document.root
    for key in path.split("."):
        pairs = node.pairs if node is not None else []
        node = next((value for name, value in pairs if name.text == key), None)
    return node


def _decode(data: bytes, file: str) -> str:
    if len(data) > MAX_BYTES:
        raise RequestError(f"{file} has {len(data)} bytes, and at most {MAX_BYTES} are read")
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RequestError(
            "this line is not UTF-8", where=Span(file, line, 1), help="save the file as UTF-8"
        ) from None


@functools.lru_cache(maxsize=_KEPT)
def _load(text: str, file: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _explain(error, text, file) from None


def _explain(error: Exception, text: str, file: str) -> RequestError:
    if isinstance(error, RecursionError):
        return RequestError(f"nested deeper than {MAX_DEPTH} levels", where=file)
    lines = re.split(LINE_ENDS["TOML"], text)
    message = str(error)
    at = re.search(_AT, message)
    line, column = len(lines), len(lines[-1]) + 1
    if at and at[1]:
        line, column = int(at[1]), int(at[2])
    said = message[: at.start()] if at else message
    where = Span(file, line, column, 1, lines[line - 1] if line <= len(lines) else "")
    return RequestError(f"not TOML: {said[:1].lower()}{said[1:]}", where=where)


class _Scanner:
    """Goes through a text of which tomllib has said that it is TOML."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.text = document.text
        self.at = 0
        self._line, self._start = 1, 0
        self._children: dict[int, dict[str, Node]] = {}

    def scan(self) -> Node:
        root = table = self._mapping(0)
        while self._skip(_SPACE) < len(self.text):
            if self.text.startswith("[[", self.at):
                table = self._header(root, 2)
            elif self.text[self.at] == "[":
                table = self._header(root, 1)
            else:
                self._pair(table)
        return root

    def _header(self, root: Node, brackets: int) -> Node:
        """The table that `[a.b]` or `[[a.b]]` opens."""
        self.at += brackets
        keys = self._keys()
        self.at = self.text.index("]" * brackets, self.at) + brackets
        table = self._walk(root, keys[:-1])
        last = keys[-1]
        known = self._children[id(table)].get(last.text)
        if brackets == 1:
            return known or self._put(table, last, self._mapping_at(last))
        if known is None:
            known = self._put(table, last, Node("sequence", last.line, last.column, last.length))
        known.items.append(self._mapping_at(last))
        return known.items[-1]

    def _pair(self, table: Node) -> None:
        keys = self._keys()
        self._skip(_BLANK)
        self.at += 1  # =
        self._skip(_BLANK)
        self._put(self._walk(table, keys[:-1]), keys[-1], self._value())

    def _walk(self, table: Node, keys: list[Node]) -> Node:
        """The table below others; of a list of tables, the last."""
        for key in keys:
            found = self._children[id(table)].get(key.text)
            if found is None:
                found = self._put(table, key, self._mapping_at(key))
            table = found.items[-1] if found.kind == "sequence" else found
        return table

    def _keys(self) -> list[Node]:
        keys: list[Node] = []
        while True:
            self._skip(_BLANK)
            start = self.at
            match = _BARE_KEY.match(self.text, start)
            if match is None:
                match = _STRING.match(self.text, start)
            assert match is not None  # noqa: S101 - tomllib has read it
            self.at = match.end()
            keys.append(self._node("scalar", start, _unquote(match[0]), "str"))
            self._skip(_BLANK)
            if self.text[self.at : self.at + 1] != ".":
                return keys
            self.at += 1

    def _value(self) -> Node:
        start, first = self.at, self.text[self.at]
        if first == "[":
            return self._array(start)
        if first == "{":
            return self._inline(start)
        if first in "\"'":
            match = _STRING.match(self.text, start)
            assert match is not None  # noqa: S101 - tomllib has read it
            self.at = match.end()
            return self._node("scalar", start, _unquote(match[0]), "str")
        match = _BARE.match(self.text, start)
        assert match is not None  # noqa: S101 - tomllib has read it
        word = match[0].rstrip()
        self.at = start + len(word)
        return self._node("scalar", start, word, _tag(word))

    def _array(self, start: int) -> Node:
        items: list[Node] = []
        self.at += 1
        while True:
            self._skip(_SPACE)
            if self.text[self.at] == "]":
                self.at += 1
                node = self._node("sequence", start)
                node.items = items
                return node
            if self.text[self.at] == ",":
                self.at += 1
            else:
                items.append(self._value())

    def _inline(self, start: int) -> Node:
        node = self._mapping(start)
        self.at += 1
        while True:
            self._skip(_SPACE)
            if self.text[self.at] == "}":
                self.at += 1
                return node
            if self.text[self.at] == ",":
                self.at += 1
            else:
                self._pair(node)

    def _put(self, table: Node, key: Node, value: Node) -> Node:
        table.pairs.append((key, value))
        self._children[id(table)][key.text] = value
        return value

    def _mapping(self, start: int) -> Node:
        node = self._node("mapping", start)
        self._children[id(node)] = {}
        return node

    def _mapping_at(self, key: Node) -> Node:
        node = Node("mapping", key.line, key.column, key.length)
        self._children[id(node)] = {}
        return node

    def _node(self, kind: Any, start: int, text: str = "", tag: str = "") -> Node:
        line, column = self._place(start)
        end = self.text.find("\n", start, self.at)
        length = (self.at if end < 0 else end) - start
        return Node(kind, line, column, max(1, length), text, tag, [], [])

    def _place(self, start: int) -> tuple[int, int]:
        """Line and column; places are asked for nearly in order."""
        if start < self._start:
            self._line = self.text.count("\n", 0, start) + 1
            self._start = self.text.rfind("\n", 0, start) + 1
        else:
            self._line += self.text.count("\n", self._start, start)
            self._start = max(self._start, self.text.rfind("\n", self._start, start) + 1)
        return self._line, start - self._start + 1

    def _skip(self, what: re.Pattern[str]) -> int:
        match = what.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at


def _tag(word: str) -> str:
    """The type of a value without quotes; floats and dates are nothing that anybody asks for."""
    if word in {"true", "false"}:
        return "bool"
    return "int" if re.fullmatch(_INTEGER, word) else ""


def _unquote(literal: str) -> str:
    if literal[0] not in "\"'":
        return literal
    if "\\" not in literal and literal[:3] not in {'"""', "'''"}:
        return literal[1:-1]
    return str(tomllib.loads(f"x = {literal}")["x"])
