"""Fetching wheels into the store: size and SHA-256 are the lock's, several at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final, cast

from imagist.digest import CHUNK, Digest
from imagist.errors import ImagistError, InputError, NetworkError, NotFound, Problem, Untrusted
from imagist.net.response import Interrupted
from imagist.net.transport import Transport
from imagist.net.url import is_remote, local_path, redact
from imagist.packages.wheel.credentials import open_asking
from imagist.packages.wheel.lock.model import File
from imagist.progress import SILENT, Meter
from imagist.store.memo import memo_key
from imagist.store.parallel import each
from imagist.store.store import Store

STEP: Final = "wheel"
MAX_FILE: Final = 8 << 30
"""Bytes of a file of which the lock does not say the size."""
_ATTEMPTS: Final = 3
"""A transfer that broke off beyond mending is begun anew twice."""


class WheelFetcher:
    """Gets wheels out of the store, or into it; what is in it has the hash it is asked for by."""

    def __init__(
        self,
        store: Store,
        transport: Transport,
        folder: Path,
        *,
        jobs: int = 8,
        offline: bool = False,
        meter: Meter = SILENT,
    ) -> None:
        """Nothing is read yet.

        Args:
            store: where wheels are looked for, and go.
            transport: makes requests.
            folder: that of the lock; paths in it are relative to this one.
            jobs: how many are fetched at a time.
            offline: ask nobody.
            meter: counts their bytes as they come.
        """
        self._store = store
        self._transport = transport
        self._folder = folder
        self._jobs = jobs
        self._offline = offline
        self._meter = meter

    def fetch(self, files: Sequence[File]) -> dict[str, Digest]:
        """The blobs of files, by the file's SHA-256 in hex.

        Raises:
            ImagistError: files that cannot be had or trusted; all of them at once.
        """
        unique = {file.sha256: file for file in files}
        missing = [file for file in unique.values() if not self._has(file)]
        # The largest first: the last thread to finish then waits for something small.
        missing.sort(key=lambda file: (-(file.size or 0), file.name))
        if missing:
            if all(file.size for file in missing):
                self._meter.expect(sum(file.size or 0 for file in missing))
            self._work(missing)
        return {sha256: Digest(f"sha256:{sha256}") for sha256 in unique}

    def _has(self, file: File) -> bool:
        digest = f"sha256:{file.sha256}"
        if not self._store.has(digest):
            return False
        size = self._store.size(digest)
        if file.size not in {None, size}:
            raise Untrusted(
                f"{file.name} has {size} bytes, but the lock says {file.size}",
                help="lock again; the size and the hash in the lock are of two files",
            )
        self._remember(file)
        self._meter.finish(file.name, remembered=True)
        return True

    def _remember(self, file: File) -> None:
        """What nothing names, `prune` removes."""
        memo, key = self._store.memo, memo_key(STEP, file.sha256)
        if memo.get(STEP, key) is None:
            memo.put(STEP, key, b"", blobs=[f"sha256:{file.sha256}"])

    def _work(self, missing: Sequence[File]) -> None:
        """Fetch files. After a network error nothing more is begun."""
        stop = threading.Event()
        untried: list[File] = []

        def work(file: File) -> ImagistError | None:
            if stop.is_set():
                untried.append(file)
                return None
            try:
                self._fetch(file, stop)
            except ImagistError as error:
                if isinstance(error, NetworkError):
                    stop.set()
                where = f" from {redact(file.location)}" if file.location else ""
                return error.placed(file.name + where)
            return None

        try:
            errors = [error for error in each(work, missing, self._jobs) if error is not None]
        except BaseException:  # Ctrl-C: what is running ends with its next piece
            stop.set()
            raise
        if errors:
            problems = [problem for error in errors for problem in error.problems]
            if untried:
                problems.append(Problem(f"{len(untried)} more files were not asked for"))
            raise type(errors[0])(problems)

    def _fetch(self, file: File, stop: threading.Event) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._fetch_once(file, stop)
            except Interrupted:
                if attempt == _ATTEMPTS or stop.is_set():
                    raise
            else:
                self._remember(file)
                self._meter.finish(file.name)
                return

    def _fetch_once(self, file: File, stop: threading.Event) -> None:
        bound = MAX_FILE if file.size is None else file.size
        with self._open(file, bound) as stream, self._store.writer() as writer:
            while chunk := stream.read(CHUNK):
                if stop.is_set():
                    raise Interrupted("stopped")
                writer.write(chunk)
                self._meter.add(len(chunk))
                if writer.size > bound:
                    raise Untrusted(f"it has more than the {bound} bytes that the lock says")
            if file.size is not None and writer.size < file.size:
                short = f"it ended after {writer.size} of {file.size} bytes"
                # Without a Content-Length, HTTP cannot tell an end from a broken connection.
                raise Interrupted(short) if is_remote(file.location) else Untrusted(short)
            writer.commit(f"sha256:{file.sha256}")

    def _open(self, file: File, bound: int) -> BinaryIO:
        location = file.location
        if is_remote(location) or not location:
            if self._offline:
                raise NetworkError(
                    "it is not in the store, and --offline forbids to fetch it",
                    help="build once without --offline",
                )
            if not location:
                raise NotFound("where it is was not remembered")
            return cast("BinaryIO", open_asking(self._transport, location, limit=bound))
        path = local_path(location).replace("\\", "/")
        try:
            return (self._folder / path).open("rb", buffering=0)
        except FileNotFoundError:
            raise NotFound("it is not there", help="lock again, or put it there") from None
        except OSError as error:
            raise InputError(f"it cannot be read: {error.strerror}") from error
