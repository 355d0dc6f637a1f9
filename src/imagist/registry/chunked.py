"""Uploading in chunks: for registries that refuse large requests, and for what broke off."""

from __future__ import annotations

from typing import BinaryIO, Final

from imagist.errors import NetworkError
from imagist.oci.contents import Blob
from imagist.progress import SILENT, Meter
from imagist.registry.outgoing import open_checked
from imagist.registry.upload import CHUNK, Uploader
from imagist.registry.uploading import (
    ATTEMPTS,
    BINARY,
    ONCE,
    check_answer,
    is_passing,
    with_digest,
)

_STEP: Final = 1 << 18


class ChunkedUpload:
    """One upload in chunks: each is held in memory until the registry has taken it."""

    def __init__(
        self, uploader: Uploader, blob: Blob, location: str, offset: int, meter: Meter
    ) -> None:
        """Open the blob; `offset` bytes of it have arrived at `location` already."""
        self._uploader = uploader
        self._blob = blob
        self._location = location
        self._offset = offset
        self._meter = meter
        self._stream = open_checked(blob, SILENT)

    def close(self) -> None:
        """Close the blob."""
        self._stream.close()

    def run(self) -> None:
        """Send the rest; what fails raises, see `Uploader.put`."""
        if self._offset > self._blob.size:
            raise NetworkError(
                f"{self._blob.digest}: the registry says that {self._offset} bytes have arrived "
                f"of {self._blob.size}",
                help="the registry is at fault; try again, or ask who runs it",
            )
        _skip(self._stream, self._offset)
        self._meter.add(self._offset)
        size = self._uploader.chunk
        chunk = _read_full(self._stream, size)
        while following := _read_full(self._stream, size):
            self._send(chunk)
            chunk = following
        self._finish(chunk)

    def _send(self, chunk: bytes) -> None:
        end = self._offset + len(chunk)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._patch(chunk[len(chunk) - (end - self._offset) :])
            except NetworkError as error:
                if not is_passing(error) or attempt == ATTEMPTS:
                    raise
                self._uploader.pause(attempt, error)
                self._location, arrived = self._uploader.find_progress(self._location)
                if not end - len(chunk) <= arrived <= end:
                    raise
                self._offset = arrived
            if self._offset == end:
                self._meter.add(len(chunk))
                return
        raise NetworkError(f"{self._blob.digest}: the registry takes no whole chunk")

    def _patch(self, data: bytes) -> None:
        span = f"{self._offset}-{self._offset + len(data) - 1}"
        with self._uploader.session.expect(
            frozenset({201, 202, 204}),
            "PATCH",
            self._location,
            scopes=self._uploader.scopes,
            headers={**BINARY, "Content-Range": span},
            body=data,
            manner=ONCE,
        ) as response:
            if response.headers.get("location"):
                self._location = self._uploader.session.locate(response, self._location)
        self._offset += len(data)

    def _finish(self, chunk: bytes) -> None:
        headers = dict(BINARY)
        if chunk:
            headers["Content-Range"] = f"{self._offset}-{self._offset + len(chunk) - 1}"
        with self._uploader.session.expect(
            frozenset({201}),
            "PUT",
            with_digest(self._location, self._blob.digest),
            scopes=self._uploader.scopes,
            headers=headers,
            body=chunk,
            manner=ONCE,
        ) as response:
            check_answer(response, self._blob.digest)
        self._meter.add(len(chunk))


def _skip(stream: BinaryIO, size: int) -> None:
    while size:
        size -= len(_read_full(stream, min(size, CHUNK)))


def _read_full(stream: BinaryIO, size: int) -> bytes:
    """So many bytes, fewer only at the end."""
    pieces = []
    while size and (piece := stream.read(min(size, _STEP))):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
