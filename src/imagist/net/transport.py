"""Requests over HTTP: pooled, with credentials, proxies, redirections and retries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import Final, Protocol, Self
from urllib.parse import urljoin

from imagist import __version__
from imagist.errors import NetworkError, NotFound, RequestError
from imagist.net.auth import Credentials, format_basic
from imagist.net.body import Body
from imagist.net.connection import Connections, RawAnswer, Unreachable
from imagist.net.environment import Environment
from imagist.net.response import HttpResponse, discard
from imagist.net.retry import HASTY, TRIED_AGAIN, Manner, Patience, Waiter
from imagist.net.url import (
    Origin,
    Userinfo,
    is_remote,
    origin_of,
    redact,
    userinfo_of,
    without_userinfo,
)

USER_AGENT: Final = f"imagist/{__version__}"
MAX_RESPONSE: Final = 8 << 30
"""Bytes of one response, unless the caller says otherwise; apko's limit."""
_REDIRECTIONS: Final = 10
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
USUAL: Final = Manner()
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Response(Protocol):
    """An answer; a context manager, and a binary file of its body."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; of a header that comes more than once the last."""
    url: str
    """Where it came from, fit to be shown."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    def read(self, size: int = -1, /) -> bytes:
        """The next bytes of the body; none at its end."""

    def readinto(self, view: memoryview, /) -> int:
        """Some of the next bytes, as soon as there are any; 0 at the end."""
        ...

    def values(self, name: str) -> list[str]:
        """The values of a header that may come more than once; its name in lower case."""
        ...

    def close(self) -> None:
        """Have done with it, read or not."""


class Transport(Protocol):
    """Whatever makes requests; safe for many threads."""

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
        body: bytes | Body | None = None,
        limit: int | None = None,
        hasty: bool = False,
        manner: Manner = USUAL,
    ) -> Response:
        """Make a request, and give the last answer after redirections and retries.

        Args:
            method: `GET` ...
            url: an http(s) URL; a user and password in it are used, and never shown.
            headers: headers to add.
            body: the body to send; a redirection that keeps the method gets it too.
            limit: bytes that the answer's body may have; the transport's own limit where None.
            hasty: give up soon: it can be done without.
            manner: how it may be repeated, and what to do with refusals.

        Raises:
            NetworkError: no server gave an answer, or only that it cannot answer now.
            RequestError: the URL is none.
            Untrusted: the answer is larger than the limit.
        """
        ...

    def learn(self, location: str) -> str:
        """Use a location's user and password for all below it; return it without them."""
        ...


