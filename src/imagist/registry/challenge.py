"""What a registry demands: the WWW-Authenticate headers of an answer 401 (RFC 9110, 11.6.1).

A header may hold several challenges, and an answer several headers. Whatever makes no sense is
passed over, since what comes after it may.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PIECE: Final = re.compile(
    rf"(?P<name>{_WORD})[ \t]*=[ \t]*(?:\"(?P<quoted>(?:[^\"\\]|\\.)*)\"?|(?P<bare>[^\s,\"]*))"
    rf"|(?P<scheme>{_WORD})|.",
    re.DOTALL,
)
"""A parameter, a scheme, or a mark that means nothing here. A quote that is not closed ends with
the header. What follows a scheme in place of parameters (token68) reads as one without a value."""
_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)


class Challenge(msgspec.Struct, frozen=True):
    """One way to authenticate that a server offers."""

    scheme: str
    """In lower case: `basic`, `bearer` ..."""
    parameters: Mapping[str, str]
    """Names in lower case."""


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """All challenges of the headers, in their order."""
    return [challenge for header in headers for challenge in _parse(header)]


def choose(challenges: Iterable[Challenge]) -> Challenge | None:
    """The first that can be answered: `basic`, or `bearer` with a realm to ask for a token."""
    for challenge in challenges:
        if challenge.scheme == "basic":
            return challenge
        if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
            return challenge
    return None


def _parse(header: str) -> list[Challenge]:
    found: list[Challenge] = []
    parameters: dict[str, str] = {}
    for piece in _PIECE.finditer(header):
        scheme, name = piece["scheme"], piece["name"]
        if scheme:
            parameters = {}
            found.append(Challenge(scheme.lower(), parameters))
        elif name:
            quoted = piece["quoted"]
            value = piece["bare"] if quoted is None else _PAIR.sub(r"\1", quoted)
            parameters.setdefault(name.lower(), value)
    return found
