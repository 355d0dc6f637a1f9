"""What servers say that is not quite HTTP, and connections that are used again."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from imagist.errors import NetworkError, RequestError
from imagist.net.body import Body
from imagist.net.environment import Environment
from imagist.net.retry import Manner, Patience
from imagist.net.transport import HttpTransport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_ONCE = Manner(repeat=False)
_REFUSED = Manner(repeat=False, any_status=True)


class Script:
    """What a server says to each request, and what it was asked."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.asked: list[bytes] = []
        self.connections = 0
        self.closed = threading.Event()
        """Set when the first connection was closed."""
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/a"


@contextmanager
def saying(*answers: bytes) -> Iterator[Script]:
    """A server that says these bytes in turn, and closes after those that end with `!`."""
    script = Script(*answers)
    with socket.create_server(("127.0.0.1", 0)) as server:
        script.port = server.getsockname()[1]

        def serve() -> None:
            while script.answers:
                try:
                    connected, _ = server.accept()
                except OSError:
                    return
                script.connections += 1
                with connected:
                    _talk(connected, script)
                script.closed.set()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield script
        finally:
            script.answers.clear()
            server.close()


def _talk(connected: socket.socket, script: Script) -> None:
    while script.answers:
        asked = b""
        while b"\r\n\r\n" not in asked:
            data = connected.recv(4096)
            if not data:
                return
            asked += data
        script.asked.append(asked)
        answer = script.answers.pop(0)
        connected.sendall(answer.removesuffix(b"!"))
        if answer.endswith(b"!"):
            return


@pytest.fixture
def transport() -> Iterator[HttpTransport]:
    made = HttpTransport(Environment(), patience=Patience(attempts=1, stall=2.0, connect=2.0))
    yield made
    made.close()


def get(transport: HttpTransport, script: Script, method: str = "GET") -> bytes:
    with transport.request(method, script.url, manner=_ONCE) as response:
        return response.read()


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end!", b"until the end"),
        (b"HTTP/1.1 200 OK\ncontent-length:2 \n\r\nok", b"ok"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nT: x\r\n\r\n", b"ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", b"ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
    ],
)  # fmt: skip
def test_answers_of_all_shapes_are_read(
    answer: bytes, body: bytes, transport: HttpTransport
) -> None:
    with saying(answer) as script:
        assert get(transport, script) == body


@pytest.mark.parametrize(
    "answer",
    [
        b"!",
        b"SSH-2.0-OpenSSH\r\n\r\n\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk",
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nName : x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok!",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000,
        b"HTTP/2 200\r\n\r\n",
    ],
)
def test_what_is_not_http_is_an_error(answer: bytes, transport: HttpTransport) -> None:
    with saying(answer) as script, pytest.raises(NetworkError):
        get(transport, script)


def test_connections_are_used_again_while_they_live(transport: HttpTransport) -> None:
    with saying(OK, OK, OK + b"!", OK) as script:
        for _ in range(3):
            assert get(transport, script) == b"ok"
        assert script.closed.wait(10)
        assert script.closed.wait(5)


@pytest.mark.parametrize(
    "first",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok!",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok!",
        OK + b"HTTP/1.1 200 smuggled\r\n\r\n!",
    ],
)
def test_connections_that_may_not_be_used_again_are_not(
    first: bytes, transport: HttpTransport
) -> None:
    with saying(first, OK) as script:
        assert get(transport, script) == b"ok"
        assert script.closed.wait(10)
        assert script.closed.wait(5)


def test_a_body_that_was_not_read_leaves_nothing_for_the_next(transport: HttpTransport) -> None:
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 100_000
    with saying(large + b"!", OK) as script:
        transport.request("GET", script.url, manner=_ONCE).close()
        assert get(transport, script) == b"ok"


def test_a_head_has_no_body_whatever_it_announces(transport: HttpTransport) -> None:
    with saying(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", OK) as script:
        with transport.request("HEAD", script.url) as response:
            assert response.headers["content-length"] == "5000"
            assert response.read() == b""
        assert get(transport, script) == b"ok"
        assert script.connections == 1


def test_requests_are_as_they_should_be(transport: HttpTransport) -> None:
    with saying(OK, OK) as script:
        with transport.request("PUT", script.url + "?a=b c%20d&e=ü".replace(" ", "%20"), body=b""):
            pass
        [head] = script.asked
        lines = head.decode("latin-1").split("\r\n")
        assert lines[0] == "PUT /a?a=b%20c%20d&e=%C3%BC HTTP/1.1"
        assert lines[1] == f"Host: 127.0.0.1:{script.port}"
        assert "Content-Length: 0" in lines


def test_a_header_cannot_hold_another(transport: HttpTransport) -> None:
    with saying(OK) as script, pytest.raises((NetworkError, RequestError)):
        transport.request("GET", script.url, headers={"X": "a\r\nY: b"}, manner=_ONCE)
    assert not script.asked


def test_an_empty_body_is_sent(transport: HttpTransport) -> None:
    with saying(OK) as script:
        body = Body(lambda: io.BytesIO(b""), 0)
        with transport.request("PUT", script.url, body=body, manner=_ONCE) as response:
            assert response.read() == b"ok"
        assert b"Content-Length: 0\r\n" in script.asked[0]


def test_an_answer_before_the_body_has_gone_is_read(transport: HttpTransport) -> None:
    """A server that refuses need not take the rest; the connection is used for nothing else."""
    with saying(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno", OK) as script:
        body = Body(lambda: io.BytesIO(bytes(300 << 20)), 300 << 20)
        with transport.request("PUT", script.url, body=body, manner=_REFUSED) as response:
            assert (response.status, response.read()) == (413, b"no")
