"""Running the registry: a listening socket, granian, signals, and a tidy end.

granian runs inside our process and its event loop, so there is one process to watch and to kill.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import resource
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from imagist.errors import InputError, NetworkError, NotFound, RequestError
from imagist.server.app import Application

if TYPE_CHECKING:
    from granian.server.embed import Server

_PORT: Final = re.compile("[0-9]{1,5}")
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PATIENCE: Final = 10.0
"""Seconds that requests which are being answered have, once the server is to stop."""

_SILENCE: Final = 30_000
"""Milliseconds in which a connection must bring a whole request's head, the first or the next."""
_MOST_CONNECTIONS: Final = 8192
_OTHER_FILES: Final = 128


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int
    """0 takes a free one."""

    @property
    def text(self) -> str:
        """As it stands in a reference."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Certificate(NamedTuple):
    """Files in PEM."""

    chain: Path
    key: Path


def parse_address(text: str) -> Address:
    """Read `HOST:PORT`, `[IPv6]:PORT`, `:PORT` (this machine alone) or `PORT`.

    Raises:
        RequestError: it is none of these.
    """
    host, _, port = text.rpartition(":")
    if not (_PORT.fullmatch(port) and int(port) < 1 << 16):
        raise RequestError(
            f"`{text}` is no address to listen at", help="write HOST:PORT, as in 127.0.0.1:5000"
        )
    return Address(host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port))


def serve(
    application: Application,
    address: Address,
    certificate: Certificate | None,
    ready: Callable[[Address], None],
) -> None:
    """Serve until a signal asks to stop; a second one ends the process at once.

    Args:
        application: what answers.
        address: where to listen.
        certificate: for https; without it http is spoken.
        ready: is told the address once connections are accepted.

    Raises:
        NetworkError: nobody can listen there.
        InputError: the certificate or its key cannot be used.
    """
    if certificate:
        _check(certificate)
    with _reserve(address) as reserved:
        host, port = reserved.getsockname()[:2]
        asyncio.run(_serve(application, Address(host, port), certificate, ready))


async def _serve(
    application: Application,
    address: Address,
    certificate: Certificate | None,
    ready: Callable[[Address], None],
) -> None:
    server = _make_server(application, address, certificate)
    loop = asyncio.get_running_loop()
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if stopping:
            os._exit(130)
        stopping = True
        server.stop()  # type: ignore[no-untyped-call]
        loop.call_later(_PATIENCE, os._exit, 0)

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    telling = loop.create_task(_tell(address, ready))
    await server.serve()
    telling.cancel()


async def _tell(address: Address, ready: Callable[[Address], None]) -> None:
    """Tell the address as soon as a connection is accepted there."""
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(address.host, address.port)
            writer.close()
            return ready(address)
        await asyncio.sleep(0.002)


def _make_server(
    application: Application, address: Address, certificate: Certificate | None
) -> Server:
    from granian.constants import HTTPModes, Interfaces, SSLProtocols  # noqa: PLC0415
    from granian.http import HTTP1Settings, HTTP2Settings  # noqa: PLC0415
    from granian.server.embed import Server  # noqa: PLC0415

    return Server(
        application,
        address=address.host,
        port=address.port,
        interface=Interfaces.RSGI,
        # Silent connections are closed only where granian need not wait for a word to tell HTTP/2.
        http=HTTPModes.auto if certificate else HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=_SILENCE),
        http2_settings=HTTP2Settings(keep_alive_interval=_SILENCE),
        websockets=False,
        backlog=1024,
        backpressure=_allow_connections(),
        log_enabled=False,
        ssl_cert=certificate.chain if certificate else None,
        ssl_key=certificate.key if certificate else None,
        ssl_protocol_min=SSLProtocols.tls12,
    )


def _allow_connections() -> int:
    """How many may be open at a time, each with a file; the process may open as many then."""
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _MOST_CONNECTIONS + _OTHER_FILES
    if limit != resource.RLIM_INFINITY and limit < wanted:
        limit = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
    if limit == resource.RLIM_INFINITY or limit >= wanted:
        return _MOST_CONNECTIONS
    return max((limit - _OTHER_FILES) // 2, 1)


def _reserve(address: Address) -> socket.socket:
    """Bind the port, so that a free one is known and one that is taken is refused.

    granian listens on it by SO_REUSEPORT. That is allowed only after our own bind, which so fails
    if anybody else listens there.
    """
    reserved = None
    try:
        # `localhost` is mostly meant as 127.0.0.1.
        family, *_, place = min(
            socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM),
            key=lambda found: found[0] != socket.AF_INET,
        )
        reserved = socket.socket(family, socket.SOCK_STREAM)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(place)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError as error:
        if reserved:
            reserved.close()
        raise NetworkError(
            f"cannot listen at {address.text}: {error.strerror or error}",
            help="name another address with --listen; port 0 takes a free one",
        ) from error
    return reserved


def _check(certificate: Certificate) -> None:
    import ssl  # noqa: PLC0415 - most registries on this machine speak plain http

    def refuse() -> str:
        raise InputError(
            f"the key {certificate.key} has a passphrase, which nobody is asked for",
            help="write it without one: `openssl pkey -in KEY -out FILE`",
        )

    for file in certificate:
        if not file.is_file():
            raise NotFound(f"there is no file {file}", help="check --tls-cert and --tls-key")
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate, password=refuse)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise InputError(
            f"the certificate {certificate.chain} with the key {certificate.key} "
            f"cannot be used: {error}",
            help="both are files in PEM, and the key is the certificate's",
        ) from error
