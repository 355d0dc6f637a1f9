"""Clients that go away or want too little, and files that go away while they are sent."""

from __future__ import annotations

import hashlib
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.serving import Serving, serving
from imagist.digest import sha256
from server.asking import Asker
from support import needs

DATA = bytes(range(256)) * 40_000
DIGEST = sha256(DATA)
UPLOADS = "/v2/team/app/blobs/uploads/"


@pytest.fixture(scope="module")
def registry() -> Iterator[Serving]:
    with serving() as running:
        yield running


@pytest.fixture
def ask(registry: Serving) -> Iterator[Asker]:
    with Asker(registry.address) as asker:
        yield asker


def send(registry: Serving, head: str, body: bytes = b"") -> socket.socket:
    """Begin a request by hand."""
    connection = socket.create_connection(("127.0.0.1", registry.port), timeout=20)
    connection.sendall(f"{head}\r\nHost: {registry.address}\r\n\r\n".encode() + body)
    return connection


def reset(connection: socket.socket) -> None:
    """Hang up rudely."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def wait_until_begun(ask: Asker, place: str) -> None:
    """Until some bytes of an upload have arrived."""
    for _ in range(300):
        if ask("GET", place).headers["range"] != "0-0":
            return
        time.sleep(0.1)
    raise AssertionError("the upload does not begin")


def wait_for(registry: Serving, ask: Asker, place: str) -> int:
    """Bytes of an upload, once the server has noticed that its client went."""
    seen = -1
    for _ in range(100):
        answer = ask("GET", place)
        now = int(answer.headers["range"].removeprefix("0-"))
        if now == seen > 0:
            return now + 1
        seen = now
        time.sleep(0.1)
    raise AssertionError("the upload goes on and on")


@pytest.mark.parametrize("rudely", [False, True])
@pytest.mark.parametrize(
    ("method", "way"), [("PATCH", "length"), ("PATCH", "chunked"), ("PUT", "length")]
)
def test_a_client_that_goes_away_can_come_back(
    registry: Serving, ask: Asker, rudely: bool, way: str, method: str
) -> None:
    place = ask("POST", UPLOADS).headers["location"]
    target = f"{place}?digest={DIGEST}" if method == "PUT" else place
    half = DATA[: 3 << 20]
    if way == "length":
        connection = send(
            registry, f"{method} {target} HTTP/1.1\r\nContent-Length: {len(DATA)}", half
        )
    else:
        head = f"{method} {target} HTTP/1.1\r\nTransfer-Encoding: chunked"
        connection = send(registry, head, f"{len(half):x}\r\n".encode() + half + b"\r\n")
    wait_until_begun(ask, place)
    reset(connection) if rudely else connection.close()
    assert ask("HEAD", f"/v2/team/app/blobs/{DIGEST}").status == 404
    got = wait_for(registry, ask, place)
    assert 1 <= got <= len(half)
    rest = DATA[got:]
    fields = {"content-range": f"{got}-{len(DATA) - 1}"}
    done = ask("PUT", f"{place}?digest={DIGEST}", rest, fields)
    assert done.status == 201, done
    assert ask("GET", f"/v2/team/app/blobs/{DIGEST}").body == DATA
    assert ask("DELETE", f"/v2/team/app/blobs/{DIGEST}").status == 202


def test_a_last_stream_that_breaks_off_ends_the_upload(registry: Serving, ask: Asker) -> None:
    """It looks like a stream that is over, but has another digest."""
    place = ask("POST", UPLOADS).headers["location"]
    head = f"PUT {place}?digest={DIGEST} HTTP/1.1\r\nTransfer-Encoding: chunked"
    send(registry, head, b"400000\r\n" + DATA[: 1 << 22]).close()
    for _ in range(100):
        if ask("GET", place).status == 404:
            break
        time.sleep(0.1)
    assert ask("GET", place).status == 404
    assert ask("HEAD", f"/v2/team/app/blobs/{DIGEST}").status == 404


def test_half_a_push_at_once_leaves_nothing(registry: Serving, ask: Asker) -> None:
    head = f"POST {UPLOADS}?digest={DIGEST} HTTP/1.1\r\nContent-Length: {len(DATA)}"
    reset(send(registry, head, DATA[: 2 << 20]))
    uploads = registry.folder / "repositories/team/app/_uploads"
    for _ in range(100):
        if not any(path.stat().st_size for path in uploads.glob("*")):
            break
        time.sleep(0.1)
    assert not any(path.stat().st_size for path in uploads.glob("*"))
    assert ask("HEAD", f"/v2/team/app/blobs/{DIGEST}").status == 404


def test_half_a_manifest_is_none(registry: Serving, ask: Asker) -> None:
    raw = b'{"mediaType": "application/x+json"'
    head = "PUT /v2/team/half/manifests/1 HTTP/1.1\r\nContent-Length: 1000"
    reset(send(registry, head, raw))
    send(registry, head, raw + b"}").close()
    connection = send(
        registry,
        "PUT /v2/team/half/manifests/1 HTTP/1.1\r\nTransfer-Encoding: chunked",
        b"22\r\n" + raw,
    )
    connection.close()
    time.sleep(0.3)
    assert ask("GET", "/v2/team/half/manifests/1").status == 404


def test_an_answer_comes_though_the_body_is_not_wanted(registry: Serving, ask: Asker) -> None:
    number = "0" * 32
    answer = ask("PUT", f"{UPLOADS}{number}?digest={DIGEST}", DATA)
    assert answer.code == "BLOB_UPLOAD_UNKNOWN"
    assert ask("GET", "/v2/").status == 200  # over the same connection


def test_a_pull_that_began_ends_though_the_blob_is_removed(registry: Serving, ask: Asker) -> None:
    ask.put_blob("team/app", DATA)
    place = registry.folder / "blobs" / "sha256" / DIGEST.hex
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
    connection.connect(("127.0.0.1", registry.port))
    connection.sendall(f"GET /v2/team/app/blobs/{DIGEST} HTTP/1.0\r\n\r\n".encode())
    stream = connection.makefile("rb")
    while stream.readline().strip():
        pass
    begin = stream.read(1 << 16)
    assert ask("DELETE", f"/v2/team/app/blobs/{DIGEST}").status == 202
    place.unlink()
    rest = stream.read()
    connection.close()
    stream.close()
    assert hashlib.sha256(begin + rest).hexdigest() == DIGEST.hex


def test_a_blob_whose_file_is_lost_is_not_there(registry: Serving, ask: Asker) -> None:
    digest = ask.put_image("team/lost", "1", b"to be lost")
    for lost, path in (
        (sha256(b"to be lost"), f"/v2/team/lost/blobs/{sha256(b'to be lost')}"),
        (digest, "/v2/team/lost/manifests/1"),
    ):
        (registry.folder / "blobs" / "sha256" / lost.hex).unlink()
        assert ask("GET", path).status == 404
        assert ask("HEAD", path).status == 404
    ask.put_image("team/lost", "1", b"to be lost")  # a push brings it back
    assert ask("GET", "/v2/team/lost/manifests/1").status == 200


def test_slow_and_broken_requests_hold_nobody_up(registry: Serving, ask: Asker) -> None:
    waiting = [
        send(registry, f"PUT {UPLOADS}{'0' * 32} HTTP/1.1\r\nContent-Length: 9") for _ in range(50)
    ]
    half = [socket.create_connection(("127.0.0.1", registry.port)) for _ in range(50)]
    for connection in half:
        connection.sendall(b"GET /v2/ HT")
    ask.put_blob("team/app", b"quick")
    garbage = send(registry, "\x00\x01 nonsense")
    assert garbage.recv(1000).startswith(b"HTTP/1.1 400")
    for connection in (*waiting, *half, garbage):
        connection.close()
    assert ask("GET", "/v2/").status == 200


def test_stopping_lets_an_upload_end(tmp_path: Path) -> None:
    with serving(tmp_path / "store") as own, Asker(own.address) as ask:
        place = ask("POST", UPLOADS).headers["location"]
        head = f"PUT {place}?digest={DIGEST} HTTP/1.1\r\nContent-Length: {len(DATA)}"
        connection = send(own, head, DATA[: 2 << 20])
        wait_until_begun(ask, place)
        own.process.terminate()
        time.sleep(0.2)
        connection.sendall(DATA[2 << 20 :])
        assert connection.recv(100).startswith(b"HTTP/1.1 201")
        connection.close()
        assert own.process.wait(15) == 0
    assert (tmp_path / "store" / "blobs" / "sha256" / DIGEST.hex).read_bytes() == DATA


@needs("curl")
@pytest.mark.parametrize(("path", "code"), [("0" * 32, b"404"), ("", b"201")])
def test_a_client_that_asks_before_it_sends(
    registry: Serving, ask: Asker, path: str, code: bytes
) -> None:
    """Refused bytes are not asked for (`Expect: 100-continue`)."""
    place = UPLOADS + path if path else ask("POST", UPLOADS).headers["location"]
    words = [
        "curl",
        "-sS",
        "-X",
        "PUT",
        "-T",
        "-",
        "-H",
        "Expect: 100-continue",
        "--expect100-timeout",
        "20",
    ]
    words += [
        "-H",
        f"Content-Length: {len(DATA)}",
        "-H",
        "Transfer-Encoding:",
        "-o",
        "/dev/null",
        "-w",
    ]
    words += ["%{http_code} %{size_upload}", f"{registry.url}{place}?digest={DIGEST}"]
    done = subprocess.run(words, input=DATA, capture_output=True, timeout=30)
    sent = len(DATA) if code == b"201" else 0
    assert done.stdout == b"%s %d" % (code, sent), done.stderr
