"""A reader over a store in a folder, whose waits take no time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.maker import Apk, Repository, file, write_repository
from fixtures.webserver import Web, serve
from imagist.net.conditional import CachedGet
from imagist.net.environment import Environment
from imagist.net.retry import Patience, Waiter
from imagist.net.transport import HttpTransport
from imagist.packages.reading import Reader
from imagist.store.store import Store


@pytest.fixture
def web() -> Iterator[Web]:
    with serve() as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def make_reader(store: Store) -> Iterator[Callable[..., Reader]]:
    made: list[HttpTransport] = []

    def make(*, offline: bool = False, http_auth: str = "") -> Reader:
        transport = HttpTransport(
            Environment(http_auth=http_auth),
            patience=Patience(connect=2.0, stall=2.0),
            waiter=Waiter(sleep=lambda _: None),
        )
        made.append(transport)
        return Reader(transport, CachedGet(transport, store, offline=offline))

    yield make
    for transport in made:
        transport.close()


@pytest.fixture
def reader(make_reader: Callable[..., Reader]) -> Reader:
    return make_reader()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Three packages for two architectures, signed."""
    apks = [
        Apk("small", items=(file("etc/small", "small\n"),)),
        Apk("middle", items=(file("etc/middle", bytes(range(256)) * 40),)),
        Apk("large", items=(file("usr/large", b"".join(i.to_bytes(4) for i in range(90_000))),)),
    ]
    return write_repository(tmp_path / "repository", {"x86_64": apks, "aarch64": apks[:2]})
