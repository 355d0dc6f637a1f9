"""Credentials by host: from URLs, HTTP_AUTH and netrc. None of them is ever printed."""

from __future__ import annotations

import binascii
import re
import threading
from functools import cached_property
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from imagist.errors import InputError, RequestError
from imagist.net.environment import Environment
from imagist.net.url import Origin, Userinfo, is_remote, origin_of, userinfo_of, without_userinfo

_HTTP_AUTH: Final = (
    r"(?s)basic:(?P<host>\[[^\]]+\]|[^:\[\]]+)(?::(?P<port>[0-9]{1,5})(?=:[^:]*:))?"
    r":(?P<user>[^:]*):(?P<password>.*)"
)


class _Named(msgspec.Struct, frozen=True):
    """What HTTP_AUTH says."""

    host: str
    port: int | None
    userinfo: Userinfo


class Credentials:
    """Finds the user and password for a URL; safe for many threads.

    The first that knows one gives it:

    1. the URL itself, or a location that was learnt and that the URL lies below;
    2. HTTP_AUTH, for one host: without a port, the scheme's own is meant, as apko has it;
    3. netrc, by the host's name.
    """

    def __init__(self, environment: Environment) -> None:
        """Nothing is read before it is needed."""
        self._environment = environment
        self._is_bare = not environment.http_auth and not environment.netrc
        self._learnt: dict[tuple[Origin, str], Userinfo] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return "Credentials(***)"

    def learn(self, location: str) -> str:
        """Take note of a location's user and password; they hold for all that lies below it.

        Returns:
            The location without them, which finds them again.

        Raises:
            RequestError: the location is not a URL, nor a path.
        """
        if not is_remote(location):
            return location
        origin, userinfo = origin_of(location), userinfo_of(location)
        if userinfo is not None:
            path = urlsplit(location).path.rstrip("/")
            with self._lock:
                self._learnt[origin, path] = userinfo
        return without_userinfo(location)

    def find(self, url: str, *, redirected: bool = False) -> Userinfo | None:
        """The user and password for a URL, None where there are none.

        After a redirection to another host only what names that host counts: neither the user in
        the URL that the redirection gave, nor netrc's `default`.

        Raises:
            InputError: the netrc file is damaged.
            RequestError: HTTP_AUTH has another form than it should.
        """
        if self._is_bare and not self._learnt:
            return None if redirected else userinfo_of(url)
        own = None if redirected else userinfo_of(url)
        return own or self._find_learnt(url) or self._find_named(url, redirected=redirected)

    def _find_learnt(self, url: str) -> Userinfo | None:
        origin, path = origin_of(url), urlsplit(url).path
        with self._lock:
            known = [key for key in self._learnt if key[0] == origin]
            below = [key for key in known if f"{path}/".startswith(f"{key[1]}/")]
            return self._learnt[max(below, key=lambda key: len(key[1]))] if below else None

    def _find_named(self, url: str, *, redirected: bool) -> Userinfo | None:
        origin, named = origin_of(url), self._http_auth
        if named is not None and named.host == origin.host:
            standard = Origin(origin.scheme, origin.host, origin.port).name == _bracket(
                origin.host
            )
            if named.port == origin.port or (named.port is None and standard):
                return named.userinfo
        found = self._netrc.get(origin.host)
        return found if found is not None or redirected else self._netrc.get("default")

    @cached_property
    def _http_auth(self) -> _Named | None:
        text = self._environment.http_auth
        if not text:
            return None
        match = re.fullmatch(_HTTP_AUTH, text)
        if match is None:
            raise RequestError(
                "the environment variable HTTP_AUTH is not of the form that is understood",
                help="write basic:<host>[:<port>]:<user>:<password>",
            )
        host = match["host"].strip("[]").lower()
        port = int(match["port"]) if match["port"] else None
        return _Named(host, port, Userinfo(match["user"], match["password"]))

    @cached_property
    def _netrc(self) -> dict[str, Userinfo]:
        path = self._environment.netrc
        if not path or not Path(path).is_file():
            return {}
        import netrc  # noqa: PLC0415 - few have such a file

        try:
            hosts = netrc.netrc(path).hosts
        except netrc.NetrcParseError as error:
            # Its message may quote what it stumbled over, so only the line is told.
            raise InputError(f"{path} is not a netrc file: line {error.lineno}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read: {type(error).__name__}") from None
        return {
            host.lower(): Userinfo(login, password or "")
            for host, (login, _, password) in hosts.items()
        }


def _bracket(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def format_basic(userinfo: Userinfo) -> str:
    """The value of an `Authorization` header (RFC 7617, in UTF-8)."""
    pair = f"{userinfo.user}:{userinfo.password}".encode()
    return "Basic " + binascii.b2a_base64(pair, newline=False).decode()
