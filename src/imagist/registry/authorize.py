"""Answers the challenges of registries: which Authorization header goes with a request."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from imagist.errors import NetworkError
from imagist.net.auth import format_basic
from imagist.net.transport import Transport
from imagist.net.url import Userinfo
from imagist.oci.reference import DOCKER_HUB
from imagist.registry.challenge import choose, parse_challenges
from imagist.registry.credential import Credential, CredentialSource
from imagist.registry.keys import normalize
from imagist.registry.refusal import Refused
from imagist.registry.scope import Scope
from imagist.registry.scopeset import covers, merge, parse_scopes, repository_of
from imagist.registry.singleflight import SingleFlight
from imagist.registry.tokenserver import Demand, NoToken, fetch_token

_SLACK: Final = 0.8
"""The part of its lifetime for which a token is used: the rest is for clocks and long requests."""


class Unauthorized(Refused):
    """A registry refuses access with the credentials that were found, or without any."""

    status = 401


class _Token(msgspec.Struct, frozen=True):
    """An access token, and what it is good for."""

    value: str
    scopes: tuple[Scope, ...]
    expires: float
    """By the clock of the authorizer."""

    def __repr__(self) -> str:
        return "_Token(***)"


class _Known:
    """What was learnt of a registry. Changed under the authorizer's lock only."""

    def __init__(self, demand: Demand | None) -> None:
        """Without a demand for tokens, it wants basic authentication."""
        self.demand = demand
        self.tokens: list[_Token] = []


