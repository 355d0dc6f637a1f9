"""Work that many threads want done at the same moment, done once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Lets the first who asks do the work, and gives all who came meanwhile what came of it."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, Future[T]] = {}
        self._lock = threading.Lock()

    def do(self, key: Hashable, work: Callable[[], T]) -> T:
        """The result of the work, or its error; nothing is remembered afterwards."""
        with self._lock:
            future = self._under_way.get(key)
            if future is not None:
                waiting = future
            else:
                waiting = self._under_way[key] = Future()
        if future is None:
            try:
                waiting.set_result(work())
            except BaseException as error:  # raised again, here and by who waits
                waiting.set_exception(error)
            finally:
                with self._lock:
                    del self._under_way[key]
        return waiting.result()
