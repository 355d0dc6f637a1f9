"""What granian hands to an application (RSGI specification, 1.6), as far as it is used here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from imagist.server.messages import Headers


class Scope(Protocol):
    """One request, but for its body."""

    http_version: str
    """`1`, `1.1` or `2`."""
    client: str
    """The client's address and port."""
    method: str
    path: str
    query_string: str
    headers: Headers


class HTTPProtocol(Protocol):
    """The body of a request, and the way of the answer."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""

    def response_empty(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Answer without a body."""

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Answer with bytes."""

    def response_file(self, status: int, headers: list[tuple[str, str]], file: str) -> None:
        """Answer with a file."""

    def response_file_range(
        self, status: int, headers: list[tuple[str, str]], file: str, start: int, end: int
    ) -> None:
        """Answer with bytes `start` up to `end` of a file."""
