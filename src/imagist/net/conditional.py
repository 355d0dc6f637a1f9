"""Small documents of servers, kept in the store and asked for again only if they changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import msgspec

from imagist.digest import CHUNK, Digest
from imagist.errors import NetworkError, NotFound, Untrusted
from imagist.net.response import Interrupted
from imagist.net.transport import Forbidden, Response, Transport, open_url
from imagist.net.url import redact, without_userinfo
from imagist.store.memo import memo_key
from imagist.store.store import Store

STEP: Final = "http"
FORMAT: Final = "http/1"
RETRY_AFTER: Final = 600.0
"""Seconds for which an old document is good enough after its server gave no answer."""
_ANSWERS: Final = frozenset({200, 304})
_ATTEMPTS: Final = 3
"""Requests for a body that breaks off and cannot be taken up where it broke."""
_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=str)  # a Digest is a str, but not to msgspec


class Remembered(msgspec.Struct, frozen=True, array_like=True):
    """What is known of a document (RFC 9111)."""

    digest: str
    """Of its bytes; empty where the server had none, or gave no answer."""
    etag: str
    modified: str
    """Last-Modified, as the server wrote it."""
    checked: float
    """When the server was asked last; seconds since 1970."""


class CachedGet:
    """GET with memory: the body is a blob of the store, its validators are in the memo."""

    def __init__(
        self,
        transport: Transport,
        store: Store,
        *,
        offline: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`offline`: ask no server, take what is remembered however old it is."""
        self.offline = offline
        self.store = store
        self.transport = transport
        self._clock = clock

    def get(
        self, url: str, *, limit: int, optional: bool = False, max_age: float | None = None
    ) -> bytes | None:
        """The bytes of a document; see `find`."""
        digest = self.find(url, limit=limit, optional=optional, max_age=max_age)
        return None if digest is None else self.store.read(digest)

    def find(
        self, url: str, *, limit: int, optional: bool = False, max_age: float | None = None
    ) -> Digest | None:
        """The digest of a document, whose bytes are in the store.

        Args:
            url: where it is; who asks, a user in the URL, makes no difference to the memory.
            limit: bytes that it may have.
            optional: give None where there is no such document. With a `max_age`, a server that
                forbids it has none: object stores answer 403 for what they do not hold.
            max_age: seconds for which the last answer is good enough, and within which one that
                cannot be asked for again will do. None: ask each time, and insist on an answer.

        Raises:
            NotFound: there is no such document.
            NetworkError: the server cannot be reached or refuses; or offline, nothing is
                remembered.
            Untrusted: it is larger than the limit.
        """
        key = memo_key(FORMAT, without_userinfo(url))
        known = self._recall(key)
        if not self.offline and not self._is_fresh(known, max_age):
            known = self._ask(url, key, known, limit=limit, max_age=max_age, optional=optional)
        if known is None:
            raise NetworkError(
                f"{redact(url)} is not in the store, and --offline forbids to fetch it",
                help="build once without --offline",
            )
        if known.digest:
            if self.store.size(known.digest) > limit:
                raise Untrusted(f"{redact(url)} has more than {limit} bytes")
            return Digest(known.digest)
        if optional:
            return None
        raise NotFound(f"there is no {redact(url)}")

    def _is_fresh(self, known: Remembered | None, max_age: float | None) -> bool:
        if known is None or max_age is None:
            return False
        # An age below zero is a clock that was set back: better to ask.
        return 0 <= self._clock() - known.checked < max_age

    def _recall(self, key: str) -> Remembered | None:
        value = self.store.memo.get(STEP, key)
        if value is None:
            return None
        try:
            return msgspec.msgpack.decode(value, type=Remembered)
        except msgspec.DecodeError:
            return None

    def _remember(self, key: str, value: Remembered) -> Remembered:
        blobs = [value.digest] if value.digest else []
        self.store.memo.put(STEP, key, _ENCODER.encode(value), blobs)
        return value

    def _ask(
        self,
        url: str,
        key: str,
        known: Remembered | None,
        *,
        limit: int,
        max_age: float | None,
        optional: bool,
    ) -> Remembered:
        """Ask the server; a caller with a `max_age` takes what is known where it has no answer."""
        try:
            value = self._fetch(url, known, limit=limit, hasty=max_age is not None)
        except NotFound:
            value = Remembered("", "", "", self._clock())
        except NetworkError as error:
            if max_age is None:
                raise
            if known is not None and known.digest:
                # The next build soon after this one need not wait for the same server again.
                checked = self._clock() - max(0.0, max_age - RETRY_AFTER)
                value = msgspec.structs.replace(known, checked=checked)
            elif optional and isinstance(error, Forbidden):
                value = Remembered("", "", "", self._clock())
            else:
                raise
        return self._remember(key, value)

    def _fetch(self, url: str, known: Remembered | None, *, limit: int, hasty: bool) -> Remembered:
        """The answer of the server; a body that breaks off for good is asked for anew."""
        headers = _conditions(known)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with open_url(
                    self.transport,
                    url,
                    headers=headers,
                    limit=limit,
                    hasty=hasty,
                    accept=_ANSWERS,
                ) as response:
                    return self._take(url, response, known)
            except Interrupted:
                if hasty or attempt == _ATTEMPTS:
                    raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _take(self, url: str, response: Response, known: Remembered | None) -> Remembered:
        now = self._clock()
        if response.status == 304:
            if known is None or not known.digest:
                raise NetworkError(
                    f"{redact(url)}: the server says it is the same as before, "
                    "but was not asked that"
                )
            return msgspec.structs.replace(known, checked=now)
        with self.store.writer() as writer:
            while chunk := response.read(CHUNK):
                writer.write(chunk)
            digest = writer.commit()
        get = response.headers.get
        return Remembered(digest, get("etag", ""), get("last-modified", ""), now)


def _conditions(known: Remembered | None) -> dict[str, str]:
    """The headers that ask for a body only if it changed (RFC 9110, section 13.1)."""
    if known is None or not known.digest:
        return {}
    if known.etag:
        return {"If-None-Match": known.etag}
    return {"If-Modified-Since": known.modified} if known.modified else {}
