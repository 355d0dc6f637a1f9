"""The same for many things, some at a time: moving bytes waits for sockets and disks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def each(function: Callable[[T], R], items: Iterable[T], jobs: int) -> list[R]:
    """Do something for each item, `jobs` at a time; the results in order.

    The first failure is raised when what has begun has ended; what has not, never does.
    """
    items = list(items)
    if len(items) < 2 or jobs < 2:
        return [function(item) for item in items]
    from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait  # noqa: PLC0415

    with ThreadPoolExecutor(min(jobs, len(items))) as pool:
        futures = [pool.submit(function, item) for item in items]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:  # the failure that came first, not the first in line
                future.result()
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
