"""Bringing a blob to a repository: mounted if it can be, else in one piece, else in chunks.

In one piece is fewer round trips, and what registries are best at; chunks (`chunked`) are for
those that refuse large requests, and for what broke off, since they can go on where it broke.
"""

from __future__ import annotations

import re
from contextlib import closing
from typing import Final
from urllib.parse import quote

from imagist.errors import ImagistError, NetworkError
from imagist.net.body import Body
from imagist.net.retry import Manner, Patience, Waiter
from imagist.oci.contents import Blob
from imagist.progress import SILENT, Meter
from imagist.registry.outgoing import Sent, open_checked
from imagist.registry.refusal import Missing, Refused
from imagist.registry.scope import Scope
from imagist.registry.session import Session
from imagist.registry.uploading import (
    ATTEMPTS,
    BINARY,
    ONCE,
    check_answer,
    is_passing,
    with_digest,
)

SMALL: Final = 1 << 16
"""Bytes up to which it costs less to send a blob than to ask whether it is there."""
CHUNK: Final = 8 << 20
"""Bytes of a chunk, unless the registry asks for more; some take none smaller than 5 MiB."""
LARGEST_CHUNK: Final = 64 << 20
"""Bytes of the largest that a registry can ask for: it is held in memory."""
_REPEATED: Final = Manner(repeat=True, any_status=True)
"""For what begins an upload: one that was begun for nothing is forgotten by the registry."""
_RANGE: Final = r"(?:bytes=)?0-([0-9]{1,18})"


class Uploader:
    """Uploads to one repository; safe for many threads."""

    def __init__(self, session: Session, repository: str, waiter: Waiter) -> None:
        """Take the registry's session and the repository's name."""
        self.session = session
        self.scopes = (Scope(f"repository:{repository}", ("pull", "push")),)
        self._waiter = waiter
        self._patience = Patience()
        self._path = f"/v2/{repository}/blobs/uploads/"
        self.chunk = CHUNK
        """Bytes of a chunk."""
        self._takes_at_once = True
        """Whether this registry was not yet seen to ignore a blob in the first request."""
        self.finds_anywhere = True
        """Whether it was not yet seen to refuse a mount of what may be anywhere."""

    def mount(self, digest: str, origin: str) -> str:
        """Let the repository have a blob of another repository of its registry.

        Without an origin the registry may look where it likes; most begin an upload then.

        Returns:
            Nothing where it has it now; else where the upload goes that the registry began.

        Raises:
            Refused: it cannot, and nothing was begun.
            NetworkError: the registry cannot be reached.
        """
        query = f"mount={quote(digest, safe=':')}"
        if not origin:
            return self._post(f"{self._path}?{query}", self.scopes)
        scopes = (*self.scopes, Scope(f"repository:{origin}", ("pull",)))
        return self._post(f"{self._path}?{query}&from={quote(origin, safe='/')}", scopes)

    def put(self, blob: Blob, *, location: str = "", meter: Meter = SILENT) -> None:
        """Upload a blob.

        Args:
            blob: what to upload; unless it comes out of a store it is checked while it is sent,
                and its end is held back until its digest held.
            location: an upload that was begun already.
            meter: counts the bytes.

        Raises:
            Untrusted: the blob is not what its digest says; the registry has not got it whole.
            Refused: the registry does not take it.
            NetworkError: it cannot be brought there.
        """
        if not location and blob.size <= SMALL and self._takes_at_once:
            location = self._put_at_once(blob)
            if not location:
                meter.add(blob.size)
                return
        attempt = 0
        while True:
            attempt += 1
            location = location or self.begin()
            try:
                self._put_whole(blob, location, meter)
            except (NetworkError, Missing) as error:
                if not is_passing(error) or attempt == ATTEMPTS:
                    raise
                self.pause(attempt, error)
                if blob.size > CHUNK or getattr(error, "status", 0) == 413:
                    self._put_chunked(blob, location, meter)
                    return
                location = ""
            else:
                return

    def begin(self) -> str:
        """Begin an upload; where it goes."""
        return self._post(self._path, self.scopes)

    def find_progress(self, location: str) -> tuple[str, int]:
        """Where an upload goes on, and how many bytes of it have arrived; a new one if it is lost.

        Raises:
            NetworkError: the registry cannot be reached, or refuses.
        """
        if location:
            with self.session.send("GET", location, scopes=self.scopes) as response:
                found = re.fullmatch(_RANGE, response.headers.get("range", "").strip())
                if response.status == 204 and found:
                    if response.headers.get("location"):
                        location = self.session.locate(response, location)
                    # `0-0` is what registries say of nothing, and of one byte.
                    return location, int(found[1]) + 1 if int(found[1]) else 0
        return self.begin(), 0

    def pause(self, attempt: int, error: ImagistError) -> None:
        """Wait after an attempt (the first is 1) that failed, as long as the registry asks for.

        Raises:
            ImagistError: the same, where that is longer than anyone would wait.
        """
        retry_after = error.retry_after if isinstance(error, Refused) else ""
        if not self._waiter.wait(self._patience, attempt, retry_after):
            raise error

    def _post(self, path: str, scopes: tuple[Scope, ...], body: bytes | Body = b"") -> str:
        """Begin an upload; nothing where it is done already."""
        with self.session.expect(
            frozenset({201, 202}),
            "POST",
            path,
            scopes=scopes,
            headers=BINARY if body else {},
            body=body,
            manner=_REPEATED,
        ) as response:
            least = response.headers.get("oci-chunk-min-length", "")
            if re.fullmatch("[0-9]{1,18}", least):
                self.chunk = min(max(CHUNK, int(least)), LARGEST_CHUNK)
            return self.session.locate(response, path) if response.status == 202 else ""

    def _put_at_once(self, blob: Blob) -> str:
        """Send a blob with the first request; where it goes if the registry did not look at it."""
        path = f"{self._path}?digest={quote(blob.digest, safe=':')}"
        body = Body(lambda: open_checked(blob, SILENT), blob.size)
        location = self._post(path, self.scopes, body)
        if location:
            self._takes_at_once = False
        return location

    def _put_whole(self, blob: Blob, location: str, meter: Meter) -> None:
        sent = Sent(meter)
        try:
            with self.session.expect(
                frozenset({201}),
                "PUT",
                with_digest(location, blob.digest),
                scopes=self.scopes,
                headers=BINARY,
                body=Body(lambda: open_checked(blob, sent.begin()), blob.size),
                manner=ONCE,
            ) as response:
                check_answer(response, blob.digest)
        except BaseException:
            sent.begin()
            raise

    def _put_chunked(self, blob: Blob, location: str, meter: Meter) -> None:
        """Go on in chunks from what the registry has, or anew where it has nothing of it."""
        from imagist.registry.chunked import ChunkedUpload  # noqa: PLC0415 - seldom needed

        attempt = 0
        while True:
            attempt += 1
            sent = Sent(meter)
            try:
                location, offset = self.find_progress(location)
                with closing(ChunkedUpload(self, blob, location, offset, sent)) as upload:
                    upload.run()
            except (NetworkError, Missing) as error:
                sent.begin()
                if not is_passing(error) or attempt == ATTEMPTS:
                    raise
                self.pause(attempt, error)
                location = ""
            else:
                return
