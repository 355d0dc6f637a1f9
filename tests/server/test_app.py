"""Bodies of requests, as the application takes them from a web server that is not there."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from imagist.digest import sha256
from imagist.server.access import Access
from imagist.server.accesslog import AccessLog
from imagist.server.app import Application
from imagist.server.messages import Headers
from imagist.server.metrics import Metrics
from imagist.server.registry import Policy, Registry
from imagist.store.repositories import Repositories
from server.asking import Direct

DATA = b"0123456789" * 1000


class Scope:
    """One request."""

    http_version = "1.1"
    client = "192.0.2.1:99"
    headers: Headers

    def __init__(self, method: str, path: str, headers: dict[str, str]) -> None:
        self.method = method
        self.path, _, self.query_string = path.partition("?")
        self.headers = headers


class Protocol:
    """A body that comes in pieces, of which None never comes; and the answer."""

    def __init__(self, *pieces: bytes | None) -> None:
        self._pieces = list(pieces)
        self._is_taken = False
        self.status = 0
        self.fields: dict[str, str] = {}

    def __aiter__(self) -> AsyncIterator[bytes]:
        assert not self._is_taken, "granian gives a body to one reader"
        self._is_taken = True
        return self._read()

    async def _read(self) -> AsyncIterator[bytes]:
        while self._pieces:
            piece = self._pieces.pop(0)
            if piece is None:
                await asyncio.sleep(3600)
            else:
                yield piece

    @property
    def left(self) -> int:
        return len(self._pieces)

    def response_empty(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.status, self.fields = status, dict(headers)

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        del body
        self.response_empty(status, headers)

    def response_file(self, status: int, headers: list[tuple[str, str]], file: str) -> None:
        del file
        self.response_empty(status, headers)

    def response_file_range(
        self, status: int, headers: list[tuple[str, str]], file: str, start: int, end: int
    ) -> None:
        del file, start, end
        self.response_empty(status, headers)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def application(repositories: Repositories, metrics: Metrics) -> Application:
    registry = Registry(repositories, Policy(Access(), quota=50_000), metrics)
    return Application(registry, metrics, AccessLog(None), patience=0.5)


def answer(
    application: Application, method: str, path: str, length: int, *pieces: bytes | None
) -> Protocol:
    protocol = Protocol(*pieces)
    scope = Scope(method, path, {"content-length": str(length)})
    asyncio.run(application.__rsgi__(scope, protocol))
    return protocol


def test_a_client_that_falls_silent_loses_the_upload_to_whoever_goes_on(
    application: Application, ask: Direct
) -> None:
    place = ask("POST", "/v2/x/blobs/uploads/").headers["location"]
    silent = answer(application, "PATCH", place, len(DATA), DATA[:4000], None)
    assert silent.status == 408
    assert ask("GET", place).headers["range"] == "0-3999"
    digest = sha256(DATA)
    done = answer(application, "PUT", f"{place}?digest={digest}", 6000, DATA[4000:])
    assert done.status == 201
    assert ask("GET", f"/v2/x/blobs/{digest}").body == DATA


def test_a_body_that_is_refused_midway_is_read_to_its_end(
    application: Application, ask: Direct, metrics: Metrics
) -> None:
    place = ask("POST", "/v2/x/blobs/uploads/").headers["location"]
    many = [bytes(1 << 20)] * 5
    refused = Protocol(*many)
    scope = Scope("PATCH", place, {"transfer-encoding": "chunked"})
    asyncio.run(application.__rsgi__(scope, refused))
    assert (refused.status, refused.left) == (403, 0)
    assert f"imagist_received_bytes_total {5 << 20}" in metrics.format()
    assert 'kind="upload",method="PATCH",status="403"} 1' in metrics.format()
    assert "imagist_requests_in_flight 0" in metrics.format()


def test_whoever_waits_for_an_upload_holds_nobody_up(
    application: Application, ask: Direct
) -> None:
    """Sixty chunks for an upload to which a client appends that has fallen silent."""
    place = ask("POST", "/v2/x/blobs/uploads/").headers["location"]

    async def crowd() -> tuple[Protocol, list[Protocol]]:
        def begin(method: str, path: str, *pieces: bytes | None) -> tuple[Protocol, Any]:
            protocol = Protocol(*pieces)
            scope = Scope(method, path, {"content-length": "100" if pieces else "0"})
            return protocol, asyncio.ensure_future(application.__rsgi__(scope, protocol))

        silent = begin("PATCH", place, bytes(50), None)
        await asyncio.sleep(0.05)
        waiting = [begin("PATCH", place, bytes(100)) for _ in range(60)]
        await asyncio.sleep(0.02)
        ping, asked = begin("GET", "/v2/")
        await asked
        assert ping.status == 200
        assert not any(task.done() for _, task in waiting)
        await asyncio.gather(silent[1], *(task for _, task in waiting))
        return silent[0], [protocol for protocol, _ in waiting]

    silent, waiting = asyncio.run(crowd())
    assert silent.status == 408
    assert {each.status for each in waiting} <= {202, 409, 403}


def test_a_body_that_nobody_asked_for_is_read_within_reason(application: Application) -> None:
    endless = answer(application, "GET", "/v2/", 100 << 20, *[bytes(1 << 20)] * 100)
    assert endless.status == 200
    assert 30 < endless.left < 40


def test_what_fails_is_told_and_logged(repositories: Repositories, ask: Direct) -> None:
    ask.put_blob("x", DATA)
    folder = repositories.blobs.root / "repositories" / "x"
    folder.rename(repositories.blobs.root / "away")
    folder.write_text("in the way")
    stream = io.BytesIO()
    log, metrics = AccessLog(stream), Metrics()
    registry = Registry(repositories, Policy(Access()), metrics)
    failed = answer(Application(registry, metrics, log), "POST", "/v2/x/blobs/uploads/", 0)
    assert failed.status == 507
    log.close()
    line = json.loads(stream.getvalue())
    assert (line["status"], line["remote"]) == (507, "192.0.2.1")
    assert "Not a directory" in line["error"]
