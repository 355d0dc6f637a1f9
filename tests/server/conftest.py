from __future__ import annotations

from pathlib import Path

import pytest

from imagist.server.access import Access
from imagist.server.metrics import Metrics
from imagist.server.registry import Policy, Registry
from imagist.store.blobs import Blobs
from imagist.store.repositories import Repositories
from imagist.store.store import Store
from server.asking import Direct


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store's folder."""
    Store.open(tmp_path / "store").close()
    return tmp_path / "store"


@pytest.fixture
def repositories(root: Path) -> Repositories:
    return Repositories(Blobs(root))


@pytest.fixture
def ask(repositories: Repositories) -> Direct:
    """A registry that takes everything, asked without a web server."""
    return Direct(Registry(repositories, Policy(Access()), Metrics()))
