"""Connections: to servers themselves or through proxies, and why one failed."""

from __future__ import annotations

import functools
import re
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import quote, urlsplit

from imagist.errors import NetworkError
from imagist.net.body import Body
from imagist.net.environment import Environment
from imagist.net.http1 import Headers, Pool
from imagist.net.proxy import choose_proxy
from imagist.net.retry import Patience
from imagist.net.url import Origin, origin_of, redact

if TYPE_CHECKING:
    from ssl import SSLContext

    from imagist.net.handshake import Failure
    from imagist.net.proxied import Proxies

_OBJECT: Final = r"HTTPS?Connection\([^)]*\): "
"""How urllib3 names a connection in its messages."""
_KEPT: Final = "/:@!$&'()*+,;=~?%"
"""What needs no escaping in the target of a request, besides letters, digits and `-._`."""


class RawAnswer(Protocol):
    """An answer as it comes: redirections are not followed, and breaks not repaired."""

    status: int
    reason: str
    headers: Headers

    def read(self, size: int, /) -> bytes:
        """The next bytes, fewer only at the end; raises one of `broken()`."""
        ...

    def readinto(self, view: memoryview, /) -> int:
        """Some of the next bytes, none at the end; raises one of `broken()`."""
        ...

    def close(self) -> None:
        """Have done with it."""
        ...


class Unreachable(NetworkError):
    """A server gave no answer, but may give one a moment later."""


class Mistrusted(NetworkError):
    """A server's certificate does not prove that it is who it should be."""


class NoTLS(NetworkError):
    """A server answers https with something that is no TLS."""


class Connections:
    """Sends single requests; safe for many threads."""

    def __init__(self, environment: Environment, *, verify: bool = True) -> None:
        """Nothing is read or connected yet. `verify`: whether certificates are checked."""
        self._environment = environment
        self._verify = verify
        self._pool = Pool()
        self._proxies: Proxies | None = None
        self._contexts: dict[Path | None, SSLContext] = {}
        self._lock = threading.RLock()

    def close(self) -> None:
        """Close idle connections."""
        self._pool.close()
        if self._proxies is not None:
            self._proxies.close()

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | Body | None,
        patience: Patience,
    ) -> RawAnswer:
        """Send one request and give its answer, whatever it is, before its body is read.

        Raises:
            Unreachable: there was no answer this time.
            NetworkError: there will be none.
            InputError: the certificate authorities cannot be read.
            RequestError: the proxy is none.
        """
        origin = origin_of(url)
        proxy = choose_proxy(self._environment, origin)
        try:
            if proxy:
                return self._through(proxy, method, url, headers, body, patience)
            return self._pool.send(
                method,
                origin,
                _target(url),
                headers,
                body,
                context=self._trust(origin) if origin.scheme == "https" else None,
                connect=patience.connect,
                stall=patience.stall,
            )
        except broken() as error:
            failure = self._find_failure(error, origin, is_direct=not proxy)
            raise _explain(error, url, redact(proxy), failure) from error

    def _through(
        self,
        proxy: str,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | Body | None,
        patience: Patience,
    ) -> RawAnswer:
        with self._lock:
            if self._proxies is None:
                from imagist.net.proxied import Proxies  # noqa: PLC0415 - few have one

                self._proxies = Proxies(self._trust)
        return self._proxies.send(proxy, method, url, headers, body, patience)

    def _trust(self, origin: Origin | None = None) -> SSLContext:
        from imagist.net.trust import find_certificates  # noqa: PLC0415 - for TLS alone

        place = find_certificates(self._environment, origin.name) if origin else None
        with self._lock:
            if place not in self._contexts:
                self._contexts[place] = self._load_trust(place)
            return self._contexts[place]

    def _load_trust(self, place: Path | None) -> SSLContext:
        from imagist.net.trust import load_trust  # noqa: PLC0415 - as above

        return load_trust(self._environment, verify=self._verify, certificates=place)

    def _find_failure(
        self, error: Exception, origin: Origin, *, is_direct: bool
    ) -> Failure | None:
        """What is wrong with a server's TLS, if that is what failed."""
        if "ssl" not in sys.modules:
            return None
        from imagist.net.handshake import find_failure  # noqa: PLC0415 - few connections fail
        from imagist.net.trust import find_certificates  # noqa: PLC0415

        place = find_certificates(self._environment, origin.name)
        own = functools.partial(self._load_trust, place)  # its settings are changed
        return find_failure(error, origin, own if is_direct else None)


def broken() -> tuple[type[Exception], ...]:
    """What says that a connection broke; urllib3's own only if it is in use."""
    urllib3 = sys.modules.get("urllib3.exceptions")
    return (OSError,) if urllib3 is None else (OSError, urllib3.HTTPError)


@functools.lru_cache(256)
def _target(url: str) -> str:
    """Path and query, as a request has them."""
    parts = urlsplit(url)
    path = quote(parts.path or "/", safe=_KEPT)
    return f"{path}?{quote(parts.query, safe=_KEPT)}" if parts.query else path


def _is_passing(error: Exception) -> bool:
    """Whether a failure may be gone a moment later: not where the proxy is wrong."""
    name = type(error).__name__
    if name == "ProxyError":
        return " 407 " not in f" {getattr(error, 'original_error', '')} "
    return name != "LocationParseError"


def _explain(error: Exception, url: str, via: str, failure: Failure | None) -> NetworkError:
    """What to tell a person of a request that had no answer."""
    host = origin_of(url).name
    way = f" through the proxy {via}" if via else ""
    names = {kind.__name__ for kind in type(error).__mro__}
    if failure is not None:
        why, help_ = failure.why, failure.help
    elif "ProxyError" in names:
        why = f"the proxy refuses ({_shorten(getattr(error, 'original_error', error))})"
        help_ = "check HTTP_PROXY, HTTPS_PROXY and NO_PROXY"
    elif names & {"gaierror", "NameResolutionError"}:
        why, help_ = "there is no address for that name", "check the name, and the network"
    elif names & {"ConnectionRefusedError", "NewConnectionError"}:
        why, help_ = _shorten(error), "check the address, and that the server runs"
    elif names & {"TimeoutError", "BlockingIOError"}:
        why, help_ = "it does not answer in time", "check the network, or try again later"
    else:
        why, help_ = _shorten(error), "try again later"
    kind = failure.kind if failure else Unreachable if _is_passing(error) else NetworkError
    return kind(f"{redact(url)}: {host} cannot be reached{way}: {why}", help=help_)


def _shorten(error: BaseException) -> str:
    """What a failure says, without the objects that urllib3 names."""
    inner = error.args[-1] if error.args else error
    if isinstance(inner, BaseException) and inner is not error:
        return _shorten(inner)
    text = re.sub(_OBJECT, "", redact(str(inner))).rpartition(">: ")[2] or type(error).__name__
    return text.removeprefix("Failed to establish a new connection: ")
