"""Where in a lock something stands: looked for only when there is something to say about it."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Final

from imagist.errors import Problem, Span
from imagist.text.nodes import Document, Node
from imagist.text.tomlnodes import parse_toml

_STEP: Final = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")


class TomlPlaces:
    """Places of a TOML file by path: `packages[3].wheels[0].url`."""

    def __init__(self, data: bytes, file: str) -> None:
        """Nothing is looked for yet; the text is known to be TOML."""
        self._data = data
        self._file = file

    def __call__(self, path: str) -> Span:
        """The place of a value, or of the innermost part of its path that is there."""
        node = self._document.root
        place = None
        for match in _STEP.finditer(path):
            found = _child(node, match) if node else None
            if found is None:
                break
            place, node = found
        return self._document.span(place) if place else Span(self._file, 1, 1)

    def problem(self, message: str, path: str, advice: str | None = None) -> Problem:
        """What is wrong at a path."""
        return Problem(message, self(path), advice)

    @cached_property
    def _document(self) -> Document:
        return parse_toml(self._data, self._file)


def _child(node: Node, step: re.Match[str]) -> tuple[Node, Node] | None:
    """Where to point, and where to go on: for a key the key is shown, for an item the item."""
    if step[2] is not None:
        number = int(step[2])
        return (node.items[number],) * 2 if number < len(node.items) else None
    return next(((key, value) for key, value in node.pairs if key.text == step[1]), None)
