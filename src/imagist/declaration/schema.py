"""The JSON Schema of declarations, for editors; derived from the structs and their texts."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from itertools import pairwise
from typing import Any, Final

import msgspec

from imagist.declaration import model, project
from imagist.declaration.model import Declaration
from imagist.declaration.project import Project

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def declaration_schema() -> dict[str, Any]:
    """The schema of `Declaration`, with the description of every field and no unknown keys."""
    return _schema_of(Declaration, "imagist declaration")


def project_schema() -> dict[str, Any]:
    """The same of `Project`: of `imagist.yaml`, and of `[tool.imagist]` in a pyproject.toml."""
    return _schema_of(Project, "imagist project")


def _schema_of(kind: type[msgspec.Struct], title: str) -> dict[str, Any]:
    schema: dict[str, Any] = msgspec.json.schema(kind)
    for name, definition in schema["$defs"].items():
        kind = getattr(project if hasattr(project, name) else model, name)
        texts = field_texts().get(name, {})
        for entry in msgspec.structs.fields(kind):
            part = definition["properties"][entry.encode_name]
            part.pop("default", None)
            part["description"] = texts[entry.name]
    _admit_plain(schema)
    return {"$schema": DIALECT, "title": title, **schema}


def format_schema(schema: dict[str, Any] | None = None) -> bytes:
    """A schema as indented JSON with a final newline; the same bytes on every run.

    Args:
        schema: which; that of declarations by default.
    """
    raw = msgspec.json.encode(declaration_schema() if schema is None else schema)
    return msgspec.json.format(raw, indent=2) + b"\n"


@cache
def field_texts() -> dict[str, dict[str, str]]:
    """The text below each field of each struct: struct name, field name, one line."""
    sources = (ast.parse(inspect.getsource(module)) for module in (model, project))
    classes = [node for source in sources for node in source.body]
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
