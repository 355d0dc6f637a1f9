"""Gzip in parallel: members of fixed size, so that the bytes depend on nothing but the input.

RFC 1952 allows a gzip file to be a series of members. Every mebibyte of a tar becomes one member,
whatever the number of threads and whatever the sizes in which it was written; libdeflate gives
the same bytes on every CPU, which isal and zlib-ng do not promise.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import deflate
import msgspec

from imagist.digest import Digest

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

MEMBER: Final = 1 << 20
"""Bytes of input in each gzip member."""
LEVEL: Final = 1
FORMAT: Final = "libdeflate-1.1:1048576"
"""Names codec, level and member size, for memo keys: it changes whenever the bytes would."""


class Compressed(msgspec.Struct, frozen=True):
    """What came out of a `GzipWriter`."""

    digest: Digest
    """SHA-256 of the gzip stream."""
    size: int
    """Bytes of the gzip stream."""
    diff_id: Digest
    """SHA-256 of what was written in."""
    tar_size: int
    """Bytes that were written in."""


def compress_member(block: bytes) -> bytes:
    """One gzip member without name and time; the same bytes on every machine."""
    return bytes(deflate.gzip_compress(block, LEVEL))


class GzipWriter:
    """Compress a stream into `write`, hashing both sides on the way.

    Blocks are compressed by threads while the caller's thread hashes and writes; at most twice as
    many blocks are held as there are threads. Use it as a context manager, or call `close`.
    """

    def __init__(self, write: Callable[[bytes], object], *, jobs: int | None = None) -> None:
        """Send the gzip stream to `write`; `jobs` threads compress (default: one for each CPU)."""
        self._sink = write
        self._jobs = jobs or _cpus()
        self._parts: list[bytes | memoryview] = []
        self._waiting = 0
        self._queue: deque[Future[bytes]] = deque()
        self._input = hashlib.sha256()
        self._input_size = 0
        self._output = hashlib.sha256()
        self._output_size = 0
        self._result: Compressed | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take more of the stream; pieces of any size, a changeable buffer is copied."""
        piece = data if isinstance(data, bytes) else bytes(data)
        room = MEMBER - self._waiting
        if len(piece) < room:
            self._parts.append(piece)
            self._waiting += len(piece)
            return
        view = memoryview(piece)
        while len(view) >= room:
            self._parts.append(view[:room])
            self._submit()
            view = view[room:]
            room = MEMBER
        self._parts = [view] if view else []
        self._waiting = len(view)

    def close(self) -> Compressed:
        """Finish the stream (an empty one is one empty member); a second call changes nothing."""
        if self._result is None:
            if self._waiting or not self._input_size:
                self._submit()
            while self._queue:
                self._take()
            self._result = Compressed(
                Digest("sha256:" + self._output.hexdigest()),
                self._output_size,
                Digest("sha256:" + self._input.hexdigest()),
                self._input_size,
            )
        return self._result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the stream, or drop what is under way where an error passes through."""
        if kind is None:
            self.close()
            return
        while self._queue:
            self._queue.popleft().cancel()

    def _submit(self) -> None:
        block = b"".join(self._parts)
        self._parts = []
        self._waiting = 0
        if self._jobs == 1:
            self._put(compress_member(block))
        else:
            if len(self._queue) >= 2 * self._jobs:
                self._take()
            self._queue.append(_pool(self._jobs).submit(compress_member, block))
        self._input.update(block)
        self._input_size += len(block)

    def _take(self) -> None:
        self._put(self._queue.popleft().result())

    def _put(self, member: bytes) -> None:
        self._output.update(member)
        self._output_size += len(member)
        self._sink(member)


@cache
def _pool(jobs: int) -> ThreadPoolExecutor:
    """The threads that all writers share. They run nothing that waits, so none can block."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - 10 ms for whom needs it

    return ThreadPoolExecutor(jobs, thread_name_prefix="imagist-gzip")


def _cpus() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1
