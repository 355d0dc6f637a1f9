"""A folder to edit images in, and a registry that stands by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from build.commandline import Answer, run
from editing.bench import Bench
from fixtures.registries import running


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A folder of its own, which is the current one, with a store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    return Bench(tmp_path, lambda *words: _run(tmp_path, *words))


def _run(folder: Path, *words: str | Path) -> Answer:
    return run(*words, "--cache", folder / "store")


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`crane registry serve`: `127.0.0.1:port`; whoever takes it `needs("crane")`."""
    with running("crane", tmp_path_factory.mktemp("registry")) as address:
        yield address
