"""Uploads that last longer than a request: the bytes so far, in a file of the repository.

The size of the file is how far the upload has come, so a new process goes on where a killed one
stood. Who appends holds a lock (flock) on the file. SHA-256 is computed as bytes come and kept in
memory between requests; where it is not known (a new process, another algorithm), the file is read
once when the upload ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Final, Self

import msgspec

from imagist.digest import CHUNK, Digest, check
from imagist.errors import NotFound, RequestError
from imagist.store.blobs import explain, rename, wait_for_disk
from imagist.store.repositories import Repositories, Repository

_ID: Final = re.compile("[0-9a-f]{32}")
_MOST_REMEMBERED: Final = 1024
_FLUSH_EVERY: Final = 8 << 20
"""Bytes after which the disk is given what has come."""
_FLUSHERS: Final = 8
ABANDONED_AFTER: Final = 86_400.0
"""Seconds without a byte after which an upload is removed."""


class UploadBusy(RequestError):
    """Another request appends to the upload."""


class _Progress(msgspec.Struct, frozen=True):
    """How far the SHA-256 of an upload is computed."""

    size: int
    state: hashlib._Hash


class Uploads:
    """What a process knows of the uploads that it serves; safe for threads."""

    def __init__(self, repositories: Repositories) -> None:
        self._repositories = repositories
        self._known: OrderedDict[str, _Progress] = OrderedDict()
        self._lock = threading.Lock()
        self.flushing = ThreadPoolExecutor(_FLUSHERS, "flush")
        """Threads that wait for the disk."""

    def begin(self, repository: Repository) -> str:
        """Begin an upload; returns its id.

        Raises:
            InputError: the disk is full.
        """
        number = os.urandom(16).hex()
        path = _path(repository, number)
        with explain(repository.blobs.root):
            os.close(_create(path))
        self.remember(number, _Progress(0, hashlib.sha256()))
        return number

    def size(self, repository: Repository, number: str) -> int:
        """Bytes that have arrived.

        Raises:
            NotFound: there is no such upload.
        """
        try:
            return os.stat(_path(repository, number)).st_size  # noqa: PTH116 - str paths
        except FileNotFoundError:
            raise _no_upload(number) from None

    def open(self, repository: Repository, number: str) -> Upload:
        """Open an upload for appending; close it.

        Raises:
            NotFound: there is no such upload.
            UploadBusy: another request appends to it at this moment.
        """
        return Upload(self, repository, number)

    def cancel(self, repository: Repository, number: str) -> None:
        """Forget an upload.

        Raises:
            NotFound: there is no such upload.
        """
        self.take_known(number)
        try:
            os.unlink(_path(repository, number))  # noqa: PTH108 - str paths
        except FileNotFoundError:
            raise _no_upload(number) from None

    def remember(self, number: str, progress: _Progress) -> None:
        """Keep how far the digest of an upload is computed."""
        with self._lock:
            self._known[number] = progress
            while len(self._known) > _MOST_REMEMBERED:
                self._known.popitem(last=False)

    def take_known(self, number: str) -> _Progress | None:
        """How far the digest of an upload is computed; who takes it has it alone."""
        with self._lock:
            return self._known.pop(number, None)


class Upload:
    """An upload that one request appends to; a context manager, and not for several threads."""

    def __init__(self, uploads: Uploads, repository: Repository, number: str) -> None:
        self._uploads = uploads
        self._repository = repository
        self.number = number
        self._path = _path(repository, number)
        self._file = _open_locked(self._path, number)
        self.size = os.fstat(self._file).st_size
        """Bytes that have arrived."""
        self._flushed = self.size
        """Bytes of which the disk knows already, or will soon."""
        self._flushing: Future[None] | None = None
        known = uploads.take_known(number)
        self._state = known.state if known and known.size == self.size else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            InputError: the disk is full.
        """
        state, self._state = self._state, None  # unknown once a write fails
        view = memoryview(data)
        with explain(self._repository.blobs.root):
            while view:
                written = os.write(self._file, view)
                self.size += written
                if state:
                    state.update(view[:written])
                view = view[written:]
            if self.size - self._flushed >= _FLUSH_EVERY:
                self._flush()
        self._state = state

    def finish(self, digest: Digest) -> None:
        """Make what has arrived a blob of the repository, if it has this digest; else drop it.

        When this returns, the bytes have reached the disk, and the store holds them. A blob that
        is there already is left alone, unless it has another size; then it is replaced, but only
        by bytes that were read and hashed once more.

        Raises:
            Untrusted: it has another digest.
            NotFound: it was cancelled in the meantime.
            InputError: the disk is full.
        """
        content = Digest("sha256:" + (self._state or self._hash("sha256")).hexdigest())
        actual = content
        if digest.algorithm != "sha256":
            actual = Digest(f"{digest.algorithm}:{self._hash(digest.algorithm).hexdigest()}")
        try:
            check(digest, actual, f"what was uploaded ({self.size} bytes)")
            self._settle(digest, content)
        except BaseException:
            self.drop()
            raise

    def close(self) -> None:
        """Leave the upload as it is, for a later request; may be called again.

        Where the disk failed to keep what came, the upload is dropped: a disk tells it only once.
        """
        if self._file < 0:
            return
        if self._flushing and self._flushing.exception():
            self.drop()
            return
        if self._state:
            self._uploads.remember(self.number, _Progress(self.size, self._state))
        self._let_go()

    def drop(self) -> None:
        """Remove the upload, unless it was finished; may be called again."""
        if self._file < 0:
            return
        self._state = None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)  # noqa: PTH108 - str paths
        self._let_go()

    def _flush(self) -> None:
        """Let the disk begin while bytes still arrive, so that the end waits for a part only."""
        if self._flushing:
            if not self._flushing.done():
                return
            self._flushing.result()  # a disk tells of its failure once
        self._flushed = self.size
        self._flushing = self._uploads.flushing.submit(wait_for_disk, self._file)

    def _settle(self, digest: Digest, content: Digest) -> None:
        blobs = self._repository.blobs
        with explain(blobs.root):
            os.fchmod(self._file, 0o444)
            if self._flushing:
                self._flushing.result()
            wait_for_disk(self._file)
            with self._repository.committing():
                if not _is_same(self._path, self._file):
                    raise _no_upload(self.number)
                status = blobs.find(content)
                if status is not None and status.st_size != self.size:
                    read = Digest("sha256:" + self._hash("sha256").hexdigest())
                    check(content, read, f"the file of the upload ({self.size} bytes)")
                if status is None or status.st_size != self.size:
                    rename(self._path, blobs.place(content))
                else:
                    os.unlink(self._path)  # noqa: PTH108 - str paths
                self._state = None
                self._repository.add_blob(digest, content)
        self._let_go()

    def _hash(self, algorithm: str) -> hashlib._Hash:
        state = hashlib.new(algorithm)
        with open(self._path, "rb", buffering=0) as file:  # noqa: PTH123 - str paths
            while chunk := file.read(CHUNK):
                state.update(chunk)
        return state

    def _let_go(self) -> None:
        if self._flushing:
            wait([self._flushing])
        os.close(self._file)
        self._file = -1


