"""Requests and answers as values, so that the protocol knows no web server.

An answer to a request without a body is a `Response`. A request with a body may get an `Intake`
instead, which takes the body piece by piece and then gives the answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Protocol
from urllib.parse import parse_qsl

import msgspec

JSON: Final = "application/json"
_LENGTH: Final = re.compile("[0-9]{1,18}")


class Headers(Protocol):
    """The fields of a request by their names in lower case."""

    def get(self, name: str, /) -> str | None:
        """The value of a field."""


class Request:
    """One request, but for its body."""

    __slots__ = ("headers", "kind", "length", "method", "path", "query", "remote", "user")

    def __init__(
        self,
        method: str,
        path: str,
        headers: Headers,
        query: str = "",
        remote: str = "",
        *,
        is_framed: bool = False,
    ) -> None:
        """Take what arrived.

        Args:
            method: in upper case.
            path: without its query, unquoted.
            headers: its fields.
            query: what follows the question mark, as it arrived.
            remote: the client's address.
            is_framed: whether a body may come that no header announces (HTTP/2).
        """
        self.method = method
        self.path = path
        self.headers = headers
        self.query = query
        self.remote = remote
        self.length = self._read_length(is_framed=is_framed)
        """Bytes of the body as announced; None where they are not, which may be as many."""
        self.kind = "other"
        """What it is about, once that is known; for who counts."""
        self.user = ""
        """Who asks, once the password held."""

    def header(self, name: str) -> str:
        """A field by its name in lower case; empty where it is absent."""
        return self.headers.get(name) or ""

    def parameters(self, name: str) -> list[str]:
        """The values of a parameter of the query, in order."""
        if not self.query:
            return []
        return [v for key, v in parse_qsl(self.query, keep_blank_values=True) if key == name]

    def parameter(self, name: str) -> str | None:
        """The first value of a parameter of the query."""
        return next(iter(self.parameters(name)), None)

    def _read_length(self, *, is_framed: bool) -> int | None:
        if self.header("transfer-encoding"):
            return None
        text = self.header("content-length")
        if _LENGTH.fullmatch(text):
            return int(text)
        return None if is_framed else 0


class FilePart(msgspec.Struct, frozen=True):
    """Bytes `start` up to `end` of a file, which the web server sends itself."""

    path: str
    start: int
    end: int
    is_all: bool = True


class Response(msgspec.Struct, frozen=True):
    """An answer. To HEAD it has the headers of GET, and no body."""

    status: int
    headers: Sequence[tuple[str, str]] = ()
    body: bytes | FilePart = b""


class Intake(Protocol):
    """Takes the body of a request. `finish` or `abort` ends it; none of the three may overlap."""

    def write(self, data: bytes) -> None:
        """Take some bytes; may wait for the disk.

        Raises:
            Refusal: no more is taken.
        """

    def finish(self) -> Response:
        """All bytes have arrived: the answer.

        Raises:
            Refusal: they are not what they should be.
        """

    def abort(self) -> None:
        """The client went away before its last byte, or the answer is given already."""


class Refusal(Exception):
    """A request is not carried out (distribution-spec, "Error Codes")."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        detail: object = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers

    @property
    def response(self) -> Response:
        """The answer that tells it."""
        error: dict[str, object] = {"code": self.code, "message": str(self)}
        if self.detail is not None:
            error["detail"] = self.detail
        return answer_json(self.status, {"errors": [error]}, self.headers)


class Busy(Refusal):
    """The request may be carried out in a moment, when another one has ended."""


def answer_json(
    status: int,
    document: object,
    headers: Sequence[tuple[str, str]] = (),
    media_type: str = JSON,
) -> Response:
    """An answer whose body is a document."""
    body = msgspec.json.encode(document, enc_hook=str)
    fields = [("content-type", media_type), ("content-length", str(len(body)))]
    return Response(status, [*fields, *headers], body)
