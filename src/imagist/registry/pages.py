"""Lists that registries give page by page: tags, referrers, the catalog."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from imagist.errors import NetworkError, Untrusted
from imagist.net.transport import Response
from imagist.net.url import is_remote, origin_of, redact
from imagist.registry.refusal import is_document, no_registry
from imagist.registry.scope import Scope
from imagist.registry.session import Session, join

_MOST_PAGES: Final = 10_000
_LONGEST_LINK: Final = 8192
"""Characters of a `Link` header: looking for its parts takes their square."""
_LIST: Final = 16 << 20
"""Bytes of one page of a list that are read."""
_LINK: Final = r"(?i)<([^>]*)>\s*;(?:[^,]*;)?\s*rel=\"?next\"?"
_OK: Final = frozenset({200})


def read_pages(session: Session, path: str, scopes: Sequence[Scope]) -> Iterator[bytes]:
    """The documents of a list, page by page (`Link` headers with `rel="next"`).

    Raises:
        NotFound: there is no such list.
        NetworkError: the registry refuses, sends in circles, or is none.
    """
    first = session.expect(_OK, "GET", path, scopes=scopes)
    for page in read_on(session, first, path, scopes):
        if not is_document(page):
            raise no_registry(session.registry, path.partition("?")[0])
        yield page


def read_on(
    session: Session, response: Response, path: str, scopes: Sequence[Scope]
) -> Iterator[bytes]:
    """The documents of a list whose first page is being read; see `read_pages`."""
    seen: set[str] = set()
    for _ in range(_MOST_PAGES):
        with response:
            page = response.read(_LIST + 1)
            links = [
                match[1]
                for value in response.values("link")
                for match in re.finditer(_LINK, value[:_LONGEST_LINK])
            ]
        base = path if is_remote(path) else session.url + path
        if len(page) > _LIST:
            raise Untrusted(f"a page of {redact(base)} is larger than any may be")
        yield page
        if not links:
            return
        path = join(base, links[0])
        seen.add(base)
        elsewhere = not is_remote(path) or origin_of(path) != origin_of(session.url)
        if elsewhere or path in seen:
            raise NetworkError(f"{redact(base)}: the next page is said to be {redact(path)}")
        response = session.expect(_OK, "GET", path, scopes=scopes)
    raise NetworkError(f"{session.registry} gives a list without an end")