def remove_abandoned(repositories: Repositories, older_than: float = ABANDONED_AFTER) -> int:
    """Remove uploads that got nothing for so many seconds; returns how many."""
    removed = 0
    for path in repositories.uploads():
        with contextlib.suppress(FileNotFoundError):  # it was finished in the meantime
            if _ID.fullmatch(os.path.basename(path)):  # noqa: PTH119 - str paths
                removed += _remove_if_idle(path, time.time() - older_than)
    return removed


def _remove_if_idle(path: str, oldest: float) -> bool:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file).st_mtime > oldest:
            return False
        os.unlink(path)  # noqa: PTH108 - str paths
    except BlockingIOError:
        return False
    finally:
        os.close(file)
    return True


def _path(repository: Repository, number: str) -> str:
    if not _ID.fullmatch(number):
        raise _no_upload(number)
    return f"{repository.folder}/_uploads/{number}"


def _create(path: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    while True:
        try:
            return os.open(path, flags, 0o644)
        except FileNotFoundError:  # the first upload, or `prune` removed the empty folder
            os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - str paths


def _open_locked(path: str, number: str) -> int:
    try:
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    except FileNotFoundError:
        raise _no_upload(number) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise UploadBusy(f"another request is writing to upload {number}") from None
    if not _is_same(path, file):  # it was finished or cancelled while we waited
        os.close(file)
        raise _no_upload(number)
    return file


def _is_same(path: str, file: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))  # noqa: PTH116 - str paths
    except FileNotFoundError:
        return False


def _no_upload(number: str) -> NotFound:
    return NotFound(f"there is no upload {number}")
