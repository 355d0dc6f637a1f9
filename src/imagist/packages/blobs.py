"""Where the files of packages go, as far as those who verify packages know it."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from imagist.digest import Digest


class Writer(Protocol):
    """Takes the bytes of one blob; see `store.blobs.BlobWriter`."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    def write(self, data: bytes | memoryview, /) -> object:
        """Append bytes."""

    def commit(self, expected: str | None = None) -> Digest:
        """Keep the blob and return its digest; `Untrusted` where it is not the expected one."""


class Blobs(Protocol):
    """Where they go; `store.store.Store` is one."""

    def writer(self) -> Writer:
        """Begin a blob."""
