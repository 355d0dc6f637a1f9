"""The access log: one line of JSON for each request, written by a thread of its own.

No header that may hold a credential is written, nor any body.
"""

from __future__ import annotations

import datetime
import queue
import threading
from typing import BinaryIO, Final

import msgspec

from imagist.server.messages import Request
from imagist.server.metrics import Seen

_PATIENCE: Final = 2.0
"""Seconds to wait at the end for whoever reads the log."""
_MOST_WAITING: Final = 10_000
"""Lines that wait for a slow reader; what comes then is dropped, rather than requests held up."""


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line."""

    time: str
    remote: str
    method: str
    path: str
    status: int
    received: int
    sent: int
    seconds: float
    user: str = ""
    agent: str = ""
    query: str = ""
    error: str = ""


class AccessLog:
    """Writes lines to a stream, or nowhere."""

    def __init__(self, stream: BinaryIO | None) -> None:
        """Take an unbuffered stream."""
        self._stream = stream
        self._waiting: queue.Queue[Line | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._write, name="access log", daemon=True)
        if stream is not None:
            self._thread.start()

    def note(self, request: Request, seen: Seen, error: str = "") -> None:
        """A request has been answered."""
        if self._stream is None:
            return
        line = Line(
            time=datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
            remote=request.remote,
            method=request.method,
            path=request.path,
            status=seen.status,
            received=seen.received,
            sent=seen.sent,
            seconds=round(seen.seconds, 6),
            user=request.user,
            agent=request.header("user-agent"),
            query=request.query,
            error=error,
        )
        try:
            self._waiting.put_nowait(line)
        except queue.Full:
            return

    def close(self) -> None:
        """Write what waits."""
        if self._stream is not None:
            self._waiting.put(None)
            self._thread.join(_PATIENCE)

    def _write(self) -> None:
        assert self._stream is not None  # noqa: S101 - else the thread is not started
        encoder = msgspec.json.Encoder()
        while (line := self._waiting.get()) is not None:
            lines = [line]
            while not self._waiting.empty() and len(lines) < 100:
                if (line := self._waiting.get()) is None:
                    self._waiting.put(None)
                    break
                lines.append(line)
            try:
                self._stream.write(b"".join(encoder.encode(each) + b"\n" for each in lines))
            except OSError:
                continue  # nobody reads it, or the disk is full: no reason to stop serving
