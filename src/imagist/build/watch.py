"""Reading and reporting as a build does it, with notes taken of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final

from imagist.build.context import Report
from imagist.build.trace import Kind, Note, Trace
from imagist.digest import sha256
from imagist.errors import ImagistError, NotFound
from imagist.net.conditional import CachedGet
from imagist.net.url import is_remote, without_userinfo
from imagist.packages.reading import Document, Reader
from imagist.progress import Meter
from imagist.store.parallel import each

_CONNECTIONS: Final = 8


class WatchedReader(Reader):
    """A reader that notes every small file it gives; packages are told apart by their digests."""

    def __init__(self, cached: CachedGet, trace: Trace) -> None:
        super().__init__(cached.transport, cached)
        self._trace = trace

    def read(
        self, url: str, *, limit: int, optional: bool = False, max_age: float | None = None
    ) -> bytes | None:
        """See `Reader.read`."""
        data = super().read(url, limit=limit, optional=optional, max_age=max_age)
        self._note(url, "" if data is None else sha256(data), limit, max_age)
        return data

    def find(
        self, url: str, *, limit: int, optional: bool = False, max_age: float | None = None
    ) -> Document | None:
        """See `Reader.find`."""
        document = super().find(url, limit=limit, optional=optional, max_age=max_age)
        self._note(url, "" if document is None else document.digest, limit, max_age)
        return document

    def _note(self, url: str, digest: str, limit: int, max_age: float | None) -> None:
        kind: Kind = "document" if is_remote(url) else "file"
        self._trace.note(Note(kind, without_userinfo(url), digest, limit, max_age))


class WatchedReport:
    """A report whose warnings are noted, so that a build that need not be done gives them, too."""

    def __init__(self, report: Report, trace: Trace) -> None:
        self._report = report
        self._trace = trace

    def stage(self, text: str) -> None:
        """See `Report.stage`."""
        self._report.stage(text)

    def warn(self, text: str) -> None:
        """See `Report.warn`."""
        self._trace.warnings.append(text)
        self._report.warn(text)

    def meter(
        self, what: str, *, items: int = 0, size: int | None = None
    ) -> AbstractContextManager[Meter]:
        """See `Report.meter`."""
        return self._report.meter(what, items=items, size=size)


def watch_file(read: Callable[[str], bytes], trace: Trace) -> Callable[[str], bytes]:
    """A function that reads local files, and notes them."""

    def noting(path: str) -> bytes:
        try:
            data = read(path)
        except NotFound:
            trace.note(Note("file", path, ""))
            raise
        trace.note(Note("file", path, sha256(data)))
        return data

    return noting


def find_documents(cached: CachedGet, notes: Sequence[Note]) -> list[str]:
    """The digests that documents of servers have now; empty for what cannot be had."""

    def find(note: Note) -> str:
        try:
            found = cached.find(note.name, limit=note.limit, optional=True, max_age=note.max_age)
        except ImagistError:
            return ""
        return found or ""

    return each(find, notes, _CONNECTIONS)
