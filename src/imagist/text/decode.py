"""From nodes of YAML or TOML to typed, frozen structs, with every error of the file and its place.

The types say what is allowed: `str`, `int` (with bounds), `bool`, `Literal`, `tuple[T, ...]`,
`dict[str, T]`, `msgspec.Struct`, and unions of these; anything else is a mistake in our own code.
TOML tells text from numbers and booleans, so there a value must be what is asked for; of a `str`
whose schema is described otherwise (`model.Text`) any single value will do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final, Generic, TypeVar

import msgspec
import msgspec.inspect as types

from imagist.errors import Span
from imagist.text.nodes import Document, Node
from imagist.text.scalars import NULLS, read_boolean, read_integer
from imagist.text.suggest import did_you_mean, suggest

T = TypeVar("T", bound=msgspec.Struct)

MODES: Final = 0o7777
"""An upper bound that tells that a number is permission bits, which people write in octal."""
_MISSING: Final = object()
"""A value that could not be decoded; its problem is noted."""
_QUOTED: Final = types.StrType()
"""Text that is written as such, where the syntax tells."""


class Place:
    """Where a value was written, and the places of what is in it by key or index."""

    __slots__ = ("_document", "_node", "children")

    def __init__(self, document: Document, node: Node) -> None:
        """The place of a node; its text is looked up when asked for."""
        self._document = document
        self._node = node
        self.children: dict[str | int, Place] = {}

    @property
    def span(self) -> Span:
        """The place as file, line and column."""
        return self._document.span(self._node)

    @property
    def file(self) -> str:
        """The file it was written in."""
        return self._document.file

    def copy(self) -> Place:
        """The same place, whose children can be changed."""
        twin = Place(self._document, self._node)
        twin.children = dict(self.children)
        return twin

    def find(self, path: str) -> Place:
        """The place of `contents.packages[3]`, or of the innermost part that was written."""
        if not path:
            return self
        if path[0] == "[":
            number, _, rest = path[1:].partition("]")
            child = self.children.get(int(number))
            return child.find(rest.removeprefix(".")) if child else self
        # A key may hold a dot, so the longest that fits is meant.
        names = [key for key in self.children if isinstance(key, str) and path.startswith(key)]
        for key in sorted(names, key=len, reverse=True):
            rest = path[len(key) :]
            if not rest or rest[0] in ".[":
                return self.children[key].find(rest.removeprefix("."))
        return self


class Decoded(msgspec.Struct, Generic[T], frozen=True):
    """A value, and where its parts were written (None: the file is empty)."""

    value: T
    place: Place | None


def decode(document: Document, kind: type[T]) -> Decoded[T]:
    """Read a document as a struct whose fields all have defaults.

    Everything wrong is added to `document.problems`; what could be read is in the value all the
    same, so that later checks can find more. An empty document is the empty struct.
    """
    if document.root is None or _is_null(document.root):
        return Decoded(kind(), None)
    decoder = _Decoder(document)
    place = Place(document, document.root)
    value = decoder.decode(document.root, _type_info(kind), "", place)
    return Decoded(kind() if value is _MISSING else value, place)


def _is_null(node: Node) -> bool:
    return node.kind == "scalar" and (node.tag == "null" or (not node.tag and node.text in NULLS))


class _Decoder:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.is_typed = document.syntax == "TOML"

    def decode(self, node: Node, kind: types.Type, path: str, place: Place) -> Any:
        """The value of a node as `kind`; `path` names it in messages ("": the whole document)."""
        takes_any = isinstance(kind, types.Metadata)
        example = _example(kind)
        kind = _plain(kind)
        if isinstance(kind, types.UnionType):
            kind = self.choose(node, kind)
        if self.is_typed and isinstance(kind, types.StrType) and not takes_any:
            kind = _QUOTED
        method = self.methods.get(type(kind))
        if method is None:
            raise TypeError(f"{path}: no way to decode {kind}")
        if example and isinstance(kind, types.DictType) and node.kind == "scalar":
            return self.refuse(node, path, self.mapping, self.write_pair(example, node))
        return method(self, node, kind, path, place)

    def write_pair(self, key: str, node: Node) -> str:
        """The help for a text that stands where a mapping must, whose keys look like this one."""
        text = _shorten(node.text)
        return f'write {{ "{key}" = "{text}" }}' if self.is_typed else f"write {{{key}: {text}}}"

    def choose(self, node: Node, union: types.UnionType) -> types.Type:
        """The member of a union that fits how the node is written, or else the first."""
        members = [_plain(kind) for kind in union.types]
        members = [kind for kind in members if not isinstance(kind, types.NoneType)]
        literals = [kind for kind in members if isinstance(kind, types.LiteralType)]
        if len(literals) > 1:
            merged = types.LiteralType(tuple(v for kind in literals for v in kind.values))
            members = [kind for kind in members if kind not in literals] + [merged]
        return next((kind for kind in members if node.kind == _written_as(kind)), members[0])

    def refuse(self, node: Node, path: str, wanted: str, advice: str | None = None) -> object:
        found = {"scalar": f"`{_shorten(node.text)}`", "sequence": "a list"}.get(
            node.kind, self.mapping
        )
        name = f"`{path}`" if path else "the document"
        self.document.report(f"{name} must be {wanted}, not {found}", node, advice)
        return _MISSING

    @property
    def mapping(self) -> str:
        """What the file's syntax calls keys and values."""
        return "a table" if self.is_typed else "a mapping"

    def decode_text(self, node: Node, kind: types.Type, path: str, _place: Place) -> object:
        if node.kind != "scalar":
            return self.refuse(node, path, "text")
        if kind is _QUOTED and node.tag != "str":
            return self.refuse(node, path, "text", f'write "{_shorten(node.text)}"')
        return "" if _is_null(node) else node.text

    def decode_integer(self, node: Node, kind: types.IntType, path: str, _place: Place) -> object:
        if node.kind != "scalar":
            return self.refuse(node, path, "a whole number")
        value = read_integer(node.text)
        if value is not None and node.tag == "str":
            return self.refuse(node, path, "a whole number", "remove the quotes")
        if value is None or (self.is_typed and node.tag != "int"):
            octal = node.text.startswith("0") and node.text.isdigit()
            advice = "after a leading 0 come the octal digits 0 to 7" if octal else None
            return self.refuse(node, path, "a whole number", advice)
        low, high = kind.ge or 0, kind.le
        if value >= low and (high is None or value <= high):
            return value
        wanted = f"at least {low}" if high is None else f"{low} to {high}"
        if high == MODES:
            wanted = f"at most 0o{MODES:o}"
            decimal = node.text.isdigit() and not node.text.startswith("0")
            advice = f"permissions are octal: write 0o{node.text}" if decimal else None
            return self.refuse(node, path, wanted, advice)
        return self.refuse(node, path, wanted)

    def decode_boolean(self, node: Node, _kind: types.Type, path: str, _place: Place) -> object:
        is_scalar, quoted = node.kind == "scalar", node.tag == "str"
        if self.is_typed and node.tag != "bool":
            meant = read_boolean(node.text) if is_scalar else None
            advice = None if meant is None else f"write {str(meant).lower()}, without quotes"
            return self.refuse(node, path, "true or false", advice)
        value = read_boolean(node.text, quoted=quoted) if is_scalar else None
        return self.refuse(node, path, "true or false") if value is None else value

    def decode_literal(
        self, node: Node, kind: types.LiteralType, path: str, _place: Place
    ) -> object:
        if node.kind == "scalar" and node.text in kind.values:
            return node.text
        known = sorted(str(value) for value in kind.values if value)
        wanted = f"one of {', '.join(known)}" if len(known) > 1 else f"`{known[0]}`"
        guess = suggest(node.text, known)
        return self.refuse(node, path, wanted, f"did you mean `{guess}`?" if guess else None)

    def decode_list(self, node: Node, kind: types.VarTupleType, path: str, place: Place) -> object:
        if node.kind != "sequence":
            single = node.kind == "scalar" and _shorten(node.text)
            if single and self.is_typed and node.tag == "str":
                single = f'"{single}"'
            advice = f"write [{single}]" if single else None
            return self.refuse(node, path, "a list", advice)
        values: list[object] = []
        for index, item in enumerate(node.items):
            name = f"{path}[{index}]"
            if _is_null(item):
                self.document.report(f"`{name}` is empty", item, "remove the entry, or fill it in")
                continue
            inner = place.children[len(values)] = Place(self.document, item)
            value = self.decode(item, kind.item_type, name, inner)
            if value is not _MISSING:
                values.append(value)
        return tuple(values)

    def decode_dict(self, node: Node, kind: types.DictType, path: str, place: Place) -> object:
        if node.kind != "mapping":
            return self.refuse(node, path, self.mapping)
        values: dict[str, object] = {}
        for key, item in node.pairs:
            if _is_null(key):
                self.document.report(f"a key of `{path}` is empty", key, "quote it, or remove it")
                continue
            inner = place.children[key.text] = Place(self.document, item)
            value = self.decode(item, kind.value_type, _join(path, key.text), inner)
            if value is not _MISSING:
                values[key.text] = value
        return values

    def decode_struct(self, node: Node, kind: types.StructType, path: str, place: Place) -> object:
        if node.kind != "mapping":
            return self.refuse(node, path, self.mapping)
        fields = {entry.encode_name: entry for entry in kind.fields}
        values: dict[str, object] = {}
        for key, item in node.pairs:
            entry = fields.get(key.text)
            if entry is None:
                inside = f" in `{path}`" if path else ""
                advice = did_you_mean(key.text, fields, most=len(fields))
                self.document.report(f"unknown key `{key.text}`{inside}", key, advice)
                continue
            if _is_null(item):
                continue  # as in Go: the field keeps its default
            inner = place.children[key.text] = Place(self.document, item)
            value = self.decode(item, entry.type, _join(path, key.text), inner)
            if value is not _MISSING:
                values[entry.name] = value
        return kind.cls(**values)

    methods: Final[dict[type, Callable[..., object]]] = {
        types.StrType: decode_text,
        types.IntType: decode_integer,
        types.BoolType: decode_boolean,
        types.LiteralType: decode_literal,
        types.VarTupleType: decode_list,
        types.DictType: decode_dict,
        types.StructType: decode_struct,
    }


@cache
def _type_info(kind: type) -> types.Type:
    return types.type_info(kind)


def _plain(kind: types.Type) -> types.Type:
    return _plain(kind.type) if isinstance(kind, types.Metadata) else kind


def _example(kind: types.Type) -> str:
    """A key of a mapping whose schema has an example; empty where it has none."""
    schema = kind.extra_json_schema if isinstance(kind, types.Metadata) else None
    examples = (schema or {}).get("examples")
    return next(iter(examples[0])) if examples else ""


def _written_as(kind: types.Type) -> str:
    if isinstance(kind, types.VarTupleType):
        return "sequence"
    return "mapping" if isinstance(kind, types.DictType | types.StructType) else "scalar"


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _shorten(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= 40 and line == text.strip() else line[:37] + "..."
