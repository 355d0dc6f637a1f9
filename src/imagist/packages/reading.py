"""Reading indexes, keys and packages from wherever they are: a path, or a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast

from imagist.digest import Digest, sha256
from imagist.errors import InputError, NetworkError, NotFound, Untrusted
from imagist.net.conditional import CachedGet
from imagist.net.transport import Transport, open_url
from imagist.net.url import is_remote, redact
from imagist.store.memo import Memo

MAX_KEY: Final = 1 << 20
"""Bytes of the largest key file or key set that is read."""


class Document(NamedTuple):
    """A small file, known by its digest before its bytes are needed."""

    digest: Digest
    read: Callable[[], bytes]


class Reader:
    """One way to read small files and packages, local or remote.

    Small files of servers are kept and revalidated (`CachedGet`); packages are streamed, since
    what is kept of them is what was verified.
    """

    def __init__(self, transport: Transport, cached: CachedGet) -> None:
        self._transport = transport
        self._cached = cached

    @property
    def memo(self) -> Memo:
        """Where to remember what was made of documents."""
        return self._cached.store.memo

    @property
    def offline(self) -> bool:
        """Whether nobody is to be asked: what is remembered must do."""
        return self._cached.offline

    def learn(self, location: str) -> str:
        """Use a location's user and password for all below it; return it without them."""
        return self._transport.learn(location)

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

    def find(
        self, url: str, *, limit: int, optional: bool = False, max_age: float | None = None
    ) -> Document | None:
        """A whole small file as `read` gives it, but a server's is not read if nobody needs it."""
        if is_remote(url):
            digest = self._cached.find(url, limit=limit, optional=optional, max_age=max_age)
            if digest is None:
                return None
            known = digest
            return Document(known, lambda: self._cached.store.read(known))
        data = self.read(url, limit=limit, optional=optional)
        return None if data is None else Document(sha256(data), lambda: data)

    def open(self, url: str) -> BinaryIO:
        """Open a package for one pass from its beginning; the caller closes it.

        Raises:
            NotFound: there is no such file.
            NetworkError: the server cannot be reached, or refuses.
        """
        if is_remote(url):
            if self.offline:
                raise NetworkError(
                    f"{redact(url)} is not in the store, and --offline forbids to fetch it",
                    help="build once without --offline",
                )
            return cast("BinaryIO", open_url(self._transport, url))
        try:
            return Path(url).open("rb", buffering=0)
        except FileNotFoundError:
            raise NotFound(f"there is no file {url}") from None
        except OSError as error:
            raise InputError(f"{url} cannot be read: {error.strerror}") from error
