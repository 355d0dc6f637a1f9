"""What a request will do and to what: what tokens are asked for (distribution's token scopes)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from imagist.registry.refusal import Refused


class Scope(msgspec.Struct, frozen=True):
    """A resource and what is to be done with it."""

    resource: str
    """Such as `repository:team/app` or `registry:catalog`."""
    actions: tuple[str, ...]
    """Such as `("pull", "push")`."""


class Authorization(Protocol):
    """Whoever knows the `Authorization` header for requests; safe for many threads."""

    def header(self, registry_url: str, scopes: Sequence[Scope]) -> str | None:
        """The header from what is known already, without a request; None for an anonymous one."""
        ...

    def answer(
        self,
        registry_url: str,
        challenges: Sequence[str],
        scopes: Sequence[Scope],
        *,
        refused: str | None = None,
    ) -> str | None:
        """The header after a 401, by its `WWW-Authenticate` headers; None where there is none.

        `refused` is the header that the request had.

        Raises:
            NetworkError: the registry wants credentials that are not known, or refuses them.
        """
        ...

    def explain(
        self, registry_url: str, scopes: Sequence[Scope], said: Refused | None = None
    ) -> Refused:
        """What to tell a person where no header will do; `said`: what the registry says."""
        ...


class Anonymous:
    """The `Authorization` of nobody."""

    def header(self, registry_url: str, scopes: Sequence[Scope]) -> str | None:
        """None."""

    def answer(
        self,
        registry_url: str,
        challenges: Sequence[str],
        scopes: Sequence[Scope],
        *,
        refused: str | None = None,
    ) -> str | None:
        """None: the refusal stands."""

    def explain(
        self, registry_url: str, scopes: Sequence[Scope], said: Refused | None = None
    ) -> Refused:
        """What the registry says."""
        return said or Refused(f"{registry_url} refuses access to {len(scopes)} resources")


class OnDemand:
    """An `Authorization` that is made when a registry asks who we are: many never do."""

    def __init__(self, make: Callable[[], Authorization]) -> None:
        """`make` gives the one that knows."""
        self._make = make
        self._made: Authorization | None = None
        self._lock = threading.Lock()

    def header(self, registry_url: str, scopes: Sequence[Scope]) -> str | None:
        """See `Authorization.header`; before anybody asked, nothing is known."""
        return None if self._made is None else self._made.header(registry_url, scopes)

    def answer(
        self,
        registry_url: str,
        challenges: Sequence[str],
        scopes: Sequence[Scope],
        *,
        refused: str | None = None,
    ) -> str | None:
        """See `Authorization.answer`."""
        return self._load().answer(registry_url, challenges, scopes, refused=refused)

    def explain(
        self, registry_url: str, scopes: Sequence[Scope], said: Refused | None = None
    ) -> Refused:
        """See `Authorization.explain`."""
        return self._load().explain(registry_url, scopes, said)

    def _load(self) -> Authorization:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made
