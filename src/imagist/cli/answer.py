"""Writing answers to stdout."""

from __future__ import annotations

import sys

import msgspec


def print_json(document: object) -> None:
    """Print one JSON document, indented, with a newline."""
    text = msgspec.json.format(msgspec.json.encode(document, enc_hook=str), indent=2)
    sys.stdout.write(text.decode() + "\n")
