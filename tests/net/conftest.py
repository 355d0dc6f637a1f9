"""Servers and transports that do not really wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from fixtures.webserver import Web, serve
from imagist.net.environment import Environment
from imagist.net.retry import Patience, Waiter
from imagist.net.transport import HttpTransport

DIRECT = Environment()


@pytest.fixture
def web() -> Iterator[Web]:
    with serve() as running:
        yield running


@pytest.fixture
def other() -> Iterator[Web]:
    """A server at another port, which makes it another party."""
    with serve() as running:
        yield running


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def make(slept: list[float]) -> Iterator[Callable[..., HttpTransport]]:
    made: list[HttpTransport] = []

    def make_transport(
        environment: Environment = DIRECT,
        stall: float = 2.0,
        **more: object,
    ) -> HttpTransport:
        transport = HttpTransport(
            environment,
            patience=Patience(connect=2.0, stall=stall, base=1.0, ceiling=30.0),
            waiter=Waiter(sleep=slept.append, chance=lambda: 0.5, clock=lambda: 1_795_478_400.0),
            **more,  # type: ignore[arg-type]
        )
        made.append(transport)
        return transport

    yield make_transport
    for transport in made:
        transport.close()


@pytest.fixture
def transport(make: Callable[..., HttpTransport]) -> HttpTransport:
    return make()
