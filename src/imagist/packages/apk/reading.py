"""Reading indexes, keys and packages from wherever they are: a path, or a server."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final

from imagist.errors import InputError, NotFound, Untrusted
from imagist.net.auth import redact
from imagist.net.conditional import CachedGet
from imagist.net.transport import Transport

MAX_KEY: Final = 1 << 20
"""Bytes of the largest key file or key set that is read."""


class Reader:
    """One way to read small files and packages, local or remote.

    Small files of servers are kept and revalidated (`CachedGet`); packages are streamed, since
    what is kept of them is what was verified.
    """

    def __init__(self, transport: Transport, cached: CachedGet) -> None:
        self._transport = transport
        self._cached = cached

    def read(
        self, url: str, *, limit: int, optional: bool = False, max_age: float | None = None
    ) -> bytes | None:
        """A whole small file.

        Args:
            url: an http(s) address or a path.
            limit: bytes that it may have at most.
            optional: give None where there is no such file, instead of an error.
            max_age: seconds for which a server's answer is not asked for again.

        Raises:
            NotFound: there is no such file.
            Untrusted: it is larger than the limit.
            NetworkError: the server cannot be reached, or refuses.
        """
        if is_remote(url):
            return self._cached.get(url, limit=limit, optional=optional, max_age=max_age)
        try:
            with Path(url).open("rb") as file:
                data = file.read(limit + 1)
        except FileNotFoundError:
            if optional:
                return None
            raise NotFound(f"there is no file {url}") from None
        except OSError as error:
            raise InputError(f"{url} cannot be read: {error.strerror}") from error
        if len(data) > limit:
            raise Untrusted(f"{url} has more than {limit} bytes")
        return data

    def open(self, url: str) -> BinaryIO:
        """Open a package for one pass from its beginning; the caller closes it.

        Raises:
            NotFound: there is no such file.
            NetworkError: the server cannot be reached, or refuses.
        """
        if is_remote(url):
            response = self._transport.get(url)
            if response.status != 200:
                response.close()
                error = NotFound if response.status in {404, 410} else InputError
                raise error(f"{redact(url)} cannot be had: the server answers {response.status}")
            return response.stream()
        try:
            return Path(url).open("rb", buffering=0)
        except FileNotFoundError:
            raise NotFound(f"there is no file {url}") from None
        except OSError as error:
            raise InputError(f"{url} cannot be read: {error.strerror}") from error


def is_remote(url: str) -> bool:
    """Whether a location is an http(s) address rather than a path."""
    return url.startswith(("http://", "https://"))
