from __future__ import annotations

import threading
import time

import pytest

from imagist.errors import NetworkError
from imagist.progress import SILENT
from imagist.store.parallel import Brake, each


def test_each_gives_results_in_order_with_any_number_of_jobs() -> None:
    for jobs in (1, 2, 8, 100):
        assert each(lambda n: n * 2, range(20), jobs) == [n * 2 for n in range(20)]
        assert each(str, [], jobs) == []


def test_each_ends_with_the_failure_that_came_first() -> None:
    seen: list[int] = []
    gate = threading.Event()

    def work(number: int) -> int:
        if number == 1:
            raise NetworkError("first")
        gate.wait(0.2)
        seen.append(number)
        return number

    with pytest.raises(NetworkError, match="first"):
        each(work, range(50), 3)
    assert len(seen) < 10


def test_a_failure_stops_what_counts_with_the_brake() -> None:
    brake = Brake(SILENT)

    def work(number: int) -> None:
        if number == 3:
            raise NetworkError("first")
        for _ in range(1000):  # ten seconds of work
            time.sleep(0.01)
            brake.add(1)

    begun = time.monotonic()
    with pytest.raises(NetworkError, match="first"):
        each(work, range(50), 4, brake=brake)
    assert time.monotonic() - begun < 5
    brake.add(-5)  # what is taken back is taken back


def test_no_more_at_a_time_than_jobs() -> None:
    most, now = 0, 0
    lock = threading.Lock()

    def work(_: int) -> None:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.005)
        with lock:
            now -= 1

    each(work, range(40), 5)
    assert 1 < most <= 5
