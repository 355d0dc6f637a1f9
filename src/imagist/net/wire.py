"""One connection to a server, below HTTP: heads, lines and bodies, out and in."""

from __future__ import annotations

import re
import select
import socket
import struct
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from imagist.net.body import Body
from imagist.net.url import Origin
from imagist.oci.reader import pieces_of

if TYPE_CHECKING:
    from ssl import SSLContext

LARGEST_HEAD: Final = 1 << 17
"""Bytes of a status line with its headers, or of trailers."""
_UNFIT: Final = r"[\r\n\0]"
_RECEIVE: Final = 1 << 16
_PIECE: Final = 1 << 18
"""Bytes of a body that are received at a time; with more, a slow transfer would seem to stand."""
_IDLE: Final = 60.0
"""Seconds for which a connection without a request is used again."""


class ProtocolError(ConnectionError):
    """A server says something that is not HTTP, or less than it promised."""


class Wire:
    """A socket, and what was received but not read yet."""

    def __init__(self, origin: Origin, connected: socket.socket) -> None:
        self.origin = origin
        self.socket = connected
        self.received = bytearray()
        self.idle_since = 0.0
        self.is_spent = False
        """Whether it is good for no further request: the server answered before it had all."""
        self._whole = 0
        """The flag that lets the kernel fill a buffer before it comes back."""

    def close(self) -> None:
        """Have done with it."""
        self.socket.close()

    def allow(self, stall: float) -> None:
        """Bound the seconds for the next byte to come or go.

        Where there is no TLS the kernel sees to that itself: Python would ask, before each piece
        however small, whether it may go on, and threads wait for each other at every such step.
        """
        if self.origin.scheme == "https":
            self.socket.settimeout(stall)
            return
        self.socket.settimeout(None)
        bound = struct.pack("ll", int(stall), int(stall % 1 * 1e6))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, bound)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, bound)
        self._whole = socket.MSG_WAITALL

    def is_alive(self) -> bool:
        """Whether it can be used again: what can be read now is an end, or nobody's answer."""
        if self.received or time.monotonic() - self.idle_since > _IDLE:
            return False
        return not self._is_readable()

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | Body | None
    ) -> None:
        """Send a request.

        Raises:
            OSError: it cannot be sent, and the server does not say why.
        """
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.origin.name}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if isinstance(body, Body):
            lines.append(f"Content-Length: {body.size}")
        elif body is not None:
            lines.append(f"Content-Length: {len(body)}")
        if any(re.search(_UNFIT, line) for line in lines):
            raise ProtocolError("a header with a line break cannot be sent")
        head = "\r\n".join((*lines, "", "")).encode("latin-1")
        try:
            if isinstance(body, Body):
                self._send_stream(head, body)
            else:
                self.socket.sendall(head + (body or b""))
        except ProtocolError:
            raise
        except OSError:
            # A server may refuse before it has everything; what it says is in the socket then.
            self.is_spent = True
            if not self._has_answer():
                raise

    def _send_stream(self, head: bytes, body: Body) -> None:
        left = body.size
        with body.open() as stream:
            # Its source may be the same server, which may answer nobody while it takes a body
            # (crane's registry): so there must be something to send before anything is.
            for piece in pieces_of(stream):
                if left == body.size:
                    self.socket.sendall(head)
                elif self._is_answered():
                    self.is_spent = True
                    return
                left -= len(piece)
                self.socket.sendall(piece)
        if not body.size:
            self.socket.sendall(head)
        if left:
            raise ProtocolError(f"a body has {body.size - left} bytes instead of {body.size}")

    def _is_answered(self) -> bool:
        """Whether there is an answer already; with TLS nobody knows what there is to be read."""
        return self.origin.scheme == "http" and self._is_readable()

    def _is_readable(self) -> bool:
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(0))

    def _has_answer(self) -> bool:
        try:
            self.received += self.socket.recv(_RECEIVE)
        except OSError:
            return False
        return bool(self.received)

    def read_head(self) -> bytes:
        """Everything up to the empty line that ends the headers."""
        searched = 0
        while True:
            end = self.received.find(b"\n\r\n", searched)
            if end >= 0:
                return self._take(end + 3)
            if len(self.received) > LARGEST_HEAD:
                raise ProtocolError("the headers of an answer have no end")
            searched = max(0, len(self.received) - 3)
            if not self._receive():
                raise ProtocolError("the server closed the connection without an answer")

    def read_line(self) -> bytes:
        """A line with its end."""
        while (end := self.received.find(b"\n")) < 0:
            if len(self.received) > _RECEIVE:
                raise ProtocolError("a line of an answer has no end")
            if not self._receive():
                raise ProtocolError("an answer broke off")
        return self._take(end + 1)

    def readinto(self, view: memoryview) -> int:
        """Some bytes, as soon as there are any; 0 at the end of the connection."""
        if self.received:
            data = self._take(min(len(view), len(self.received)))
            view[: len(data)] = data
            return len(data)
        return self.socket.recv_into(view[:_PIECE], 0, self._whole)

    def _receive(self) -> int:
        data = self.socket.recv(_RECEIVE)
        self.received += data
        return len(data)

    def _take(self, size: int) -> bytes:
        data = bytes(self.received[:size])
        del self.received[:size]
        return data


def connect_to(origin: Origin, context: SSLContext | None, timeout: float) -> socket.socket:
    """A socket to a server, with TLS where there is a context; `timeout` is in seconds.

    Raises:
        OSError: there is no way to it.
    """
    # As bytes, or Python loads the tables of international names for every name.
    try:
        host = origin.host.encode("ascii" if origin.host.isascii() else "idna")
    except UnicodeError:
        raise ProtocolError(f"{origin.host[:64]!r} cannot be the name of a host") from None
    connected = socket.create_connection((host, origin.port), timeout)  # type: ignore[arg-type]
    try:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is None:
            return connected
        return context.wrap_socket(connected, server_hostname=origin.host)
    except BaseException:
        connected.close()
        raise
