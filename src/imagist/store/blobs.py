"""Blobs in files named by their digest: `blobs/sha256/<hex>`, each whole or not there at all.

A blob is written under a temporary name and renamed into its place when its digest is known and
its bytes have reached the disk (fdatasync); so what is in its place is whole, also after a power
failure. The writer holds a lock (flock) on its temporary file, so that anyone may tell the rests
of a killed process from the work of a living one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import io
import os
import re
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from imagist.digest import Digest, check
from imagist.errors import ImagistError, InputError, NotFound
from imagist.store import unfinished

_SHA256: Final = re.compile("sha256:[0-9a-f]{64}")
_OURS: Final = "[0-9]+-[0-9a-f]{16}"
"""Names of temporary files; whatever else lies there is somebody's."""
_READ_ONLY: Final = 0o444
_COALESCE: Final = 1 << 16
"""Smaller pieces are gathered: a system call and a hash update each would cost more."""
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
wait_for_disk: Final = getattr(os, "fdatasync", os.fsync)  # macOS has only the second
TOUCH_AFTER: Final = 86_400
"""Seconds after which a use is noted again in a file's mtime; `prune` reads it."""


class Blobs:
    """The blobs below one folder; safe for many threads and processes."""

    def __init__(self, root: Path) -> None:
        """Take the folder, which `make_folders` must have made."""
        self.root = root
        self.folder = root / "blobs" / "sha256"
        self.temporary = root / "tmp"
        self._prefix = f"{self.folder}{os.sep}"

    def make_folders(self) -> None:
        """Make what is missing, and remove what killed writers left."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.temporary.mkdir(exist_ok=True)
        self.remove_rests()

    def place(self, digest: str) -> str:
        """Where a blob is or would be.

        Raises:
            InputError: the digest is not SHA-256, the one algorithm of the store.
        """
        if not _SHA256.fullmatch(digest):
            raise InputError(f"`{digest}` is no SHA-256 digest; the store holds no others")
        return self._prefix + digest[7:]

    def find(self, digest: str) -> os.stat_result | None:
        """The status of a blob's file, None where it is absent; notes that it was used."""
        place = self.place(digest)
        try:
            status = os.stat(place)  # noqa: PTH116 - thousands of these are a warm build
        except FileNotFoundError:
            return None
        if time.time() - status.st_mtime > TOUCH_AFTER:
            with contextlib.suppress(OSError):
                os.utime(place)
        return status

    def path(self, digest: str) -> Path:
        """The file of a blob.

        Raises:
            NotFound: the store does not hold it.
        """
        if self.find(digest) is None:
            raise NotFound(f"the store has no blob {digest}")
        return Path(self.place(digest))

    def write_file(self, place: str, data: bytes) -> None:
        """Put a small file somewhere below the root, so that readers see the old or the new one.

        Its bytes have reached the disk by then; folders that are missing are made.

        Raises:
            InputError: the disk is full.
        """
        name, file = _create(self.temporary)
        try:
            with explain(self.root):
                view = memoryview(data)
                while view:
                    view = view[os.write(file, view) :]
                if data:
                    wait_for_disk(file)
                rename(name, place)
                name = ""
        finally:
            if name:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name)  # noqa: PTH108 - str paths
            unfinished.end(name)
            os.close(file)

    def remove_rests(self) -> int:
        """Remove temporary files whose writers are dead; return how many."""
        removed = 0
        with os.scandir(self.temporary) as items:
            for item in items:
                removed += bool(re.fullmatch(_OURS, item.name)) and _remove_if_dead(item.path)
        return removed


