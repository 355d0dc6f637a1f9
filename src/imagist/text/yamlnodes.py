"""YAML as nodes that know their place, with bounds on what aliases and nesting may grow to.

libyaml finds the tokens; everything else is done here: plain scalars stay the text that was
written, duplicate keys are refused, and `<<` merges as YAML 1.1's merge type does (explicit keys
win, then earlier merged mappings). Only this module reads YAML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

import yaml

from imagist.errors import Problem, RequestError, Span
from imagist.text.nodes import LINE_ENDS, MAX_BYTES, MAX_DEPTH, Document, Node

MAX_NODES: Final = 1_000_000
"""Nodes of a document with every alias written out."""

_CORE: Final = "tag:yaml.org,2002:"
_TAGS: Final = frozenset(
    _CORE + name for name in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq")
)


def parse_yaml(data: bytes, file: str) -> Document:
    """The one document of a YAML file. `root` is None where the file holds none.

    Duplicate keys and the like are left in `problems`, so that they can be reported together with
    what decoding finds; only what ends the reading is raised, with the problems before it.

    Raises:
        RequestError: the text is not UTF-8, not YAML, or grows beyond the bounds.
    """
    document = Document(file, _decode_text(data, file))
    try:
        document.root = _Composer(document).compose()
    except yaml.YAMLError as error:
        raise RequestError([*document.problems, _explain(error, document)]) from None
    except RequestError as error:
        raise RequestError([*document.problems, *error.problems]) from None
    return document


def _decode_text(data: bytes, file: str) -> str:
    if len(data) > MAX_BYTES:
        raise RequestError(f"{file} has {len(data)} bytes, and at most {MAX_BYTES} are read")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        raise RequestError(
            "this byte is not UTF-8",
            where=Span(file, line, column),
            help="save the file as UTF-8",
        ) from None


def _explain(error: yaml.YAMLError, document: Document) -> Problem:
    """What libyaml says, with its place and the cause people most often meet."""
    if isinstance(error, yaml.reader.ReaderError):
        before = document.text.encode()[: int(error.position)].decode("utf-8", "replace")
        lines = re.split(LINE_ENDS["YAML"], before)
        where = document.locate(len(lines), len(lines[-1]) + 1)
        return Problem("this character is not allowed in YAML", where, "write it as an escape")
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return Problem(f"not YAML: {error}", document.file)
    mark = error.problem_mark
    where = document.locate(mark.line + 1, mark.column + 1)
    if error.problem == _TOO_DEEP:  # newer ones look ahead, and have a bound of their own
        return Problem(f"nested deeper than {MAX_DEPTH} levels", where)
    context = f"{error.context}: " if error.context else ""
    advice = None
    indent = where.text[: len(where.text) - len(where.text.lstrip())]
    if "\t" in indent or where.text[mark.column : mark.column + 1] == "\t":
        advice = "indent with spaces; YAML does not take tabs"
    elif error.context_mark and error.context_mark.line != mark.line:
        advice = f"what is open there began on line {error.context_mark.line + 1}"
    return Problem(f"not YAML: {context}{error.problem}", where, advice)


_TOO_DEEP: Final = "exceeded maximum nesting depth"
"""libyaml's words."""


