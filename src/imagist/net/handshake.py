"""Why TLS with a server failed, in words: whose certificate it shows, or that it speaks none."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from imagist.errors import NetworkError
from imagist.net.connection import Mistrusted, NoTLS
from imagist.net.url import Origin
from imagist.net.wire import connect_to

_PATIENCE: Final = 5.0
"""Seconds to ask once more for a certificate, for nothing but to tell its names."""
_OTHER_NAME: Final = frozenset({62, 64})
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
_OTHER_TIME: Final = frozenset({9, 10})
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED."""
_NO_TLS: Final = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}
)
"""What OpenSSL says of bytes that are no TLS; which of them depends on its version."""
_MOST_NAMES: Final = 10


class Failure(msgspec.Struct, frozen=True):
    """What is wrong, and what to do."""

    kind: type[NetworkError]
    why: str
    help: str


def find_failure(
    error: BaseException, origin: Origin, context: Callable[[], ssl.SSLContext] | None
) -> Failure | None:
    """What failed of TLS; None where it may go better a moment later, or is of another kind.

    Args:
        error: the failure, or what some library made of it.
        origin: the server.
        context: how its certificate is checked, to ask it for its names; None where it cannot be
            asked directly.
    """
    for found in _layers(error):
        if isinstance(found, ssl.SSLCertVerificationError):
            return _mistrust(found, origin, context)
        if isinstance(found, ssl.SSLError) and found.reason in _NO_TLS:
            why = "what answers there speaks no TLS, so not https"
            return Failure(NoTLS, why, "check the port; it may speak plain http")
    return None


def _mistrust(
    error: ssl.SSLCertVerificationError,
    origin: Origin,
    context: Callable[[], ssl.SSLContext] | None,
) -> Failure:
    said = error.verify_message.rstrip(".")
    if error.verify_code in _OTHER_NAME:
        names = _ask_names(origin, context()) if context else []
        told = f": it is for {', '.join(names)}" if names else ""
        why = f"its certificate is not for {origin.host}{told}"
        return Failure(Mistrusted, why, "use a name that the certificate has, or have it renewed")
    if error.verify_code in _OTHER_TIME:
        why = f"its certificate does not hold now: {said}"
        return Failure(Mistrusted, why, "check this machine's clock; else it must be renewed")
    why = f"its certificate is not trusted: {said}"
    return Failure(Mistrusted, why, "name the file of its authority (PEM) in SSL_CERT_FILE")


def _ask_names(origin: Origin, context: ssl.SSLContext) -> list[str]:
    """The names of a certificate whose authority is trusted."""
    with contextlib.suppress(OSError):
        context.check_hostname = False
        connected = connect_to(origin, context, _PATIENCE)
        with contextlib.closing(connected):
            found = connected.getpeercert() if isinstance(connected, ssl.SSLSocket) else None
            names = [str(entry[1]) for entry in (found or {}).get("subjectAltName", ())]
            return names[:_MOST_NAMES] + (["..."] if len(names) > _MOST_NAMES else [])
    return []


def _layers(error: BaseException) -> Iterator[BaseException]:
    """A failure, and what libraries put inside of it."""
    current: object = error
    while isinstance(current, BaseException):
        yield current
        current = getattr(current, "reason", None) or current.__cause__ or _last(current.args)


def _last(arguments: tuple[object, ...]) -> object:
    return arguments[-1] if arguments else None
