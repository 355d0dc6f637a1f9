"""Asks token servers for access tokens (distribution's "Token Authentication" and "OAuth2").

A registry names its token server in a challenge, so whoever answers in a registry's place chooses
where credentials go. Hence the guards: encryption is not left, an address in a private network is
asked only on behalf of a registry in one, and credentials never follow a redirection elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlencode, urljoin

import msgspec

from imagist.errors import NetworkError, RequestError
from imagist.net.auth import format_basic
from imagist.net.retry import Manner
from imagist.net.transport import Response, Transport
from imagist.net.url import Userinfo, origin_of, redact, without_userinfo
from imagist.registry.credential import Credential
from imagist.registry.credentialhelper import TOKEN_USER
from imagist.registry.refusal import Refused
from imagist.registry.scope import Scope
from imagist.registry.scopeset import format_scope

CLIENT: Final = "imagist"
LIFETIME: Final = 60.0
"""Seconds that a token lasts if the server does not say."""
_MAX_ANSWER: Final = 1 << 16
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_KEEPING: Final = frozenset({307, 308})
_REDIRECTIONS: Final = 5
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")
_CODE: Final = re.compile(rb'"code"\s*:\s*"([A-Z_]{3,40})"')


class NoToken(Refused):
    """A token server gives no token for these credentials."""


class Grant(msgspec.Struct, frozen=True):
    """An access token, as the server gave it; never shown."""

    token: str
    lifetime: float
    """Seconds from now for which it holds."""
    refresh_token: str = ""
    """Takes the place of the identity token that was used."""

    def __repr__(self) -> str:
        return "Grant(***)"


class Demand(msgspec.Struct, frozen=True):
    """A registry's demand for a token."""

    registry: str
    """The URL of the registry."""
    realm: str
    """The URL of the token server."""
    service: str
    """What the token server calls the registry."""


class _Answer(msgspec.Struct, frozen=True):
    token: str | None = None
    access_token: str | None = None
    expires_in: float | None = None
    refresh_token: str | None = None


def fetch_token(
    transport: Transport, demand: Demand, scopes: Sequence[Scope], credential: Credential
) -> Grant:
    """Get a token for scopes, of which the first is what was demanded last.

    Raises:
        NoToken: the server gives none for this credential.
        NetworkError: it cannot be reached, gives something else, or must not be asked.
    """
    _check(demand.registry, demand.realm)
    if credential.identity_token:
        grant = _post(transport, demand, scopes, credential.identity_token)
        if grant is not None:
            return grant
    return _get(transport, demand, scopes, _userinfo(credential))


def _userinfo(credential: Credential) -> Userinfo | None:
    """What a server that knows only basic authentication is shown."""
    secret = credential.password or credential.identity_token
    if not secret and not credential.user:
        return None
    return Userinfo(credential.user or TOKEN_USER, secret)


def _get(
    transport: Transport, demand: Demand, scopes: Sequence[Scope], userinfo: Userinfo | None
) -> Grant:
    """Ask by GET, with basic authentication where there is a user."""
    query = [("service", demand.service)] if demand.service else []
    query += [("scope", format_scope(scope)) for scope in scopes]
    url = without_userinfo(demand.realm)
    if query:
        url += ("&" if "?" in url else "?") + urlencode(query)
    headers = {"Authorization": format_basic(userinfo)} if userinfo else {}
    status, body = _send(transport, "GET", url, headers, demand)
    return _read(status, body, demand)


def _post(
    transport: Transport, demand: Demand, scopes: Sequence[Scope], identity_token: str
) -> Grant | None:
    """Ask by POST for a refresh token (RFC 6749, section 6); None where that is not known."""
    form = {
        "grant_type": "refresh_token",
        "service": demand.service,
        "client_id": CLIENT,
        "scope": " ".join(map(format_scope, scopes)),
        "refresh_token": identity_token,
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    url = without_userinfo(demand.realm)
    status, body = _send(transport, "POST", url, headers, demand, urlencode(form).encode())
    return None if status in {404, 405} else _read(status, body, demand)


def _send(
    transport: Transport,
    method: str,
    url: str,
    headers: Mapping[str, str],
    demand: Demand,
    body: bytes | None = None,
) -> tuple[int, bytes]:
    """The last answer's status and body, after redirections that are safe to follow."""
    for _ in range(_REDIRECTIONS + 1):
        manner = Manner(follow=False)
        with transport.request(method, url, headers=headers, body=body, manner=manner) as response:
            target = response.headers.get("location", "")
            if response.status not in _REDIRECTS or not target:
                return response.status, _read_all(response, url)
            status = response.status
        new = without_userinfo(_join(url, target))
        _check(demand.registry, new)
        if origin_of(url).scheme == "https" != origin_of(new).scheme:
            raise NetworkError(
                f"the token server {redact(url)} redirects to {redact(new)}, unencrypted"
            )
        if origin_of(new) != origin_of(url):
            headers = {k: v for k, v in headers.items() if k.lower() != "authorization"}
        if body is not None and (status not in _KEEPING or origin_of(new) != origin_of(url)):
            raise NetworkError(
                f"the token server {redact(url)} redirects to {redact(new)}, where an identity "
                "token must not go"
            )
        url = new
    raise NetworkError(f"the token server {redact(demand.realm)} redirects again and again")


def _read_all(response: Response, url: str) -> bytes:
    """A body, which is small."""
    data = b""
    while piece := response.read(_MAX_ANSWER + 1 - len(data)):
        data += piece
        if len(data) > _MAX_ANSWER:
            raise NetworkError(f"the token server {redact(url)} answers with far too much")
    return data


def _read(status: int, body: bytes, demand: Demand) -> Grant:
    server = redact(demand.realm)
    if status != 200:
        code = _CODE.search(body)
        said = f"{status} ({code[1].decode()})" if code else str(status)
        if status in {400, 401, 403}:
            raise NoToken(f"the token server {server} answers {said}")
        raise NetworkError(f"the token server {server} answers {said}", help="try again later")
    try:
        answer = msgspec.json.decode(body, type=_Answer, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NetworkError(f"the token server {server} answers with something else") from None
    token = answer.token or answer.access_token or ""
    if not _VISIBLE.fullmatch(token):
        raise NetworkError(f"the token server {server} answers without a token that can be sent")
    return Grant(token, answer.expires_in or LIFETIME, answer.refresh_token or "")


# Guards


def _join(url: str, target: str) -> str:
    try:
        return urljoin(url, target.strip().replace(" ", "%20"))
    except ValueError:
        raise NetworkError(f"{redact(url)} redirects to something that is no URL") from None


def _check(registry: str, realm: str) -> None:
    """Whether a token server may be asked on behalf of a registry.

    Raises:
        NetworkError: it may not.
    """
    home = origin_of(registry)
    try:
        origin = origin_of(realm)
    except RequestError:
        raise NetworkError(
            f"{home.name} names a token server that has no URL: {redact(realm)}"
        ) from None
    if home.scheme == "https" and origin.scheme != "https":
        raise NetworkError(
            f"{home.name} names the token server {redact(realm)}, which is not encrypted",
            help="credentials go only over https; ask whoever runs the registry",
        )
    if origin.host != home.host and origin.is_inside and not home.is_inside:
        raise NetworkError(
            f"{home.name} names the token server {redact(realm)}, which is in a private network, "
            "while the registry is not",
            help="ask whoever runs the registry",
        )