class HttpTransport:
    """The `Transport` of the real world."""

    def __init__(
        self,
        environment: Environment,
        *,
        verify: bool = True,
        anonymous: bool = False,
        patience: Patience = Patience(),  # noqa: B008 - a value
        waiter: Waiter | None = None,
        limit: int | None = MAX_RESPONSE,
        notice: Callable[[str], object] = lambda _: None,
    ) -> None:
        """Nothing is read or connected yet.

        Args:
            environment: proxies, authorities and credentials.
            verify: whether the certificates of servers are checked.
            anonymous: use no credentials of the environment (netrc, HTTP_AUTH): callers bring
                their own, and nobody else's may go along.
            patience: how long to keep trying.
            waiter: waits between attempts.
            limit: bytes that a body may have; None for any number.
            notice: told, in a sentence, why something is tried again.
        """
        self.credentials = Credentials(Environment() if anonymous else environment)
        self._connections = Connections(environment, verify=verify)
        self._patience = patience
        self._waiter = waiter or Waiter()
        self._limit = limit
        self._notice = notice

    def learn(self, location: str) -> str:
        """See `Transport.learn`."""
        return self.credentials.learn(location)

    def close(self) -> None:
        """Close idle connections."""
        self._connections.close()

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
        body: bytes | Body | None = None,
        limit: int | None = None,
        hasty: bool = False,
        manner: Manner = USUAL,
    ) -> HttpResponse:
        """See `Transport.request`."""
        patience = HASTY if hasty else self._patience

        def reopen(breaks: int, more: Mapping[str, str]) -> RawAnswer:
            if breaks > patience.resumptions or not self._waiter.wait(patience, breaks):
                raise NetworkError(f"gave up after {patience.resumptions} attempts to go on")
            self._notice(f"{redact(url)} broke off; going on where it did")
            return self._follow(method, url, {**headers, **more}, body, patience, manner)[0]

        raw, last = self._follow(method, url, headers, body, patience, manner)
        bound = self._limit if limit is None else limit
        again = reopen if method == "GET" and manner.resume else None
        return HttpResponse(raw, redact(last), limit=bound, reopen=again)

    def _follow(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | Body | None,
        patience: Patience,
        manner: Manner,
    ) -> tuple[RawAnswer, str]:
        """The answer after redirections (RFC 9110, section 15.4), and the URL that gave it."""
        first = url
        for _ in range(_REDIRECTIONS + 1):
            userinfo = self._userinfo(first, url)
            raw = self._persist(
                method, url, self._headers(headers, userinfo), body, patience, manner
            )
            target = raw.headers.get("Location", "")
            if raw.status not in _REDIRECTS or not target or not manner.follow:
                return raw, url
            discard(raw)
            if raw.status == 303 or (raw.status in {301, 302} and method == "POST"):
                method, body = "GET", None
            url = _redirect(url, target)
            if body is not None and origin_of(url).is_inside and not origin_of(first).is_inside:
                raise NetworkError(
                    f"{redact(first)} sends an upload on to {redact(url)}, a private address",
                    help="such an answer can make you attack your own network; ask who runs it",
                )
            if origin_of(url) != origin_of(first):
                headers = {k: v for k, v in headers.items() if k.lower() not in _SECRET}
        raise NetworkError(f"{redact(first)} redirects more than {_REDIRECTIONS} times")

    def _userinfo(self, first: str, url: str) -> Userinfo | None:
        """Credentials for one step: the first URL's own never go to another host."""
        if _is_same_party(origin_of(first), origin_of(url)):
            return userinfo_of(first) or self.credentials.find(without_userinfo(url))
        return self.credentials.find(without_userinfo(url), redirected=True)

    def _headers(self, headers: Mapping[str, str], userinfo: Userinfo | None) -> dict[str, str]:
        # identity: digests are over the file, not over what a server makes of it on the way.
        sent = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        if userinfo is not None:
            sent["Authorization"] = format_basic(userinfo)
        return {**sent, **headers}

    def _persist(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | Body | None,
        patience: Patience,
        manner: Manner,
    ) -> RawAnswer:
        """One step, tried again as long as the server may do better, and patience lasts."""
        repeatable = method in _REPEATABLE if manner.repeat is None else manner.repeat
        attempts = patience.attempts if repeatable else 1
        attempt = 0
        while True:
            attempt += 1
            try:
                raw = self._connections.send(method, url, headers, body, patience)
            except Unreachable as error:
                failure: NetworkError = error
                retry_after = ""
            else:
                if raw.status not in TRIED_AGAIN:
                    return raw
                failure = NetworkError(
                    f"{redact(url)} answers {raw.status} {raw.reason or ''}".rstrip(),
                    help="the server cannot serve this now; try again later",
                )
                retry_after = raw.headers.get("Retry-After", "")
                if attempt >= attempts and manner.any_status:
                    return raw
                discard(raw)
            if attempt >= attempts:
                raise failure
            if not self._waiter.wait(patience, attempt, retry_after):
                raise NetworkError(
                    f"{failure.problems[0].message}, and to come again after {retry_after}",
                    help="try again then",
                )
            self._notice(f"{failure.problems[0].message}; trying again")


_SECRET: Final = frozenset({"authorization", "cookie", "proxy-authorization"})


def _redirect(url: str, target: str) -> str:
    """Where a redirection leads.

    Raises:
        NetworkError: it leads out of HTTP, or out of encryption.
    """
    try:
        new = urljoin(url, target.strip().replace(" ", "%20"))
        downgraded = is_remote(new) and (origin_of(url).scheme, origin_of(new).scheme) == (
            "https",
            "http",
        )
    except (ValueError, RequestError):
        raise NetworkError(f"{redact(url)} redirects to something that is no URL") from None
    if not is_remote(new) or downgraded:
        raise NetworkError(
            f"{redact(url)} redirects to {redact(new)}, which is not encrypted",
            help="name that location itself, if you trust it",
        )
    return without_userinfo(new)


def _is_same_party(first: Origin, other: Origin) -> bool:
    """Whether credentials for one hold for the other: same, or the same host now encrypted."""
    upgraded = (first.scheme, first.port, other.scheme, other.port) == ("http", 80, "https", 443)
    return first == other or (first.host == other.host and upgraded)


class Refused(NetworkError):
    """The server answers 401 or 403: not without credentials, or not with these."""


class Forbidden(Refused):
    """The server answers 403: not with these credentials, or, on object stores, not there."""


def open_url(
    transport: Transport,
    url: str,
    *,
    headers: Mapping[str, str] = NO_HEADERS,
    limit: int | None = None,
    hasty: bool = False,
    accept: frozenset[int] = frozenset({200}),
) -> Response:
    """GET a URL, and take only the answers that are of use.

    Raises:
        NotFound: there is nothing at that place.
        NetworkError: the server refuses, or cannot be reached.
        Untrusted: the body is larger than the limit.
    """
    response = transport.request("GET", url, headers=headers, limit=limit, hasty=hasty)
    if response.status in accept:
        return response
    response.close()
    place = redact(url) if response.url == redact(url) else f"{redact(url)} (at {response.url})"
    if response.status in {404, 410}:
        raise NotFound(f"there is no {place}: the server answers {response.status}")
    refusal = f"the server answers {response.status} for {place}"
    if response.status not in {401, 403}:
        raise NetworkError(refusal)
    help_ = "give credentials in a netrc file, or in HTTP_AUTH=basic:<host>[:<port>]:<user>:"
    raise (Forbidden if response.status == 403 else Refused)(refusal, help=f"{help_}<password>")
