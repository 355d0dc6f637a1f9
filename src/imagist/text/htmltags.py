"""The tags of an HTML page that name other places, in time that grows with the page alone.

The parser of the standard library goes over the rest of a page for whatever is not closed, and
pages come from servers: 40 kB of `<a ` kept it busy for half a minute.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Final

_TAG: Final = re.compile(r"<!--|<([a-zA-Z][^\s/<>]*+)((?:[^<>\"']++|\"[^\"]*\"|'[^']*'){0,128}+)>")
"""Any tag that begins something, since what is quoted in one is none."""
_WANTED: Final = frozenset({"a", "base", "meta"})
_ATTRIBUTE: Final = re.compile(
    r"([^\s=\"'<>/]+)(?:\s*+=\s*+(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'<>]++)))?"
)
_ENDS: Final = {
    "": re.compile("-->"),
    "script": re.compile("</script", re.IGNORECASE),
    "style": re.compile("</style", re.IGNORECASE),
}
"""What ends comments and texts in which nothing is a tag."""

_LONGEST: Final = 1 << 16
"""Characters of attributes that are looked at."""


def read_tags(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Name and attributes of every `a`, `base` and `meta` that is no comment and no script."""
    match = _TAG.search(text)
    while match is not None:
        end: re.Match[str] | None = match
        name = (match[1] or "").lower()
        if name in _ENDS:
            end = _ENDS[name].search(text, match.end())
        elif name in _WANTED:
            yield name, _attributes(match[2][:_LONGEST])
        match = _TAG.search(text, end.end()) if end else None


def _attributes(text: str) -> dict[str, str]:
    """Attributes by name in lower case; of two of one name the first counts."""
    found: dict[str, str] = {}
    for name, *values in _ATTRIBUTE.findall(text):
        found.setdefault(name.lower(), html.unescape("".join(values)))
    return found