class Authorizer:
    """Finds the header for a request to a registry; safe for many threads.

    A client sends what `header` gives, and after a 401 once more with what `answer` gives. If
    that is refused too, or the answer is 403, `explain` says what to tell a person. A header is
    for the registry that was named, and must not follow a redirection to another host.
    """

    def __init__(
        self,
        transport: Transport,
        keychain: CredentialSource,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is read or asked yet.

        Args:
            transport: asks token servers; it must add no credentials of its own.
            keychain: knows who we are.
            clock: seconds that only go forward.
        """
        self._transport = transport
        self._keychain = keychain
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._refreshed: dict[str, str] = {}
        """Identity tokens that token servers gave in the place of others."""
        self._fetching: SingleFlight[_Token] = SingleFlight()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return "Authorizer(***)"

    def header(self, registry_url: str, scopes: Sequence[Scope]) -> str | None:
        """The header from what is known already; None where none is, or none is needed.

        The registry is not asked; its token server is, once it is known: that saves a refusal,
        and the body that was sent for it.

        Args:
            registry_url: `https://host[:port]`.
            scopes: what the request needs, the repository it goes to first.

        Raises:
            InputError: a file with credentials is damaged, or a helper fails.
        """
        with self._lock:
            known = self._known.get(registry_url)
        if known is None:
            return None
        credential = self._find(registry_url, scopes)
        demand = known.demand
        if demand is None:
            return _basic(credential)
        try:
            return self._bearer(known, demand, merge(scopes), credential, "")
        except NetworkError:  # whether that matters, the registry will say
            return None

    def answer(
        self,
        registry_url: str,
        challenges: Sequence[str],
        scopes: Sequence[Scope],
        *,
        refused: str | None = None,
    ) -> str:
        """The header after an answer 401, which may cost a request to a token server.

        Args:
            registry_url: `https://host[:port]`.
            challenges: the WWW-Authenticate headers.
            scopes: what the request needs, the repository it goes to first.
            refused: the header that the request had; None where it had none.

        Raises:
            Unauthorized: no header that we can make will do.
            NetworkError: the token server cannot be reached, or must not be asked.
            InputError: a file with credentials is damaged, or a helper fails.
        """
        challenge = choose(parse_challenges(challenges))
        if challenge is None:
            ways = ", ".join(c.scheme for c in parse_challenges(challenges)) or "nothing"
            raise Unauthorized(
                f"{name_of(registry_url)} refuses access and offers {ways} to authenticate by, "
                "where imagist knows basic and bearer",
                help="check that this is a registry, and its settings",
            )
        credential = self._find(registry_url, scopes)
        if challenge.scheme == "basic":
            self._learn(registry_url, None)
            header = _basic(credential)
            if header is None or header == refused:
                raise self.explain(registry_url, scopes)
            return header
        parameters = challenge.parameters
        demand = Demand(registry_url, parameters["realm"], parameters.get("service", ""))
        known = self._learn(registry_url, demand)
        wanted = merge((*parse_scopes(parameters.get("scope", "")), *scopes))
        header = self._bearer(known, demand, wanted, credential, refused or "")
        if header == refused:
            raise self.explain(registry_url, scopes)
        return header

    def explain(
        self, registry_url: str, scopes: Sequence[Scope], said: Refused | None = None
    ) -> Unauthorized:
        """The error for an answer 401 or 403 that no other header will change.

        `said`: what the registry, or its token server, says of it.
        """
        registry = name_of(registry_url)
        repository = repository_of(scopes)
        needed = ", ".join(dict.fromkeys(action for scope in scopes for action in scope.actions))
        what = f"{registry}/{repository}" if repository else registry
        origin = self._find(registry_url, scopes).origin
        if origin:
            why = f"the credentials from {origin} do not allow it, or are wrong or expired"
        else:
            why = "no credentials for it were found"
        rights = f" ({needed})" if needed and needed != "*" else ""
        words = f": {said}" if said else ""
        check = ", or check the name: some registries refuse what does not exist"
        error = Unauthorized(
            f"{what}: the registry refuses access{rights}{words}; {why}",
            help=f"run `imagist login {registry}`{check if repository else ''}",
        )
        if said is not None:
            error.status, error.codes = said.status or error.status, said.codes
        return error

    def _learn(self, registry_url: str, demand: Demand | None) -> _Known:
        with self._lock:
            known = self._known.setdefault(registry_url, _Known(demand))
            known.demand = demand
            return known

    def _find(self, registry_url: str, scopes: Sequence[Scope]) -> Credential:
        return self._keychain.find(name_of(registry_url), repository_of(scopes))

    def _bearer(
        self,
        known: _Known,
        demand: Demand,
        wanted: tuple[Scope, ...],
        credential: Credential,
        refused: str,
    ) -> str:
        if credential.registry_token:
            return f"Bearer {credential.registry_token}"

        def fetch() -> _Token:
            # Another thread may have come back with one between our looking and our turn.
            found = self._recall(known, wanted, refused=refused)
            return found or self._fetch(known, demand, wanted, credential)

        token = self._recall(known, wanted, refused=refused)
        if token is None:
            token = self._fetching.do((demand, wanted, credential, refused), fetch)
        return f"Bearer {token.value}"

    def _recall(self, known: _Known, wanted: Sequence[Scope], *, refused: str) -> _Token | None:
        """A token that holds for all that is wanted; what ran out or was refused is forgotten."""
        now = self._clock()
        with self._lock:
            known.tokens = [
                token
                for token in known.tokens
                if token.expires > now and f"Bearer {token.value}" != refused
            ]
            return next((token for token in known.tokens if covers(token.scopes, wanted)), None)

    def _fetch(
        self, known: _Known, demand: Demand, wanted: tuple[Scope, ...], credential: Credential
    ) -> _Token:
        begun = self._clock()
        identity = credential.identity_token
        current = replace(credential, identity_token=self._refreshed.get(identity, identity))
        try:
            grant = fetch_token(self._transport, demand, wanted, current)
        except NoToken as error:
            raise self.explain(demand.registry, wanted, error) from None
        token = _Token(grant.token, wanted, begun + grant.lifetime * _SLACK)
        with self._lock:
            if identity and grant.refresh_token:
                self._refreshed[identity] = grant.refresh_token
            known.tokens.append(token)
        return token


def name_of(registry_url: str) -> str:
    """What people call the registry at a URL."""
    name = registry_url.partition("://")[2].rstrip("/")  # with a port that goes without saying
    return DOCKER_HUB if normalize(name) == DOCKER_HUB else name


def _basic(credential: Credential) -> str | None:
    """Basic authentication, for which an identity token is of no use."""
    if not credential.user:
        return None
    return format_basic(Userinfo(credential.user, credential.password))
