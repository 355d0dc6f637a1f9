"""The store's lock, between many who share it for a moment and one who wants it alone."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from imagist.errors import RequestError
from imagist.store import lock
from imagist.store.lock import Lock, shared


def test_many_who_come_and_go_let_one_have_it_alone(tmp_path: Path) -> None:
    """Some thread of these holds it at any time."""
    file = tmp_path / "lock"
    stop = threading.Event()
    inside: list[int] = []

    def share() -> None:
        while not stop.is_set():
            with shared(file):
                inside.append(1)
                time.sleep(0.02)
                inside.pop()

    threads = [threading.Thread(target=share) for _ in range(8)]
    for thread in threads:
        thread.start()
    own = Lock(file)
    try:
        for _ in range(5):
            with own.alone():
                time.sleep(0.05)
                assert not inside
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        own.close()


def test_one_who_stays_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_PATIENCE", 0.1)
    own = Lock(tmp_path / "lock")
    with (
        shared(tmp_path / "lock"),
        pytest.raises(RequestError, match="another imagist"),
        own.alone(),
    ):
        pass
    other = Lock(tmp_path / "lock")
    with pytest.raises(RequestError), own.alone():
        pass
    other.close()
    with own.alone():
        pass
    own.close()
