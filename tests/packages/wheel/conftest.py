"""An index, a store and a transport whose waits take no time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.simpleindex import SimpleIndex
from fixtures.webserver import Web, serve
from imagist.net.environment import Environment
from imagist.net.retry import Patience, Waiter
from imagist.net.transport import HttpTransport
from imagist.store.store import Store


@pytest.fixture
def web() -> Iterator[Web]:
    with serve() as running:
        yield running


@pytest.fixture
def index(web: Web) -> SimpleIndex:
    return SimpleIndex(web)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def transport() -> Iterator[HttpTransport]:
    waiter = Waiter(sleep=lambda _: None)
    made = HttpTransport(Environment(), patience=Patience(attempts=3), waiter=waiter)
    yield made
    made.close()
