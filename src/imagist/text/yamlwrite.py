"""Writing values as YAML that every reader understands alike."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

from imagist.text.scalars import is_plain_text

Value = str | int | bool | None | Mapping[str, "Value"] | Sequence["Value"]

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./~^+(][^\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]*")
_SPECIAL: Final = re.compile(r": | #|:$|[\s]$|[\[\]{},&*!|>'\"%@`]")
_BLOCK: Final = re.compile(
    r"[^\s\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff#][^\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]*\n"
)
_STEP: Final = "  "


def format_yaml(value: Mapping[str, Value]) -> bytes:
    """A mapping in block style; texts of several lines as literal blocks; same bytes always."""
    return ("\n".join(_format_mapping(value, "")) + "\n").encode() if value else b"{}\n"


def _format_mapping(mapping: Mapping[str, Value], indent: str) -> list[str]:
    lines: list[str] = []
    for key, value in mapping.items():
        head, *rest = _format_value(value, indent + _STEP)
        lines.append(f"{indent}{_format_text(key)}:{' ' if head else ''}{head}")
        lines += rest
    return lines


def _format_sequence(items: Sequence[Value], indent: str) -> list[str]:
    lines: list[str] = []
    for item in items:
        if isinstance(item, Mapping) and item:
            # The first key stands on the dash's own line.
            first, *rest = _format_mapping(item, indent + _STEP)
            lines += [f"{indent}- {first.lstrip(' ')}", *rest]
        else:
            head, *rest = _format_value(item, indent + _STEP)
            lines += [f"{indent}- {head}", *rest]
    return lines


def _format_value(value: Value, indent: str) -> list[str]:
    """The rest of the line a value begins on, and the lines that follow."""
    if value is None:
        return ["null"]
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, int):
        return [str(value)]
    if isinstance(value, str):
        if "\n" in value and _BLOCK.fullmatch(value) and "\n\n" not in value:
            return ["|", *(indent + line for line in value[:-1].split("\n"))]
        return [_format_text(value)]
    if isinstance(value, Mapping):
        return ["", *_format_mapping(value, indent)] if value else ["{}"]
    return ["", *_format_sequence(value, indent)] if value else ["[]"]


def _format_text(text: str) -> str:
    if _PLAIN.fullmatch(text) and not _SPECIAL.search(text) and is_plain_text(text):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return re.sub(r"[\x7f-\x9f\u2028\u2029\ufeff]", _escape, quoted)


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
