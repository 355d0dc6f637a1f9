"""Who asks: users and passwords of indexes, and the requests that are made with them.

Those of an index hold for whatever else lies on its origin, as pip and uv have it: a lock may name
a file by URL that only the index's user may read. No other origin ever gets them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from msgspec.structs import replace

from imagist.net.transport import NO_HEADERS, Refused, Response, Transport, open_url
from imagist.net.url import is_remote, userinfo_of, without_userinfo

_ADVICE: Final = (
    "give user and password as uv or pip take them: in the index's URL (UV_INDEX, PIP_INDEX_URL, "
    "uv.toml, [[tool.uv.index]], pip.conf), for an index of uv with a name in "
    "UV_INDEX_<NAME>_USERNAME and _PASSWORD, or in a netrc file; those of an index count for its "
    "scheme, host and port"
)


def learn_indexes(transport: Transport, urls: Iterable[str]) -> tuple[str, ...]:
    """Use the users and passwords in URLs of indexes for all that lies on their origins.

    What lies below an index gets its own; what lies beside several, the first one's.

    Returns:
        The URLs without them.

    Raises:
        RequestError: one is not a URL.
    """
    known = tuple(urls)
    private = [url for url in known if is_remote(url) and userinfo_of(url) is not None]
    # What is learnt last of a place holds: first all origins, then the indexes themselves.
    for url in (*map(_root, reversed(private)), *reversed(private)):
        transport.learn(url)
    return tuple(map(without_userinfo, known))


def _root(url: str) -> str:
    """The origin of a URL, with its user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def open_asking(
    transport: Transport, url: str, *, limit: int, headers: Mapping[str, str] = NO_HEADERS
) -> Response:
    """GET a page or file of an index.

    Raises:
        Refused: the server wants to know who asks, or does not like it; with what to do.
        NotFound: there is nothing at that place.
        NetworkError: the server refuses, or cannot be reached.
        Untrusted: the body is larger than the limit.
    """
    try:
        return open_url(transport, url, headers=headers, limit=limit)
    except Refused as error:
        raise type(error)([replace(each, help=_ADVICE) for each in error.problems]) from None
