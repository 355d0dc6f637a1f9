"""Work that many threads want done at the same moment, done once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class _Flight(Generic[T]):
    """Work under way, and what came of it."""

    def __init__(self) -> None:
        self.landed = threading.Event()
        self.results: list[T] = []
        self.error: BaseException | None = None


class SingleFlight(Generic[T]):
    """Lets the first who asks do the work, and gives all who came meanwhile what came of it."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, _Flight[T]] = {}
        self._lock = threading.Lock()

    def do(self, key: Hashable, work: Callable[[], T]) -> T:
        """The result of the work, or its error; nothing is remembered afterwards."""
        with self._lock:
            flight = self._under_way.get(key)
            first = flight is None
            if flight is None:
                flight = self._under_way[key] = _Flight()
        if first:
            try:
                flight.results.append(work())
            except BaseException as error:  # raised again, here and by who waits
                flight.error = error
            finally:
                with self._lock:
                    del self._under_way[key]
                flight.landed.set()
        flight.landed.wait()
        if flight.error is not None:
            raise flight.error
        return flight.results[0]
