"""Patterns of paths, in the dialect of chisel.

?    one character, and no slash
*    any characters, and no slash
**   any characters
/    at the end: a folder
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from imagist.errors import RequestError
from imagist.rootfs.entry import Entry

_WILD: Final = re.compile(r"(\*\*|\*|\?)")
_MEANING: Final = {"**": ".*", "*": "[^/]*", "?": "[^/]"}


class Glob:
    """A pattern, ready to be compared with entries."""

    def __init__(self, text: str) -> None:
        """Take a pattern.

        Raises:
            RequestError: it does not begin at the root.
        """
        if not text.startswith("/") or "\0" in text:
            raise RequestError(
                f"the pattern `{text}` does not begin with a slash",
                help="patterns are of whole paths, such as `/usr/share/doc/**`",
            )
        self.text = text
        self.is_plain = not _WILD.search(text)
        """Whether it names one path."""
        self._match = re.compile(translate(text), re.DOTALL).fullmatch

    def matches(self, entry: Entry) -> bool:
        """Whether it means an entry; a folder may be written with its slash or without."""
        path = f"/{entry.path}"
        if entry.is_directory:
            return bool(self._match(path + "/") or self._match(path))
        return bool(self._match(path))

    def __repr__(self) -> str:
        return f"Glob({self.text!r})"


@lru_cache(maxsize=1024)
def translate(pattern: str) -> str:
    """A pattern as a regular expression."""
    parts = _WILD.split(pattern)
    return "".join(_MEANING.get(part) or re.escape(part) for part in parts)
