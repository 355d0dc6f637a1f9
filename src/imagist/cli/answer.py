"""Writing answers to stdout."""

from __future__ import annotations

import sys

import msgspec


def print_json(document: object) -> None:
    """Print one JSON document, indented, with a newline; in ASCII where stdout takes no more."""
    text = msgspec.json.format(msgspec.json.encode(document, enc_hook=str), indent=2).decode()
    try:
        sys.stdout.write(text + "\n")
    except UnicodeEncodeError:
        import json

        sys.stdout.write(json.dumps(json.loads(text), indent=2) + "\n")


def print_text(text: str) -> None:
    """Print text as it is; what the encoding of stdout cannot say becomes an escape."""
    try:
        sys.stdout.write(text)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))


def print_bytes(data: bytes) -> None:
    """Print bytes as they are, such as a document that has a digest."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
