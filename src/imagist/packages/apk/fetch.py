"""Fetching packages into the store: verified while they stream in, several at once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import MappingProxyType, TracebackType
from typing import BinaryIO, Final, NamedTuple, Self, cast

import msgspec

from imagist.errors import ImagistError, InputError, NetworkError, Problem, Untrusted
from imagist.net.response import Interrupted
from imagist.net.url import is_remote, redact
from imagist.packages.apk.archive import ApkFiles, PackageLimits, verify_package
from imagist.packages.apk.database import with_record
from imagist.packages.apk.packed import FORMAT, decode_package_files, encode_package_files
from imagist.packages.apk.reading import Reader
from imagist.packages.apk.repository import raise_together
from imagist.progress import SILENT, Meter
from imagist.store.blobs import BlobWriter
from imagist.store.memo import memo_key
from imagist.store.store import Store

STEP: Final = "apk"
Identity = tuple[str, str, str]
"""Checksum, name and version; see `Wanted.identity`."""
_ANEW: Final = 2
_SETTLERS: Final = 4
"""Threads that wait for the disk: it writes several files for little more than one's price."""
_UNSETTLED: Final = 32
"""Verified packages that wait at most: each is an open file."""


class Wanted(msgspec.Struct, frozen=True):
    """A package that an index or a lock names."""

    name: str
    version: str
    arch: str
    checksum: str
    """`Q1...`, the identity of the package."""
    url: str
    size: int | None = None
    """Bytes of the .apk, where known."""
    datahash: str = ""
    """SHA-256 of the data segment in hex, where a lock knows it."""

    @property
    def identity(self) -> Identity:
        """The same wherever the package lies; a checksum alone may stand under two names."""
        return self.checksum, self.name, self.version


Recollected = Mapping[Identity, ApkFiles]
"""What somebody says of packages who is not to be trusted; whoever uses it checks the result."""
NOTHING: Final[Recollected] = MappingProxyType({})


