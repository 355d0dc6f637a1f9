"""What vouches for a user to a registry. None of it is ever shown."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Credential(msgspec.Struct, frozen=True):
    """Who asks; empty where nobody in particular does."""

    user: str = ""
    password: str = ""
    identity_token: str = ""
    """A refresh token (RFC 6749, section 1.5): the token server gives access tokens for it."""
    registry_token: str = ""
    """An access token that somebody has fetched already."""
    origin: str = ""
    """Where it was found, for people: a file, a helper or a variable."""

    def __repr__(self) -> str:
        return "Credential(***)"

    __str__ = __repr__

    @property
    def is_anonymous(self) -> bool:
        """Whether there is nothing to show to a registry."""
        return not (self.user or self.password or self.identity_token or self.registry_token)


ANONYMOUS = Credential()


class CredentialSource(Protocol):
    """Whoever knows credentials; safe for many threads."""

    def find(self, registry: str, repository: str = "") -> Credential:
        """The credentials for a repository, or for all of a registry; anonymous without any."""
        ...


class Offered:
    """A `CredentialSource` of one credential, for whoever asks."""

    def __init__(self, credential: Credential) -> None:
        self._credential = credential

    def __repr__(self) -> str:
        return "Offered(***)"

    def find(self, registry: str, repository: str = "") -> Credential:
        """That one."""
        del registry, repository
        return self._credential
