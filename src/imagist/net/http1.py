"""HTTP/1.1 as a client speaks it with one server (RFC 9112): connections that are used again.

A library for this costs a third of a short command's time, most of it for what is not needed
here; through proxies `proxied` still uses one. Redirections, retries and limits are above, in
`transport`.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from imagist.net.body import Body
from imagist.net.url import Origin
from imagist.net.wire import LARGEST_HEAD, ProtocolError, Wire, connect_to

if TYPE_CHECKING:
    from ssl import SSLContext

_STATUS: Final = rb"HTTP/1\.([01]) ([0-9]{3})(?: ([^\r\n]*))?\r?\n?"
_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MOST_INTERIM: Final = 32
"""Interim answers (1xx) before the answer."""
_KEPT: Final = 16
"""Connections without a request that are kept to one server."""


class Headers:
    """The headers of an answer; their names in any case."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        """Take names, in lower case, with their values."""
        self._fields = fields

    def items(self) -> list[tuple[str, str]]:
        """Names, in lower case, with their values, as they came."""
        return self._fields

    def getlist(self, name: str) -> list[str]:
        """All values of a header."""
        wanted = name.lower()
        return [value for key, value in self._fields if key == wanted]

    def get(self, name: str, default: str = "") -> str:
        """The value of a header; several are one list (RFC 9110, 5.3)."""
        return ", ".join(self.getlist(name)) or default


class Pool:
    """Connections to servers, each used for one request at a time; safe for many threads."""

    def __init__(self) -> None:
        """Nothing is connected yet."""
        self._idle: dict[Origin, list[Wire]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()

    __del__ = close  # whoever forgets a pool leaves no sockets behind

    def send(
        self,
        method: str,
        origin: Origin,
        target: str,
        headers: Mapping[str, str],
        body: bytes | Body | None,
        *,
        context: SSLContext | None,
        connect: float,
        stall: float,
    ) -> Answer:
        """Send a request, and give the answer before its body is read.

        Args:
            method: `GET` ...
            origin: the server.
            target: path and query.
            headers: headers to send.
            body: what to send.
            context: how TLS is spoken, for https.
            connect: seconds for a connection to be made.
            stall: seconds for the next byte to come or go.

        Raises:
            OSError: there is no answer, or it is none.
        """
        connection = self._take(origin)
        if connection is None:
            connection = Wire(origin, connect_to(origin, context, connect))
        try:
            connection.allow(stall)
            connection.send(method, target, headers, body)
            return Answer(connection, self, method)
        except BaseException:
            connection.close()
            raise

    def _take(self, origin: Origin) -> Wire | None:
        """An idle connection that its server has not closed."""
        while True:
            with self._lock:
                idle = self._idle.get(origin)
                connection = idle.pop() if idle else None
            if connection is None or connection.is_alive():
                return connection
            connection.close()

    def give_back(self, connection: Wire) -> None:
        """Keep a connection whose answer was read to its end."""
        connection.idle_since = time.monotonic()
        with self._lock:
            idle = self._idle.setdefault(connection.origin, [])
            if len(idle) < _KEPT:
                idle.append(connection)
                return
        connection.close()


class Answer:
    """An answer: its status, its headers, and its body as it comes."""

    def __init__(self, connection: Wire, pool: Pool, method: str) -> None:
        """Read the head."""
        self._connection: Wire | None = connection
        self._pool = pool
        minor, self.status, self.reason, self.headers = _read_head(connection)
        tokens = self.headers.get("connection").lower()
        self._reusable = minor == 1 and "close" not in tokens and not connection.is_spent
        self._is_chunked = False
        self._left: int | None = 0
        """Bytes that are to come, of the chunk where there are chunks; None: until the end."""
        if method == "HEAD" or self.status in {204, 304}:
            self._finish()
            return
        coding = self.headers.get("transfer-encoding").lower()
        if coding:
            if coding.rpartition(",")[2].strip() != "chunked":
                raise ProtocolError(f"an answer is encoded as `{coding}`")
            self._is_chunked = True
            self._left = 0
            return
        self._left = _read_length(self.headers)
        if self._left is None:
            self._reusable = False
        elif not self._left:
            self._finish()

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end.

        Raises:
            OSError: the body broke off.
        """
        if self._connection is None:
            return b""
        wanted = size if self._left is None or self._is_chunked else min(size, self._left)
        buffer = bytearray(wanted)
        view = memoryview(buffer)
        filled = 0
        while filled < wanted and (count := self.readinto(view[filled:])):
            filled += count
        return bytes(view[:filled])

    def readinto(self, view: memoryview) -> int:
        """Some bytes, as soon as there are any; 0 at the end.

        Raises:
            OSError: the body broke off.
        """
        if self._is_chunked and not self._left and self._connection is not None:
            self._next_chunk()
        connection = self._connection
        if connection is None or not len(view):
            return 0
        if self._left is not None and len(view) > self._left:
            view = view[: self._left]
        count = connection.readinto(view)
        if self._left is None:
            if not count:
                self._finish()
            return count
        if not count:
            raise ProtocolError(f"an answer broke off, {self._left} bytes before its end")
        self._left -= count
        if not self._left:
            if self._is_chunked:
                connection.read_line()
            else:
                self._finish()
        return count

    def close(self) -> None:
        """Have done with it; unless its body was read, its connection goes with it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _next_chunk(self) -> None:
        """Read how large the next chunk is (RFC 9112, 7.1); after the last come trailers."""
        connection = self._connection
        assert connection is not None  # noqa: S101 - only readers that have one come here
        text = connection.read_line().partition(b";")[0].strip()
        try:
            self._left = int(text, 16) if text.isalnum() and len(text) < 16 else -1
        except ValueError:
            self._left = -1
        if self._left < 0:
            raise ProtocolError("a chunk of an answer has no size")
        if not self._left:
            left = LARGEST_HEAD
            while (line := connection.read_line()).strip():
                left -= len(line)
                if left < 0:
                    raise ProtocolError("the trailers of an answer have no end")
            self._finish()

    def _finish(self) -> None:
        connection, self._connection, self._left = self._connection, None, 0
        if connection is not None and self._reusable:
            self._pool.give_back(connection)
        elif connection is not None:
            connection.close()


def _read_head(connection: Wire) -> tuple[int, int, str, Headers]:
    """Minor version, status, reason and headers; interim answers (1xx) are passed over."""
    for _ in range(_MOST_INTERIM):
        head = connection.read_head()
        match = re.match(_STATUS, head)
        if match is None:
            raise ProtocolError("the server does not speak HTTP")
        status = int(match[2])
        if status >= 200:
            fields = list(_parse_fields(head[match.end() :]))
            reason = (match[3] or b"").decode("latin-1").strip()
            return int(match[1]), status, reason, Headers(fields)
    raise ProtocolError("the server says again and again that it goes on")


def _parse_fields(block: bytes) -> Iterator[tuple[str, str]]:
    for line in block.splitlines():
        if not line:
            continue
        name, colon, value = line.partition(b":")
        # Folded lines are obsolete, and a space before the colon was an attack (RFC 9112, 5.1).
        if not colon or not re.fullmatch(_TOKEN, name):
            raise ProtocolError("a header of an answer is none")
        yield name.decode("ascii").lower(), value.strip(b" \t").decode("latin-1")


def _read_length(headers: Headers) -> int | None:
    """The Content-Length; None where none makes sense: then the connection's end is the body's."""
    texts = {text.strip() for text in headers.get("content-length").split(",")}
    if len(texts) > 1:  # whoever reads it in another way would see two answers
        raise ProtocolError("an answer has several lengths")
    [text] = texts
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
