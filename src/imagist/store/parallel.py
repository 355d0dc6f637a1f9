"""The same for many things, some at a time: moving bytes waits for sockets and disks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def each(function: Callable[[T], R], items: Iterable[T], jobs: int) -> list[R]:
    """Do something for each item, `jobs` at a time; the results in order.

    The first failure is raised when what has begun has ended; what has not, never does. An
    interrupt is raised at once.
    """
    items = list(items)
    if len(items) < 2 or jobs < 2:
        return [function(item) for item in items]
    return _Crew(function, items).work(min(jobs, len(items)))


class _Crew(Generic[T, R]):
    """Threads that take items from one list. The pools of Python cost 10 ms to load."""

    def __init__(self, function: Callable[[T], R], items: Sequence[T]) -> None:
        self._function = function
        self._items = iter(enumerate(items))
        self._results: dict[int, R] = {}
        self._failure: BaseException | None = None
        self._lock = threading.Lock()

    def work(self, jobs: int) -> list[R]:
        threads = [threading.Thread(target=self._take_turns, daemon=True) for _ in range(jobs)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except BaseException as error:  # an interrupt, while we wait
            self._fail(error)
            raise
        if self._failure is not None:
            raise self._failure
        return [self._results[number] for number in range(len(self._results))]

    def _take_turns(self) -> None:
        while True:
            with self._lock:
                turn = None if self._failure is not None else next(self._items, None)
            if turn is None:
                return
            number, item = turn
            try:
                result = self._function(item)
            except BaseException as error:
                self._fail(error)
            else:
                with self._lock:
                    self._results[number] = result

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._failure = self._failure or error