class PackageFetcher:
    """Gets packages out of the store, or into it."""

    def __init__(
        self,
        store: Store,
        reader: Reader,
        *,
        jobs: int = 2,
        limits: PackageLimits | None = None,
        meter: Meter = SILENT,
        recollected: Recollected = NOTHING,
    ) -> None:
        """Nothing is read yet.

        Args:
            store: where packages are looked for, and go.
            reader: where they come from.
            jobs: how many are verified at a time.
            limits: bounds on what is read.
            meter: counts their bytes as they come.
            recollected: taken for those that the store lacks; they do not go into it.
        """
        self._store = store
        self._reader = reader
        self._jobs = jobs
        self._limits = limits
        self._meter = meter
        self._recollected = recollected

    def fetch(self, wanted: Sequence[Wanted]) -> list[ApkFiles]:
        """The packages in the order asked for; those not in the store yet are fetched.

        Raises:
            ImagistError: packages that cannot be had or trusted; all of them at once.
        """
        results: dict[Identity, ApkFiles | ImagistError] = {}
        missing: dict[Identity, Wanted] = {}
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
        found = {i: each for i, each in results.items() if isinstance(each, ApkFiles)}
        return [found[package.identity] for package in wanted]

    def recall(self, wanted: Sequence[Wanted]) -> list[ApkFiles] | None:
        """The packages in the order asked for; None where one would have to be fetched."""
        found = [self._recall(package) or self._recollect(package) for package in wanted]
        known = [files for files in found if files is not None]
        return known if len(known) == len(found) else None

    def _work(
        self, queue: Sequence[Wanted], results: dict[Identity, ApkFiles | ImagistError]
    ) -> None:
        """Fetch packages into `results`. After a network error nothing more is begun."""
        hopeless, aborted = threading.Event(), threading.Event()
        room = threading.Semaphore(_UNSETTLED)
        settling: list[Future[None]] = []

        def work(package: Wanted) -> None:
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

        def settle(package: Wanted, sealed: _Sealed) -> None:
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

    def _recall(self, package: Wanted) -> ApkFiles | None:
        known = self._store.memo.get(STEP, _key(package.checksum))
        if known is None:
            return None
        files = decode_package_files(known)
        # A package of this checksum was verified, but was it this one? If not, verifying it anew
        # will say why not: what is in the store changes nothing about what is accepted.
        bound = (self._limits or PackageLimits()).tar.total
        return files if _is_wanted(files, package) and files.tar_size <= bound else None

    def _recollect(self, package: Wanted) -> ApkFiles | None:
        files = self._recollected.get(package.identity)
        # Only with the data hash that a lock knows is it certain which bytes it speaks of.
        return files if files and package.datahash and _is_wanted(files, package) else None

    def _fetch(self, package: Wanted, aborted: threading.Event) -> _Sealed:
        """Fetch and verify; a transfer that broke off beyond mending is begun anew, twice."""
        for _ in range(_ANEW):
            try:
                return self._fetch_once(package, aborted)
            except Interrupted:
                if aborted.is_set():
                    raise
        return self._fetch_once(package, aborted)

    def _fetch_once(self, package: Wanted, aborted: threading.Event) -> _Sealed:
        blobs = _Unsettled(self._store)
        with self._reader.open(package.url) as stream:
            watched = _Watched(stream, aborted, self._meter)
            try:
                files = verify_package(
                    cast("BinaryIO", watched),
                    blobs,
                    name=package.name,
                    version=package.version,
                    arch=package.arch,
                    checksum=package.checksum,
                    size=package.size,
                    limits=self._limits,
                )
            except Untrusted as error:
                if is_remote(package.url) and watched.ended and watched.size < (package.size or 0):
                    # Without a Content-Length, HTTP cannot tell an end from a broken connection.
                    what = f"{redact(package.url)} ended after {watched.size} bytes"
                    raise Interrupted(f"{what} of {package.size}") from error
                raise
        if not _has_datahash(files, package):
            blobs.blob.abort()
            raise Untrusted(
                f"its data segment is {files.data}, where the lock has sha256:{package.datahash}",
                help="the lock and the package disagree; lock again if you trust the package",
            )
        return _Sealed(files, blobs.blob)

    def _settle(self, package: Wanted, sealed: _Sealed) -> ApkFiles:
        """Put a verified package into its place in the store, and only then remember it."""
        files, blob = sealed
        with blob:
            blob.settle(files.data)
        with contextlib.suppress(InputError):  # a build that needs the record tells why not
            files = with_record(files)
        self._store.memo.put(
            STEP, _key(package.checksum), encode_package_files(files), blobs=[files.data]
        )
        return files


class _Sealed(NamedTuple):
    """A verified package whose data segment is not in its place yet."""

    files: ApkFiles
    blob: BlobWriter


class _Unsettled:
    """A store for `verify_package` that does not wait for the disk; `blob` is to be settled."""

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


def _is_wanted(files: ApkFiles, wanted: Wanted) -> bool:
    """Whether `verify_package` would take a package that it took before for this one, too."""
    found = files.package
    return (
        (found.name, found.version) == (wanted.name, wanted.version)
        and found.arch in {wanted.arch or found.arch, "noarch", "all", ""}
        and wanted.size in {None, found.size}
        and _has_datahash(files, wanted)
    )


def _label(package: Wanted) -> str:
    return f"{package.name}-{package.version}"


def _key(checksum: str) -> str:
    return memo_key(STEP, FORMAT, checksum)


def _has_datahash(files: ApkFiles, package: Wanted) -> bool:
    return not package.datahash or files.data == f"sha256:{package.datahash}"


def _name_package(error: ImagistError, package: Wanted) -> ImagistError:
    """The same error, saying of which package and from where."""
    where = f"{package.name}-{package.version} from {redact(package.url)}"
    problems = [p if p.where else p._replace(where=where) for p in error.problems]
    return type(error)(problems)
