"""The registry as an application of granian's RSGI: bodies in and out, threads, counting.

What looks at a few small files is answered on the event loop; whatever may wait for a disk, a lock
or bcrypt is done by threads. Bodies of blobs go past Python where they can: files are sent by the
web server itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import traceback
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from imagist.server.accesslog import AccessLog
from imagist.server.messages import Busy, FilePart, Intake, Refusal, Request, Response
from imagist.server.metrics import Metrics, Seen
from imagist.server.registry import Registry, explain
from imagist.server.rsgi import HTTPProtocol, Scope

T = TypeVar("T")
_THREADS: Final = 32
"""They wait for disks most of the time."""
_PIECE: Final = 1 << 20
"""Bytes that are hashed and written at a time."""
_PATIENCE: Final = 60.0
"""Seconds in which something of a body must come."""
_QUEUE: Final = 5.0
"""Seconds to wait for a request whose client has gone, and which has not noticed yet."""
_MOST_DRAINED: Final = 64 << 20
"""Bytes of a body that nobody wants that are still read, so that the client sees the answer."""


class Application:
    """Takes requests from granian."""

    def __init__(
        self, registry: Registry, metrics: Metrics, log: AccessLog, *, patience: float = _PATIENCE
    ) -> None:
        self._patience = patience
        self._registry = registry
        self._metrics = metrics
        self._log = log
        self._threads = ThreadPoolExecutor(_THREADS, "registry")

    async def __rsgi__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Answer one request."""
        start = time.perf_counter()
        self._metrics.begin()
        request = Request(
            scope.method,
            scope.path,
            scope.headers,
            scope.query_string,
            scope.client.rpartition(":")[0].strip("[]"),
            is_framed=scope.http_version.startswith("2"),
        )
        body = _Body(protocol, request, self._patience)
        error = ""
        try:
            response = await self._answer(request, body)
        except Exception as trouble:
            response = explain(trouble)
            if response.status >= 500:
                error = "".join(traceback.format_exception(trouble))
        try:
            await body.drain()
            await _send(request, response, protocol)
        finally:
            seconds = time.perf_counter() - start
            seen = Seen(
                request.kind,
                request.method,
                response.status,
                body.size,
                _size(request, response),
                seconds,
            )
            self._metrics.end(seen)
            self._log.note(request, seen, error)

    async def _answer(self, request: Request, body: _Body) -> Response:
        if self._registry.is_quick(request):
            answer = self._registry.begin(request)
        else:
            answer = await self._begin(request)
        return answer if isinstance(answer, Response) else await self._take(answer, body)

    async def _begin(self, request: Request) -> Response | Intake:
        """Begin in a thread, which nobody holds who waits for another request to end."""
        give_up = time.monotonic() + _QUEUE
        pause = 0.02
        while True:
            try:
                return await self._in_thread(self._registry.begin, request)
            except Busy:
                if time.monotonic() > give_up:
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.5)

    async def _take(self, intake: Intake, body: _Body) -> Response:
        """Let the intake write one piece while the next one arrives."""
        writing: asyncio.Future[None] | None = None
        try:
            async for piece in body.pieces():
                if writing:
                    await writing
                writing = self._in_thread(intake.write, piece)
            if writing:
                await writing
            writing = None
            return await self._in_thread(intake.finish)
        except BaseException:
            if writing:
                await asyncio.wait([writing])
            await asyncio.shield(self._in_thread(intake.abort))
            raise

    def _in_thread(self, function: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


class _Body:
    """The body of a request, read once."""

    def __init__(self, protocol: HTTPProtocol, request: Request, patience: float) -> None:
        self._protocol = protocol
        self._patience = patience
        self._is_over = request.length == 0
        self._arriving: AsyncIterator[bytes] | None = None
        """granian gives a body to one reader only, which goes on where the last piece ended."""
        self._is_held_back = request.header("expect").lower() == "100-continue"
        self.size = 0
        """Bytes that were read."""

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body in pieces of about a mebibyte.

        Raises:
            Refusal: nothing comes any more. Else whoever went without a word would keep an upload.
        """
        waiting: list[bytes] = []
        size = 0
        late = None
        try:
            async for chunk in self._chunks():
                waiting.append(chunk)
                size += len(chunk)
                if size >= _PIECE:
                    yield b"".join(waiting)
                    waiting, size = [], 0
        except Refusal as refusal:
            late = refusal  # what came before is worth keeping
        if waiting:
            yield b"".join(waiting)
        if late:
            raise late

    async def drain(self) -> None:
        """Read what nobody wants, within reason: clients send everything before they look up.

        But not those that wait for a word before they send anything.
        """
        if self._is_held_back and not self.size:
            return
        most = self.size + _MOST_DRAINED
        with contextlib.suppress(Refusal):
            async for _ in self._chunks():
                if self.size > most:
                    return

    async def _chunks(self) -> AsyncIterator[bytes]:
        if self._is_over:
            return
        if self._arriving is None:
            self._arriving = aiter(self._protocol)
        while not self._is_over:
            try:
                async with asyncio.timeout(self._patience):
                    chunk = await anext(self._arriving, b"")
            except TimeoutError:
                self._is_over = True
                message = f"nothing came for {self._patience:g} seconds"
                raise Refusal(408, "BLOB_UPLOAD_INVALID", message) from None
            if chunk:
                self.size += len(chunk)
                yield chunk
            else:
                self._is_over = True


async def _send(request: Request, response: Response, protocol: HTTPProtocol) -> None:
    fields = list(response.headers)
    body = response.body
    if request.method == "HEAD" or not body:
        protocol.response_empty(response.status, fields)
    elif isinstance(body, bytes):
        protocol.response_bytes(response.status, fields, body)
    elif body.is_all:
        protocol.response_file(response.status, fields, body.path)
    else:
        protocol.response_file_range(response.status, fields, body.path, body.start, body.end)


def _size(request: Request, response: Response) -> int:
    if request.method == "HEAD":
        return 0
    body = response.body
    return body.end - body.start if isinstance(body, FilePart) else len(body)
