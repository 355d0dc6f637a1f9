"""The same for many things, some at a time: moving bytes waits for sockets and disks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from imagist.progress import Meter

T = TypeVar("T")
R = TypeVar("R")


class Stopped(Exception):
    """Work that is not wanted any more, since other work failed."""


class Brake:
    """A `Meter` that stops whoever counts with it as soon as something has failed."""

    def __init__(self, meter: Meter) -> None:
        """Count with this one."""
        self._meter = meter
        self.is_pulled = False

    def expect(self, size: int) -> None:
        """See `Meter.expect`."""
        self._meter.expect(size)

    def add(self, size: int) -> None:
        """See `Meter.add`.

        Raises:
            Stopped: something has failed; but what is taken back is taken back.
        """
        self._meter.add(size)
        if self.is_pulled and size > 0:
            raise Stopped

    def finish(self, name: str, *, remembered: bool = False) -> None:
        """See `Meter.finish`."""
        self._meter.finish(name, remembered=remembered)


def each(
    function: Callable[[T], R], items: Iterable[T], jobs: int, *, brake: Brake | None = None
) -> list[R]:
    """Do something for each item, `jobs` at a time; the results in order.

    The first failure is raised when what has begun has ended, which the brake hastens; what has
    not, never does. An interrupt is raised at once.
    """
    items = list(items)
    if len(items) < 2 or jobs < 2:
        return [function(item) for item in items]
    return _Crew(function, items, brake).work(min(jobs, len(items)))


class _Crew(Generic[T, R]):
    """Threads that take items from one list. The pools of Python cost 10 ms to load."""

    def __init__(
        self, function: Callable[[T], R], items: Sequence[T], brake: Brake | None
    ) -> None:
        self._brake = brake
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
        if self._brake is not None:
            self._brake.is_pulled = True
