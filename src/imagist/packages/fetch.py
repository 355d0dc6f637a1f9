"""Fetching packages into the store: verified while they stream in, several at once.

A format's own fetcher says how one of its packages is verified, and how it is remembered.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import BinaryIO, Final, Generic, NamedTuple, Protocol, Self, TypeVar, cast

from imagist.errors import ImagistError, NetworkError, Problem, Untrusted, raise_together
from imagist.net.response import Interrupted
from imagist.net.url import is_remote, redact
from imagist.packages.blobs import Blobs
from imagist.packages.files import PackageFiles
from imagist.packages.reading import Reader
from imagist.progress import SILENT, Meter
from imagist.store.blobs import BlobWriter
from imagist.store.store import Store

Identity = tuple[str, str, str]
"""Checksum, name and version: the same wherever a package lies."""
_ANEW: Final = 2
_SETTLERS: Final = 4
"""Threads that wait for the disk: it writes several files for little more than one's price."""
_UNSETTLED: Final = 32
"""Verified packages that wait at most: each is an open file."""


class Named(Protocol):
    """A package that an index or a lock names."""

    @property
    def name(self) -> str:
        """Its own name."""

    @property
    def version(self) -> str:
        """In the format's own spelling."""

    @property
    def url(self) -> str:
        """Where it is fetched from: an address or a path."""

    @property
    def size(self) -> int | None:
        """Bytes of the file, where known."""

    @property
    def identity(self) -> Identity:
        """The same wherever the package lies."""


W = TypeVar("W", bound=Named)
F = TypeVar("F", bound=PackageFiles)


