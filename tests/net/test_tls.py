from __future__ import annotations

import base64
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.certificates import write_certificate
from fixtures.webserver import Answer, Web, _Handler, serve
from imagist.errors import InputError, NetworkError
from imagist.net.environment import Environment
from imagist.net.transport import HttpTransport

PASS = "Basic " + base64.b64encode(b"me:secret").decode()


class Tunnel(_Handler):
    """A proxy that tunnels every CONNECT to one server."""

    target = 0
    asked: list[str] = []  # noqa: RUF012

    def do_CONNECT(self) -> None:  # noqa: N802
        self.asked.append(self.path)
        if self.headers.get("Proxy-Authorization") != PASS:
            self.send_error(407)
            return
        self.send_response_only(200)
        self.end_headers()
        with socket.create_connection(("127.0.0.1", self.target)) as far:
            back = threading.Thread(target=pump, args=(far, self.connection), daemon=True)
            back.start()
            pump(self.connection, far)
            back.join(2)
        self.close_connection = True


def pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    return write_certificate(tmp_path, "apk.test")


@pytest.fixture
def secure(pem: Path) -> Iterator[Web]:
    """A TLS server that is called `apk.test` and 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    class Wrapped(_Handler):
        def setup(self) -> None:
            self.request = context.wrap_socket(self.request, server_side=True)
            super().setup()

        def finish(self) -> None:
            super().finish()
            self.request.close()

    with serve(Wrapped) as running:
        running.on("/x", Answer(body=b"secure"))
        yield running


@pytest.fixture
def tunnel(secure: Web, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setattr(Tunnel, "target", secure.port)
    monkeypatch.setattr(Tunnel, "asked", [])
    with serve(Tunnel) as running:
        yield running


def test_encrypted_requests_go_through_a_tunnel_with_the_proxys_password(
    tunnel: Web, secure: Web, pem: Path, make: Callable[..., HttpTransport]
) -> None:
    proxy = tunnel.url.replace("://", "://me:secret@")
    transport = make(Environment(https_proxy=proxy, ca_file=str(pem)))
    assert transport.request("GET", "https://apk.test/x").read() == b"secure"
    assert Tunnel.asked == ["apk.test:443"]
    assert "proxy-authorization" not in secure.asked[0].headers


def test_a_proxy_that_wants_a_password_is_named_and_asked_once(
    tunnel: Web, pem: Path, make: Callable[..., HttpTransport]
) -> None:
    transport = make(Environment(https_proxy=tunnel.url, ca_file=str(pem)))
    with pytest.raises(NetworkError, match=f"through the proxy {tunnel.url}: .*407"):
        transport.request("GET", "https://apk.test/x")
    assert len(Tunnel.asked) == 1


def test_a_certificate_is_trusted_because_ssl_cert_file_has_it(
    secure: Web, pem: Path, make: Callable[..., HttpTransport], slept: list[float]
) -> None:
    url = f"https://127.0.0.1:{secure.port}/x"
    assert make(Environment(ca_file=str(pem))).request("GET", url).read() == b"secure"
    with pytest.raises(NetworkError, match="certificate is not trusted") as caught:
        make().request("GET", url)
    assert "SSL_CERT_FILE" in str(caught.value.problems[0].help)
    assert slept == []  # trying again would not help


def test_a_certificate_for_another_name_is_told_with_its_names(
    secure: Web, pem: Path, make: Callable[..., HttpTransport], slept: list[float]
) -> None:
    transport = make(Environment(ca_file=str(pem)))
    told = r"certificate is not for localhost: it is for apk\.test, 127\.0\.0\.1$"
    with pytest.raises(NetworkError, match=told):
        transport.request("GET", f"https://localhost:{secure.port}/x")
    assert slept == []
    with pytest.raises(NetworkError, match="not for localhost"):  # it is not taken from then on
        transport.request("GET", f"https://localhost:{secure.port}/x")


def test_a_certificate_of_a_proxied_server_is_told_without_asking_again(
    tunnel: Web, pem: Path, make: Callable[..., HttpTransport]
) -> None:
    proxy = tunnel.url.replace("://", "://me:secret@")
    transport = make(Environment(https_proxy=proxy, ca_file=str(pem)))
    with pytest.raises(NetworkError, match=r"certificate is not for other\.test$"):
        transport.request("GET", "https://other.test/x")
    assert Tunnel.asked == ["other.test:443"]


def test_plain_http_where_https_is_asked_for_is_told_at_once(
    make: Callable[..., HttpTransport], slept: list[float]
) -> None:
    with serve() as plain, pytest.raises(NetworkError, match="speaks no TLS") as caught:
        make().request("GET", f"https://127.0.0.1:{plain.port}/x")
    assert "plain http" in str(caught.value.problems[0].help)
    assert slept == []


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_authorities_that_cannot_be_read_are_named(
    content: str | None, tmp_path: Path, make: Callable[..., HttpTransport]
) -> None:
    file = tmp_path / "authorities.pem"
    if content:
        file.write_text(content)
    with pytest.raises(InputError, match=r"SSL_CERT_FILE|authorities cannot be read"):
        make(Environment(ca_file=str(file))).request("GET", "https://127.0.0.1:1/")


def test_a_redirection_out_of_encryption_is_refused(
    secure: Web, pem: Path, make: Callable[..., HttpTransport]
) -> None:
    secure.on("/out", Answer(302, b"", {"Location": "http://127.0.0.1:1/x"}))
    with pytest.raises(NetworkError, match="is not encrypted"):
        make(Environment(ca_file=str(pem))).request("GET", f"https://127.0.0.1:{secure.port}/out")
