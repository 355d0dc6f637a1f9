"""Registries to speak with, and clients that do not really wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.registries import KINDS, running
from fixtures.serving import serving
from imagist.net.environment import Environment
from imagist.net.retry import Patience, Waiter
from imagist.net.transport import HttpTransport
from imagist.registry.client import Registries
from support import needs

_KINDS = [
    pytest.param("imagist serve"),
    *(pytest.param(kind, marks=needs(kind)) for kind in KINDS),
]


@pytest.fixture(scope="session", params=_KINDS)
def any_registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Each kind of registry in turn: `127.0.0.1:port`."""
    if request.param == "imagist serve":
        with serving() as ours:
            yield ours.address
        return
    with running(request.param, tmp_path_factory.mktemp(request.param)) as address:
        yield address


@pytest.fixture
def distribution(tmp_path: Path) -> Iterator[str]:
    """A fresh distribution 3: `127.0.0.1:port`; whoever takes it `needs("registry")`."""
    with running("registry", tmp_path / "distribution") as address:
        yield address


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def connect(slept: list[float]) -> Iterator[Callable[..., Registries]]:
    """Make a client; it notes its waits instead of waiting."""
    made: list[HttpTransport] = []

    def make(stall: float = 10.0, **more: object) -> Registries:
        waiter = Waiter(sleep=slept.append, chance=lambda: 0.5)
        patience = Patience(connect=2.0, stall=stall)
        transport = HttpTransport(
            Environment(), anonymous=True, patience=patience, waiter=waiter, limit=None
        )
        made.append(transport)
        return Registries(transport, waiter=waiter, **more)  # type: ignore[arg-type]

    yield make
    for transport in made:
        transport.close()


@pytest.fixture
def registries(connect: Callable[..., Registries]) -> Registries:
    return connect()