class Fetcher(ABC, Generic[W, F]):
    """Gets packages out of the store, or into it."""

    def __init__(
        self,
        store: Store,
        reader: Reader,
        *,
        jobs: int = 2,
        meter: Meter = SILENT,
        recollected: Mapping[Identity, F],
    ) -> None:
        """Nothing is read yet.

        Args:
            store: where packages are looked for, and go.
            reader: where they come from.
            jobs: how many are verified at a time.
            meter: counts their bytes as they come.
            recollected: taken for those that the store lacks; they do not go into it.
        """
        self._store = store
        self._reader = reader
        self._jobs = jobs
        self._meter = meter
        self._recollected = recollected

    @abstractmethod
    def _recall(self, package: W) -> F | None:
        """A package that is in the store, if it is the one asked for in every respect."""

    @abstractmethod
    def _is_pinned(self, files: F, package: W) -> bool:
        """Whether what somebody says of a package is what was asked for, to the last byte."""

    @abstractmethod
    def _verify(self, stream: BinaryIO, blobs: Blobs, package: W) -> F:
        """Verify a package while it is read.

        Raises:
            ImagistError: it is not what was asked for, or damaged, or made to mislead.
        """

    def _check(self, files: F, package: W) -> None:
        """Compare a package that was verified with what a lock says of it beyond that.

        Raises:
            Untrusted: it is another.
        """

    @abstractmethod
    def _remember(self, package: W, files: F) -> F:
        """Note in the memo what was verified; its blob is in the store. What was noted."""

    def fetch(self, wanted: Sequence[W]) -> list[F]:
        """The packages in the order asked for; those not in the store yet are fetched.

        Raises:
            ImagistError: packages that cannot be had or trusted; all of them at once.
        """
        results: dict[Identity, F | ImagistError] = {}
        missing: dict[Identity, W] = {}
        for package in {package.identity: package for package in wanted}.values():
            known = self._recall(package) or self._recollect(package)
            if known is None:
                missing[package.identity] = package
            else:
                results[package.identity] = known
                self._meter.finish(_label(package), remembered=True)
        # The largest first: the last thread to finish then waits for something small.
        queue = sorted(missing.values(), key=lambda package: (-(package.size or 0), package.name))
        if queue:
            sizes = [package.size or 0 for package in queue]
            if all(sizes):  # a lock may not say
                self._meter.expect(sum(sizes))
            self._work(queue, results)
        errors = [each for each in results.values() if isinstance(each, ImagistError)]
        untried = sum(package.identity not in results for package in queue)
        if untried:
            errors.append(NetworkError(Problem(f"{untried} more packages were not asked for")))
        raise_together(errors)
        found = {i: each for i, each in results.items() if not isinstance(each, ImagistError)}
        return [found[package.identity] for package in wanted]

    def recall(self, wanted: Sequence[W]) -> list[F] | None:
        """The packages in the order asked for; None where one would have to be fetched."""
        found = [self._recall(package) or self._recollect(package) for package in wanted]
        known = [files for files in found if files is not None]
        return known if len(known) == len(found) else None

    def _work(self, queue: Sequence[W], results: dict[Identity, F | ImagistError]) -> None:
        """Fetch packages into `results`. After a network error nothing more is begun."""
        hopeless, aborted = threading.Event(), threading.Event()
        room = threading.Semaphore(_UNSETTLED)
        settling: list[Future[None]] = []

        def work(package: W) -> None:
            if hopeless.is_set() or aborted.is_set():
                return
            try:
                sealed = self._fetch(package, aborted)
            except ImagistError as error:
                results[package.identity] = _name_package(error, package)
                if isinstance(error, NetworkError):
                    hopeless.set()
            else:
                room.acquire()
                settling.append(disk.submit(settle, package, sealed))

        def settle(package: W, sealed: _Sealed[F]) -> None:
            try:
                results[package.identity] = self._settle(package, sealed)
                self._meter.finish(_label(package))
            except ImagistError as error:
                results[package.identity] = _name_package(error, package)
            finally:
                room.release()

        # What is verified waits for the disk in threads of its own: a processor has other work.
        with (
            ThreadPoolExecutor(_SETTLERS) as disk,
            ThreadPoolExecutor(min(self._jobs, len(queue))) as pool,
        ):
            try:
                list(pool.map(work, queue))
            except BaseException:  # Ctrl-C: what is running ends with its next piece
                aborted.set()
                raise
        for done in settling:
            done.result()

    def _recollect(self, package: W) -> F | None:
        files = self._recollected.get(package.identity)
        return files if files is not None and self._is_pinned(files, package) else None

    def _fetch(self, package: W, aborted: threading.Event) -> _Sealed[F]:
        """Fetch and verify; a transfer that broke off beyond mending is begun anew, twice."""
        for _ in range(_ANEW):
            try:
                return self._fetch_once(package, aborted)
            except Interrupted:
                if aborted.is_set():
                    raise
        return self._fetch_once(package, aborted)

    def _fetch_once(self, package: W, aborted: threading.Event) -> _Sealed[F]:
        blobs = _Unsettled(self._store)
        with self._reader.open(package.url) as stream:
            watched = _Watched(stream, aborted, self._meter)
            try:
                files = self._verify(cast("BinaryIO", watched), blobs, package)
            except Untrusted as error:
                if is_remote(package.url) and watched.ended and watched.size < (package.size or 0):
                    # Without a Content-Length, HTTP cannot tell an end from a broken connection.
                    what = f"{redact(package.url)} ended after {watched.size} bytes"
                    raise Interrupted(f"{what} of {package.size}") from error
                raise
        try:
            self._check(files, package)
        except ImagistError:
            blobs.blob.abort()
            raise
        return _Sealed(files, blobs.blob)

    def _settle(self, package: W, sealed: _Sealed[F]) -> F:
        """Put a verified package into its place in the store, and only then remember it."""
        files, blob = sealed
        with blob:
            blob.settle(files.data)
        return self._remember(package, files)


class _Sealed(NamedTuple, Generic[F]):
    """A verified package whose data segment is not in its place yet."""

    files: F
    blob: BlobWriter


class _Unsettled:
    """A store that does not wait for the disk; `blob` is to be settled."""

    blob: BlobWriter

    def __init__(self, store: Store) -> None:
        self._store = store

    def writer(self) -> Self:
        self.blob = self._store.writer()
        self.write = self.blob.write
        self.commit = self.blob.seal
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.blob.abort()


class _Watched:
    """A package's bytes on their way; knows how many there were, and stops when all stop."""

    def __init__(self, stream: BinaryIO, aborted: threading.Event, meter: Meter) -> None:
        self.size = 0
        self.ended = False
        self._stream = stream
        self._aborted = aborted
        self._meter = meter

    def read(self, size: int = -1, /) -> bytes:
        if self._aborted.is_set():
            raise Interrupted("stopped")
        data = self._stream.read(size)
        self.size += len(data)
        self._meter.add(len(data))
        self.ended = not data
        return data


def _label(package: Named) -> str:
    return f"{package.name}-{package.version}"


def _name_package(error: ImagistError, package: Named) -> ImagistError:
    """The same error, saying of which package and from where."""
    return error.placed(f"{_label(package)} from {redact(package.url)}")
