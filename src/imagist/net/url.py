"""URLs: what may be fetched, where it lies, and how it may be shown to a person."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

import msgspec

from imagist.errors import RequestError

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

# Patterns are compiled when they are first used: that takes longer than most modules to load.
PORTS: Final = {"http": 80, "https": 443}
_REMOTE: Final = r"(?i)https?://"
_ADDRESS: Final = "[0-9a-fx.:]+"
_UNFIT: Final = r"[\x00-\x20\x7f]"
_USERINFO: Final = r"(?<=://)[^/?#\s]*@"
_MISPLACED: Final = r"(?<=://)[^/?#\s@]*:(?![0-9]{0,5}/)\S*@"
"""A password with an unescaped `/`, `?` or `#`, which therefore is none to the grammar."""
_BEFORE_AT: Final = r"(?s)(?<=://).*@"
_QUERY: Final = r"\?[^\s#]*"


class Origin(msgspec.Struct, frozen=True):
    """Whom a request goes to (RFC 6454, section 4)."""

    scheme: str
    host: str
    """In lower case, without brackets."""
    port: int

    @property
    def name(self) -> str:
        """`host` or `host:port`, as a URL has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if PORTS.get(self.scheme) == self.port else f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether this is the same machine, where nobody is in between."""
        if self.host in {"127.0.0.1", "localhost"} or self.host.endswith(".localhost"):
            return True
        address = self.address
        return address is not None and address.is_loopback

    @property
    def is_inside(self) -> bool:
        """Whether this is a machine that only its neighbours can reach, by how it is written."""
        address = self.address
        return self.is_loopback or (address is not None and not address.is_global)

    @property
    def address(self) -> IPv4Address | IPv6Address | None:
        """The address that the host spells, None for a name.

        As the system's resolver reads it: `127.1`, `2130706433` and `0x7f000001` are 127.0.0.1.
        """
        if not re.fullmatch(_ADDRESS, self.host):
            return None
        import ipaddress  # noqa: PLC0415 - names need it not
        import socket  # noqa: PLC0415

        try:
            found = ipaddress.ip_address(self.host)
        except ValueError:
            pass
        else:
            return getattr(found, "ipv4_mapped", None) or found
        try:
            return ipaddress.IPv4Address(socket.inet_aton(self.host))
        except OSError:
            return None


class Userinfo(msgspec.Struct, frozen=True):
    """A user and a password; never shown."""

    user: str
    password: str

    def __repr__(self) -> str:
        return "Userinfo(***)"


def is_remote(location: str) -> bool:
    """Whether a location is an HTTP URL, not a path or a `file:` URL."""
    return re.match(_REMOTE, location) is not None


def local_path(location: str) -> str:
    """The path that a location which is not remote means: itself, or that of a `file:` URL."""
    return unquote(urlsplit(location).path) if location.startswith("file:") else location


@functools.lru_cache(1024)  # asked for several times a request
def origin_of(url: str) -> Origin:
    """The origin of an HTTP URL.

    Raises:
        RequestError: it is not an HTTP URL that can be asked for.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # its message may quote a piece of a password
        raise RequestError(
            f"`{_redact_wrong(url)}` is not a URL",
            help="it should look like https://host:port/path; "
            "in a password write %2F for a slash, %23 for a #, %3F for a ?",
        ) from None
    scheme = parts.scheme.lower()
    if scheme not in PORTS or not host or re.search(_UNFIT, url):
        raise RequestError(
            f"`{_redact_wrong(url)}` is not a URL that can be fetched",
            help="it should look like https://host/path, with %20 for a space",
        )
    return Origin(scheme, host.rstrip(".").lower(), PORTS[scheme] if port is None else port)


def userinfo_of(url: str) -> Userinfo | None:
    """The user and password that a URL carries, decoded."""
    if "@" not in url:
        return None
    parts = urlsplit(url)
    if parts.username is None:
        return None
    return Userinfo(unquote(parts.username), unquote(parts.password or ""))


def without_userinfo(url: str) -> str:
    """A URL without user and password; a path stays as it is."""
    if not is_remote(url):
        return url
    return re.sub(_USERINFO, "", url, count=1)


def without_users(text: str) -> str:
    """A text with URLs, without the users and passwords in them."""
    return re.sub(_USERINFO, "", text)


def has_secret(url: str) -> bool:
    """Whether a URL has a user, a password or a query, which may sign it."""
    return "://" in url and re.search(rf"{_USERINFO}|{_QUERY}", url) is not None


def redact(text: str) -> str:
    """A URL, or a text with URLs, fit to be shown: no user, password or query (it may sign)."""
    if "://" not in text or not ("@" in text or "?" in text):
        return text
    return re.sub(_QUERY, "?***", re.sub(_MISPLACED, "***@", re.sub(_USERINFO, "***@", text)))


def _redact_wrong(url: str) -> str:
    """What is no URL, fit to be shown: whatever stands before its last `@` may be a password."""
    return redact(re.sub(_BEFORE_AT, "***@", url))
