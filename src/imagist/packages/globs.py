"""Patterns of paths, in the dialect of chisel.

?    one character, and no slash
*    any characters, and no slash
**   any characters
/    at the end: a folder
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from imagist.errors import RequestError
from imagist.rootfs.entry import Entry

_WILD: Final = re.compile(r"[*?]")


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
    """A pattern as a regular expression, for a full match.

    What stands between two wildcards is looked for once, where it comes first: a later place would
    do no better, and to try them all takes time without end. Only `**` may have to try further
    places, since what follows it may hold a `*`, which ends at the next slash.
    """
    first, *rest = [part.split("*") for part in pattern.split("**")]
    if not rest:
        return _translate_part(first, is_last=True)
    *middle, last = rest
    found = [f"(?>.*?{_translate_part(part)})" for part in middle]
    return "".join([_translate_part(first), *found, f".*{_translate_part(last, is_last=True)}"])


def _translate_part(texts: Sequence[str], *, is_last: bool = False) -> str:
    """Texts with a `*` between them, which reach to the end of the path if they are the last."""
    first, *rest = [re.escape(text).replace(r"\?", "[^/]") for text in texts]
    if not rest:
        return first
    found = [f"(?>[^/]*?{text})" for text in rest]
    if is_last:
        found[-1] = f"[^/]*{rest[-1]}"
    return "".join([first, *found])
