"""Requests through proxies, which urllib3 makes: tunnels, TLS to the proxy, its credentials."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from imagist.errors import RequestError
from imagist.net.auth import format_basic
from imagist.net.body import Body
from imagist.net.http1 import Headers
from imagist.net.retry import Patience
from imagist.net.url import is_remote, origin_of, redact, userinfo_of, without_userinfo
from imagist.net.wire import ProtocolError

if TYPE_CHECKING:
    from ssl import SSLContext

    from urllib3 import PoolManager
    from urllib3.response import BaseHTTPResponse

_CONNECTIONS: Final = 16
"""Connections kept open to one host."""
_STEP: Final = 1 << 18
"""Bytes of a body that are read and sent at a time."""


class ProxiedAnswer:
    """An answer that came through a proxy; a `connection.RawAnswer`."""

    def __init__(self, raw: BaseHTTPResponse) -> None:
        """Take over urllib3's."""
        self.status: int = raw.status
        self.reason: str = raw.reason or ""
        self.headers = Headers([(key.lower(), value) for key, value in raw.headers.items()])
        self._raw = raw

    def read(self, size: int) -> bytes:
        """The next bytes, fewer only at the end."""
        try:
            return self._raw.read(size)
        except ValueError as error:  # a chunk whose size makes no sense
            raise ProtocolError(f"an answer cannot be read: {error}") from error

    def readinto(self, view: memoryview) -> int:
        """Some of the next bytes, none at the end."""
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Have done with it."""
        self._raw.close()


class Proxies:
    """Sends single requests through proxies; safe for many threads."""

    def __init__(self, trust: Callable[[], SSLContext]) -> None:
        """`trust`: how TLS is spoken, asked for when it is needed."""
        self._trust = trust
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
        proxy: str,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | Body | None,
        patience: Patience,
    ) -> ProxiedAnswer:
        """Send one request, and give its answer before its body is read.

        Raises:
            urllib3.exceptions.HTTPError: there is no answer.
            OSError: there is no answer.
            RequestError: the proxy is none.
        """
        from urllib3.util import Timeout  # noqa: PLC0415

        scheme = origin_of(url).scheme
        with self._lock:
            manager = self._managers.get((scheme, proxy))
            if manager is None:
                manager = self._managers[scheme, proxy] = self._make(scheme, proxy)
        sent = body.open() if isinstance(body, Body) else body
        if isinstance(body, Body):
            headers = {**headers, "Content-Length": str(body.size)}
        try:
            raw = manager.request(
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
            return ProxiedAnswer(raw)
        finally:
            if sent is not None and not isinstance(sent, bytes):
                sent.close()

    def _make(self, scheme: str, proxy: str) -> PoolManager:
        import urllib3  # noqa: PLC0415 - few need it

        if not is_remote(proxy):
            raise RequestError(
                f"the proxy {redact(proxy)} cannot be used",
                help="HTTP_PROXY and HTTPS_PROXY take http:// and https:// proxies",
            )
        origin_of(proxy)  # raises where it is no URL
        options: dict[str, Any] = {
            "num_pools": 32,
            "maxsize": _CONNECTIONS,
            "blocksize": _STEP,
        }
        if scheme == "https" or proxy.startswith("https:"):
            options["ssl_context"] = self._trust()
        userinfo = userinfo_of(proxy)
        secret = {"Proxy-Authorization": format_basic(userinfo)} if userinfo else None
        return urllib3.ProxyManager(without_userinfo(proxy), proxy_headers=secret, **options)