class _Composer:
    """Builds nodes from libyaml's events without recursion, so that depth is ours to bound."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.anchors: dict[str, Node] = {}
        self.open: list[Node] = []
        self.keys: list[Node | None] = []
        self.root: Node | None = None

    def compose(self) -> Node | None:
        events: Iterator[yaml.Event] = yaml.parse(self.document.text, Loader=yaml.CSafeLoader)
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
                raise self._refuse(
                    "a second document begins here",
                    event,
                    "a declaration is one document; remove the line `---` or split the file",
                )
            if isinstance(event, yaml.CollectionEndEvent):
                self._close(event)
            elif isinstance(event, yaml.NodeEvent):
                self._take(event)
        return self.root

    def _refuse(self, message: str, event: yaml.Event, advice: str | None = None) -> RequestError:
        where = self.document.locate(*_start(event))
        return RequestError(message, where=where, help=advice)

    def _take(self, event: yaml.NodeEvent) -> None:
        """An alias, a scalar or the start of a collection: put it where it belongs."""
        if isinstance(event, yaml.AliasEvent):
            node = self._find_anchored(event)
        else:
            node = self._make(event)
            if event.anchor:
                self.anchors[event.anchor] = node
        self._place(node, event)
        if isinstance(event, yaml.CollectionStartEvent):
            if len(self.open) >= MAX_DEPTH:
                raise self._refuse(f"nested deeper than {MAX_DEPTH} levels", event)
            self.open.append(node)
            self.keys.append(None)

    def _find_anchored(self, event: yaml.AliasEvent) -> Node:
        node = self.anchors.get(str(event.anchor))
        if node is None:
            raise self._refuse(f"nothing is anchored as `&{event.anchor}` before this", event)
        if any(node is parent for parent in self.open):
            raise self._refuse(f"`*{event.anchor}` contains itself", event)
        return node

    def _make(self, event: yaml.NodeEvent) -> Node:
        """A node for a scalar, or an empty one for the start of a collection."""
        if not isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            raise TypeError(f"an event of unknown kind: {event}")
        line, column = _start(event)
        end = event.end_mark
        length = end.column + 1 - column if end is not None and end.line + 1 == line else 1
        tag = event.tag or ""
        if tag and tag != "!" and tag not in _TAGS:
            raise self._refuse(
                f"the tag `{tag}` has no meaning here", event, "write the value without a tag"
            )
        tag = tag.removeprefix(_CORE)
        if isinstance(event, yaml.ScalarEvent):
            if tag == "!" or (not tag and event.style):
                tag = "str"
            return Node("scalar", line, column, length, event.value, tag)
        kind: Literal["sequence", "mapping"] = (
            "sequence" if isinstance(event, yaml.SequenceStartEvent) else "mapping"
        )
        return Node(kind, line, column)

    def _place(self, node: Node, event: yaml.Event) -> None:
        if not self.open:
            self.root = node
            return
        parent = self.open[-1]
        if parent.kind == "sequence":
            parent.items.append(node)
        elif (key := self.keys[-1]) is None:
            if node.kind != "scalar":
                raise self._refuse("a key must be a plain text, not a list or mapping", event)
            self.keys[-1] = node
        else:
            parent.pairs.append((key, node))
            self.keys[-1] = None

    def _close(self, event: yaml.Event) -> None:
        node = self.open.pop()
        self.keys.pop()
        if node.kind == "mapping":
            node.pairs = self._unify(node)
        node.size += sum(item.size for item in node.items)
        node.size += sum(1 + value.size for _, value in node.pairs)
        if node.size > MAX_NODES:
            raise self._refuse(f"aliases make this larger than {MAX_NODES} nodes", event)

    def _unify(self, mapping: Node) -> list[tuple[Node, Node]]:
        """Refuse duplicate keys; let explicit keys win over merged ones."""
        own: dict[str, tuple[Node, Node]] = {}
        merges: list[Node] = []
        for key, value in mapping.pairs:
            if key.text in own:
                self.document.report(
                    f"the key `{key.text}` is set twice",
                    key,
                    f"it was first set on line {own[key.text][0].line}",
                )
            own.setdefault(key.text, (key, value))
            if key.text == "<<" and key.tag in {"", "merge"}:
                merges += value.items if value.kind == "sequence" else [value]
        if not merges:
            return list(own.values())
        del own["<<"]
        for merged in merges:
            if merged.kind != "mapping":
                self.document.report("`<<` takes a mapping, or a list of mappings", merged)
            for key, value in merged.pairs:
                own.setdefault(key.text, (key, value))
        return list(own.values())


def _start(event: yaml.Event) -> tuple[int, int]:
    """Line and column where an event begins, both counted from 1."""
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
