"""Lists that registries give page by page: tags, referrers, the catalog."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import urljoin

from imagist.errors import NetworkError, Untrusted
from imagist.net.url import is_remote, origin_of, redact
from imagist.registry.scope import Scope
from imagist.registry.session import Session

_MOST_PAGES: Final = 100_000
_LIST: Final = 16 << 20
"""Bytes of one page of a list that are read."""
_LINK: Final = re.compile(r"<([^>]*)>\s*;(?:[^,]*;)?\s*rel=\"?next\"?", re.IGNORECASE)
_OK: Final = frozenset({200})


def read_pages(session: Session, path: str, scopes: Sequence[Scope]) -> Iterator[bytes]:
    """The documents of a list, page by page (`Link` headers with `rel="next"`).

    Raises:
        NetworkError: the registry refuses, or sends in circles.
    """
    for _ in range(_MOST_PAGES):
        with session.expect(_OK, "GET", path, scopes=scopes) as response:
            page = response.read(_LIST + 1)
            links = [
                match[1] for value in response.values("link") for match in _LINK.finditer(value)
            ]
        if len(page) > _LIST:
            raise Untrusted(f"a page of {redact(session.url + path)} is larger than any may be")
        yield page
        if not links:
            return
        base = path if is_remote(path) else session.url + path
        following = urljoin(base, links[0])
        if origin_of(following) != origin_of(session.url) or following == base:
            raise NetworkError(f"{redact(base)}: the next page is said to be {redact(following)}")
        path = following
