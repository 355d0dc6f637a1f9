"""Words for names and versions, alike in the errors of all package formats."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

_MOST_VERSIONS: Final = 4


def find_close(name: str, known: Iterable[str]) -> list[str]:
    """Up to three of the known names that differ from this one by little."""
    # Comparing is slow, so first what cannot be close enough is left out: by length and beginning.
    short = [
        other
        for other in known
        if abs(len(other) - len(name)) <= 3 and (other[:1] == name[:1] or other[1:2] == name[1:2])
    ]
    return difflib.get_close_matches(name, short, n=3, cutoff=0.7)


def shorten(texts: list[str]) -> str:
    """Some texts as words: `a`, `a and b`, `a, b and c`, `a to k (9 of them)`."""
    if len(texts) > _MOST_VERSIONS:
        return f"{texts[0]} to {texts[-1]} ({len(texts)} of them)"
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
