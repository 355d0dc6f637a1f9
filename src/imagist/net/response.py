"""The answer to a request, whose body goes on after a connection broke."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self

from imagist.digest import CHUNK
from imagist.errors import NetworkError, Untrusted
from imagist.net.connection import RawAnswer, broken

_RANGE: Final = r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)"
_NUMBER: Final = r"[0-9]{1,18}"
_SMALL: Final = 1 << 16
"""A body up to this size is read to its end, so that its connection can be used again."""

Reopen = Callable[[int, Mapping[str, str]], "RawAnswer"]
"""Makes the request once more, for the n-th time, with these headers added."""


class Interrupted(NetworkError):
    """A body broke off, and could not be taken up again: all of it must be asked for anew."""


class HttpResponse:
    """An answer with its body, read once from beginning to end.

    A body that breaks off is taken up at the same byte (RFC 9110, section 14), provided that the
    server vouches that it is still the same; the reader does not notice.
    """

    def __init__(
        self, raw: RawAnswer, url: str, *, limit: int | None, reopen: Reopen | None
    ) -> None:
        """Take over a response; `limit` bounds the bytes of its body.

        Raises:
            Untrusted: the body is announced to be larger than the limit.
        """
        self.status = raw.status
        self.headers: Mapping[str, str] = dict(raw.headers.items())
        self._all = raw.headers
        self.url = url
        """Where the answer came from after redirections, fit to be shown."""
        self.received = 0
        """Bytes of the body read so far."""
        self._raw = raw
        self._limit = limit
        self._reopen = reopen
        self._breaks = 0
        resumable = raw.status == 200 and reopen is not None
        self._validator = _strong_validator(self.headers) if resumable else ""
        self._length = _length(self.headers)
        # What a server says beside an error is nobody's document: it is bounded only if read.
        announced = self._length if raw.status < 300 else None
        if limit is not None and announced is not None and announced > limit:
            self.close()
            raise self._refuse_size()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def values(self, name: str) -> list[str]:
        """The values of a header that may come more than once; its name in lower case."""
        return self._all.getlist(name)

    def read(self, size: int = -1, /) -> bytes:
        """The next `size` bytes, fewer only at the end; all that are left if negative.

        Raises:
            Interrupted: the body broke off for good.
            Untrusted: it is larger than the limit.
        """
        if size < 0:
            return b"".join(iter(lambda: self._read(CHUNK), b""))
        return self._read(size)

    def readinto(self, view: memoryview) -> int:
        """Some of the next bytes, as soon as there are any; 0 at the end. See `read`."""
        while True:
            try:
                size = self._raw.readinto(view)
            except broken() as error:
                self._resume(error)
                continue
            if size or not len(view) or not self._is_short():
                break
            self._resume(EOFError())
        self._count(size)
        return size

    def close(self) -> None:
        """Give the connection back, for the next request if its body is (nearly) read."""
        discard(self._raw)

    def _read(self, size: int) -> bytes:
        while True:
            try:
                data = self._raw.read(size)
            except broken() as error:
                self._resume(error)
                continue
            if data or not size or not self._is_short():
                break
            self._resume(EOFError())
        self._count(len(data))
        return data

    def _count(self, size: int) -> None:
        self.received += size
        if self._limit is not None and self.received > self._limit:
            self._raw.close()
            raise self._refuse_size()

    def _is_short(self) -> bool:
        """Whether a body that was taken up ended early: a server may send less than was asked."""
        return self._breaks > 0 and self._length is not None and self.received < self._length

    def _resume(self, error: Exception) -> None:
        """Have the rest of the body, from the byte that was read last."""
        # 1. The same representation must be had again: it needs a strong validator (13.1.5).
        self._raw.close()
        if self._reopen is None or not self._validator:
            raise self._interrupted(f"{type(error).__name__}") from error
        self._breaks += 1
        # 2. Ask for the rest, or for everything if it is another one by now.
        headers = {"Range": f"bytes={self.received}-", "If-Range": self._validator}
        try:
            self._raw = self._reopen(self._breaks, headers)
        except NetworkError as failed:
            raise self._interrupted(failed.problems[0].message) from error
        # 3. 206 is the rest; 200 is everything: the same again, or another.
        known = dict(self._raw.headers.items())
        if self._raw.status == 206 and self._is_rest(known):
            return
        if self._raw.status == 200 and _strong_validator(known) == self._validator:
            self._skip(self.received)
            return
        self._raw.close()
        raise self._interrupted("then it had changed on the server") from error

    def _is_rest(self, headers: Mapping[str, str]) -> bool:
        # Caches exist that know Range but not If-Range (RFC 9110, 15.3.7.3: never combine those).
        name = "etag" if self._validator.startswith('"') else "last-modified"
        if headers.get(name, self._validator) != self._validator:
            return False
        found = re.fullmatch(_RANGE, headers.get("content-range", "").strip())
        if found is None or int(found[1]) != self.received:
            return False
        return found[3] == "*" or self._length is None or int(found[3]) == self._length

    def _skip(self, size: int) -> None:
        """Pass over what was read before; a break here starts from the same place again."""
        try:
            while size > 0:
                data = self._raw.read(min(size, CHUNK))
                size -= len(data)
                if not data:
                    raise self._interrupted("then it was shorter")
        except broken() as error:
            self._resume(error)

    def _interrupted(self, why: str) -> Interrupted:
        return Interrupted(
            f"{self.url} broke off after {self.received} bytes ({why})",
            help="try again; what was fetched before is kept",
        )

    def _refuse_size(self) -> Untrusted:
        return Untrusted(
            f"{self.url} has more than {self._limit} bytes",
            help="raise --max-http-response-size if that is as it should be",
        )


def discard(raw: RawAnswer) -> None:
    """Have done with a response; its connection is kept if the rest of its body is small."""
    with contextlib.suppress(*broken()):
        left = 0 if raw.status in {204, 304} else _length(dict(raw.headers.items()))
        if left is not None and left <= _SMALL:
            raw.read(_SMALL)
    raw.close()


def _length(headers: Mapping[str, str]) -> int | None:
    """Bytes of the body as announced (RFC 9112, 6.3); None where it is not or makes no sense."""
    text = headers.get("content-length", "")
    if "transfer-encoding" in headers or not re.fullmatch(_NUMBER, text):
        return None
    return int(text)


def _strong_validator(headers: Mapping[str, str]) -> str:
    """What tells that a body is the same byte by byte (RFC 9110, 8.8); empty where nothing does.

    A date counts if it was a minute past when the answer was given (8.8.2.2).
    """
    etag = headers.get("etag", "")
    if etag:
        return "" if etag.startswith("W/") else etag
    modified = headers.get("last-modified", "")
    if not modified:
        return ""
    from imagist.net.date import parse_date  # noqa: PLC0415 - seldom asked

    try:
        age = parse_date(headers.get("date", "")) - parse_date(modified)
    except ValueError:
        return ""
    return modified if age >= 60 else ""