class BlobFile(io.FileIO):
    """An open blob of a store: whole, trusted, and a file that may be linked by its `name`."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "rb")

    name: str


class BlobWriter:
    """Writes one blob: `write` its bytes, then `commit`. Without `commit` nothing stays.

    A context manager; not for several threads at once. `commit` is `seal` and then `settle`: the
    first needs a processor, the second waits for the disk, which another thread may do.
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._state = hashlib.sha256()
        self._pending = bytearray()
        self.size = 0
        """Bytes written so far."""
        self._name, self._file = _create(blobs.temporary)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.abort()

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Append bytes.

        Raises:
            InputError: the disk is full.
        """
        size = len(data) if not isinstance(data, memoryview) else data.nbytes
        self.size += size
        if size < _COALESCE:
            self._pending += data
            if len(self._pending) >= _COALESCE:
                self._flush()
            return size
        self._flush()
        self._put(data)
        return size

    def commit(self, expected: str | None = None) -> Digest:
        """Put the blob in its place and return its digest.

        A blob that is there already is left alone, unless it has lost its end.

        Raises:
            Untrusted: the bytes do not have the digest `expected`.
            InputError: the disk is full.
        """
        digest = self.seal(expected)
        self.settle(digest)
        return digest

    def seal(self, expected: str | None = None) -> Digest:
        """The digest of all that was written; `settle` or `abort` must follow.

        Raises:
            Untrusted: the bytes do not have the digest `expected`.
            InputError: the disk is full.
        """
        self._flush()
        digest = Digest("sha256:" + self._state.hexdigest())
        if expected is not None:
            check(expected, digest, f"what was fetched ({self.size} bytes)")
        return digest

    def settle(self, digest: Digest) -> None:
        """Put a sealed blob in its place as soon as its bytes have reached the disk.

        Raises:
            InputError: the disk is full.
        """
        status = self._blobs.find(digest)
        if status is None or status.st_size != self.size:
            with explain(self._blobs.root):
                wait_for_disk(self._file)
                os.replace(self._name, self._blobs.place(digest))  # noqa: PTH105 - str paths
                unfinished.end(self._name)
                self._name = ""
        self.abort()

    def abort(self) -> None:
        """Drop what was written, unless it was committed; may be called again."""
        if self._file < 0:
            return
        if self._name:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._name)  # noqa: PTH108 - str paths
            unfinished.end(self._name)
        os.close(self._file)
        self._file = -1

    def _flush(self) -> None:
        if self._pending:
            pending, self._pending = self._pending, bytearray()
            self._put(pending)

    def _put(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data).cast("B")
        with explain(self._blobs.root):
            while view:
                written = os.write(self._file, view)
                self._state.update(view[:written])  # never of what the disk refused
                view = view[written:]


def rename(old: str, new: str) -> None:
    """Rename a file; the folders of the new name are made where they are missing."""
    try:
        os.replace(old, new)  # noqa: PTH105 - str paths
    except FileNotFoundError:
        os.makedirs(os.path.dirname(new), exist_ok=True)  # noqa: PTH103, PTH120 - str paths
        os.replace(old, new)  # noqa: PTH105 - str paths


def _create(folder: Path) -> tuple[str, int]:
    """A new temporary file, locked: its name and descriptor."""
    while True:
        name = f"{folder}{os.sep}{os.getpid()}-{os.urandom(8).hex()}"
        with explain(folder.parent):
            file = unfinished.begin(name, _make)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file).st_nlink:
                return name, file
        except BlockingIOError:
            pass  # another process, which looks for rests, was faster; it removes the file
        unfinished.end(name)
        os.close(file)


def _make(name: str) -> int:
    return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _READ_ONLY)


def _remove_if_dead(name: str) -> bool:
    try:
        file = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False  # finished in the meantime, or another user's
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(name)  # noqa: PTH108 - str paths
    except OSError:
        return False
    finally:
        os.close(file)
    return True


class explain(contextlib.AbstractContextManager[None]):  # noqa: N801 - reads as a verb
    """Say what a full or read-only disk means for the store."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, OSError):
            raise storage_error(error, self._root) from error


def storage_error(error: OSError, place: Path) -> ImagistError:
    """What to tell a person where writing below `place` failed."""
    if error.errno in _NO_SPACE:
        return InputError(
            f"no space is left for {place}",
            help="free some space, run `imagist cache prune`, or name another --cache folder",
        )
    return InputError(f"cannot write to {place}: {error.strerror or error}")
