"""Connections: pools by scheme and proxy, who is trusted over TLS, and why one failed."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imagist.errors import InputError, NetworkError, RequestError
from imagist.net.auth import format_basic
from imagist.net.body import Body
from imagist.net.environment import Environment
from imagist.net.proxy import choose_proxy
from imagist.net.retry import Patience
from imagist.net.url import is_remote, origin_of, redact, userinfo_of, without_userinfo

if TYPE_CHECKING:
    from ssl import SSLContext

    from urllib3 import PoolManager
    from urllib3.response import BaseHTTPResponse

_CONNECTIONS: Final = 16
"""Connections kept open to one host."""
_STEP: Final = 1 << 18
"""Bytes of a body that are read and sent at a time."""
_AUTHORITIES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where systems keep their certificate authorities, for a Python that does not know."""


_OBJECT: Final = re.compile(r"HTTPS?Connection\([^)]*\): ")
"""How urllib3 names a connection in its messages."""


class Unreachable(NetworkError):
    """A server gave no answer, but may give one a moment later."""


class Connections:
    """Sends single requests; safe for many threads. urllib3 is loaded with the first one."""

    def __init__(self, environment: Environment, *, verify: bool = True) -> None:
        """Nothing is read or connected yet. `verify`: whether certificates are checked."""
        self._environment = environment
        self._verify = verify
        self._managers: dict[tuple[str, str], PoolManager] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            for manager in self._managers.values():
                manager.clear()
            self._managers.clear()

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | Body | None,
        patience: Patience,
    ) -> BaseHTTPResponse:
        """Send one request and give its answer, whatever it is, before its body is read.

        Raises:
            Unreachable: there was no answer this time.
            NetworkError: there will be none.
            InputError: the certificate authorities cannot be read.
            RequestError: the proxy is none.
        """
        origin = origin_of(url)
        proxy = choose_proxy(self._environment, origin)
        with self._lock:
            manager = self._managers.get((origin.scheme, proxy))
            if manager is None:
                manager = self._managers[origin.scheme, proxy] = self._make(origin.scheme, proxy)
        from urllib3.exceptions import HTTPError  # noqa: PLC0415
        from urllib3.util import Timeout  # noqa: PLC0415

        sent = body.open() if isinstance(body, Body) else body
        if isinstance(body, Body):
            headers = {**headers, "Content-Length": str(body.size)}
        try:
            return manager.request(
                method,
                without_userinfo(url),
                headers=headers,
                body=sent,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
                timeout=Timeout(connect=patience.connect, read=patience.stall),
            )
        except (HTTPError, OSError) as error:
            raise _explain(error, url, redact(proxy)) from error
        finally:
            if sent is not None and not isinstance(sent, bytes):
                sent.close()

    def _make(self, scheme: str, proxy: str) -> PoolManager:
        import urllib3  # noqa: PLC0415 - 25 ms that an offline build saves

        options: dict[str, Any] = {
            "num_pools": 32,
            "maxsize": _CONNECTIONS,
            "blocksize": _STEP,
        }
        if scheme == "https" or proxy.startswith("https:"):
            options["ssl_context"] = self._trust()
        if not proxy:
            return urllib3.PoolManager(**options)
        if not is_remote(proxy):
            raise RequestError(
                f"the proxy {redact(proxy)} cannot be used",
                help="HTTP_PROXY and HTTPS_PROXY take http:// and https:// proxies",
            )
        origin_of(proxy)  # raises where it is no URL
        userinfo = userinfo_of(proxy)
        secret = {"Proxy-Authorization": format_basic(userinfo)} if userinfo else None
        return urllib3.ProxyManager(without_userinfo(proxy), proxy_headers=secret, **options)

    def _trust(self) -> SSLContext:
        """The certificate authorities that servers are checked against."""
        import ssl  # noqa: PLC0415

        if not self._verify:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return context
        file, folder = self._environment.ca_file, self._environment.ca_folder
        if file and not Path(file).is_file():
            # Not NotFound: that would say that the server has no such document.
            raise InputError(
                f"there is no file {file}, which SSL_CERT_FILE or REQUESTS_CA_BUNDLE names"
            )
        try:
            context = ssl.create_default_context(cafile=file or None, capath=folder or None)
            places = ssl.get_default_verify_paths()
            if not file and not folder and not places.cafile and not places.capath:
                for place in filter(lambda path: Path(path).is_file(), _AUTHORITIES):
                    context.load_verify_locations(place)
        except (ssl.SSLError, OSError) as error:
            raise InputError(f"the certificate authorities cannot be read: {error}") from None
        return context


def _is_passing(error: Exception) -> bool:
    """Whether a failure may be gone a moment later: not a wrong certificate, or a wrong proxy."""
    from urllib3.exceptions import LocationParseError, ProxyError, SSLError  # noqa: PLC0415

    if isinstance(error, SSLError):
        return "CERTIFICATE" not in str(error).upper()
    if isinstance(error, ProxyError):
        return " 407 " not in f" {error.original_error} "
    return not isinstance(error, LocationParseError)


def _explain(error: Exception, url: str, via: str) -> NetworkError:
    """What to tell a person of a request that had no answer."""
    from urllib3 import exceptions  # noqa: PLC0415

    host = origin_of(url).name
    way = f" through the proxy {via}" if via else ""
    match error:
        case exceptions.SSLError() if "CERTIFICATE" in str(error).upper():
            why, help_ = "its certificate is not trusted", "name your authorities in SSL_CERT_FILE"
        case exceptions.ProxyError():
            why = f"the proxy refuses ({_shorten(error.original_error)})"
            help_ = "check HTTP_PROXY, HTTPS_PROXY and NO_PROXY"
        case exceptions.NameResolutionError():
            why, help_ = "there is no address for that name", "check the name, and the network"
        case exceptions.NewConnectionError():  # which urllib3 counts among the timeouts
            why, help_ = _shorten(error), "check the address, and that the server runs"
        case exceptions.TimeoutError():
            why, help_ = "it does not answer in time", "check the network, or try again later"
        case _:
            why, help_ = _shorten(error), "try again later"
    kind = Unreachable if _is_passing(error) else NetworkError
    return kind(f"{redact(url)}: {host} cannot be reached{way}: {why}", help=help_)


def _shorten(error: BaseException) -> str:
    """What urllib3 says, without its object names."""
    inner = error.args[-1] if error.args else error
    if isinstance(inner, BaseException) and inner is not error:
        return _shorten(inner)
    text = _OBJECT.sub("", redact(str(inner))).rpartition(">: ")[2] or type(error).__name__
    return text.removeprefix("Failed to establish a new connection: ")
