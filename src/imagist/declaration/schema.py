"""The JSON Schema of declarations, for editors; derived from the structs and their texts."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from itertools import pairwise
from typing import Any, Final

import msgspec

from imagist.declaration import model
from imagist.declaration.model import Declaration

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def declaration_schema() -> dict[str, Any]:
    """The schema of `Declaration`, with the description of every field and no unknown keys."""
    schema: dict[str, Any] = msgspec.json.schema(Declaration)
    for name, definition in schema["$defs"].items():
        kind = getattr(model, name)
        texts = field_texts().get(name, {})
        for entry in msgspec.structs.fields(kind):
            part = definition["properties"][entry.encode_name]
            part.pop("default", None)
            part["description"] = texts[entry.name]
    _admit_plain(schema)
    return {"$schema": DIALECT, "title": "imagist declaration", **schema}


def format_schema() -> bytes:
    """The schema as indented JSON with a final newline; the same bytes on every run."""
    return msgspec.json.format(msgspec.json.encode(declaration_schema()), indent=2) + b"\n"


@cache
def field_texts() -> dict[str, dict[str, str]]:
    """The text below each field of each struct: struct name, field name, one line."""
    classes = ast.parse(inspect.getsource(model)).body
    return {node.name: _texts_of(node.body) for node in classes if isinstance(node, ast.ClassDef)}


def _texts_of(body: list[ast.stmt]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for field, text in pairwise(body):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            texts[field.target.id] = " ".join(str(text.value.value).split())
    return texts


def _admit_plain(part: Any) -> None:
    """Let texts that people write without quotes be numbers, too (`model.Text`)."""
    if isinstance(part, list):
        for item in part:
            _admit_plain(item)
    elif isinstance(part, dict):
        if part.pop("$comment", None) == "plain":
            part["type"] = ["string", "number", "boolean"]
        for item in part.values():
            _admit_plain(item)
