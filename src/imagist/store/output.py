"""Results that appear at once: written under a temporary name beside their place, then renamed.

A temporary result is locked (flock) by its writer; what killed writers left beside a place is
removed when the next result is written there.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Final

from imagist.digest import CHUNK
from imagist.errors import InputError, Untrusted
from imagist.oci.contents import Blob
from imagist.oci.reader import VerifyingReader, verified
from imagist.progress import SILENT, Meter
from imagist.store import unfinished
from imagist.store.blobs import BlobFile, storage_error

_ATTEMPTS: Final = 1000
"""Temporary names that others may take away, one after another; a few are much."""
PARTIAL: Final = r"\.[0-9a-f]{64}-[0-9a-f]{12}"
"""Names of blobs of a layout that are being copied."""
_KERNEL_STEP: Final = 1 << 26
_NO_LINK: Final = frozenset(
    {errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS}
)


def temporary_file(place: Path) -> AbstractContextManager[Path]:
    """A locked empty file beside `place`, gone afterwards unless it was renamed.

    Folders above it that are missing are made.

    Raises:
        InputError: the disk is full, or the folder cannot be made or written.
    """

    def make(path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

    return _temporary(place, make, lambda path: path.unlink(missing_ok=True))


def temporary_folder(place: Path) -> AbstractContextManager[Path]:
    """A locked empty folder beside `place`, gone afterwards unless it was renamed.

    Folders above it that are missing are made.

    Raises:
        InputError: the disk is full, or the folder cannot be made or written.
    """

    def make(path: Path) -> int:
        path.mkdir()
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    return _temporary(place, make, _remove_folder)


@contextlib.contextmanager
def _temporary(
    place: Path, make: Callable[[Path], int], remove: Callable[[Path], object]
) -> Iterator[Path]:
    """What `make` gives a descriptor of, under the name it is given; locked while in use."""
    with _explained(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        _remove_rests(place)
        for _ in range(_ATTEMPTS):
            made = _make_locked(place, make, remove)
            if made is not None:
                break
        else:
            raise InputError(
                f"{place} cannot be written: its folder keeps no file",
                help="name a place in a folder on a disk",
            )
        path, descriptor = made
        try:
            yield path
        finally:
            remove(path)
            unfinished.end(str(path))
            os.close(descriptor)


def _make_locked(
    place: Path, make: Callable[[Path], int], remove: Callable[[Path], object]
) -> tuple[Path, int] | None:
    """A new temporary name and its descriptor; None where another process was faster.

    One that looks for rests may find what is not locked yet, and takes it for a rest.
    """
    path = _temporary_name(place)
    try:
        descriptor = unfinished.begin(str(path), lambda _: make(path), lambda _: remove(path))
    except FileNotFoundError:
        if not place.parent.exists():
            raise
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pass
    else:
        if path.exists():
            return path, descriptor
    unfinished.end(str(path))
    os.close(descriptor)
    return None


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Have a folder alone among those who ask in this way; waits for the others.

    Raises:
        InputError: the disk is full, or the folder cannot be written.
    """
    with _explained(folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def replace_file(place: Path, data: bytes) -> None:
    """Write a small file so that a reader sees the old or the new one, whole."""
    with temporary_file(place) as path:
        path.write_bytes(data)
        path.replace(place)


def in_good_order(blobs: Iterable[Blob]) -> list[Blob]:
    """Blobs for several writers: the largest first, so that all end at about the same time."""
    return sorted(blobs, key=lambda blob: -blob.size)


def write_blob(blob: Blob, place: Path, *, link: bool, meter: Meter = SILENT) -> None:
    """Write a blob into a file: a hard link to the store's where that is wanted and possible.

    Raises:
        Untrusted: the blob is not what its digest and size say.
    """
    with blob.open() as stream:
        if isinstance(stream, BlobFile):
            _check_size(stream, blob)
            if link and _link(stream, place):
                meter.add(blob.size)
                return
        partial = place.with_name(f".{place.name}-{os.urandom(6).hex()}")
        descriptor = unfinished.begin(
            str(partial), lambda path: os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        )
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as target:
                copy_blob(blob, stream, target, meter)
            partial.replace(place)
        finally:
            partial.unlink(missing_ok=True)
            unfinished.end(str(partial))


def _check_size(stream: BlobFile, blob: Blob) -> None:
    """A store's blob is trusted, but a disk may have lost its end; a look costs nothing."""
    size = os.fstat(stream.fileno()).st_size
    if size != blob.size:
        raise Untrusted(
            f"the blob {blob.digest} in the store is damaged: {size} bytes, not {blob.size}",
            help="remove what is damaged with `imagist cache verify`, then build again",
        )


def copy_blob(blob: Blob, stream: BinaryIO, target: BinaryIO, meter: Meter = SILENT) -> None:
    """Append a blob to an unbuffered file, checking it unless it comes out of a store.

    Raises:
        Untrusted: the blob is not what its digest and size say.
    """
    copied = 0
    if isinstance(stream, BlobFile):
        copied = _copy_by_kernel(stream, target, meter)
        pieces = iter(lambda: memoryview(stream.read(CHUNK)), memoryview(b""))
    else:
        pieces = _pieces(stream, blob)
    for piece in pieces:
        copied += len(piece)
        meter.add(len(piece))
        left = piece
        while left:
            left = left[target.write(left) :]
    if copied != blob.size:
        raise Untrusted(f"{blob.digest} has {copied} bytes, not {blob.size}")


def _pieces(stream: BinaryIO, blob: Blob) -> Iterator[memoryview]:
    reader = verified(stream, blob.digest, blob.size)
    assert isinstance(reader, VerifyingReader)  # noqa: S101 - what `verified` gives
    return reader.pieces()


def _link(stream: BlobFile, place: Path) -> bool:
    try:
        os.link(stream.name, place)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        return False
    return True


def _copy_by_kernel(source: BlobFile, target: BinaryIO, meter: Meter) -> int:
    """Let the kernel append a file to another; how many bytes it did, none where it cannot.

    A third less work than reading and writing, and on btrfs and XFS whole files share their bytes.
    """
    copied = 0
    try:
        while step := os.copy_file_range(source.fileno(), target.fileno(), _KERNEL_STEP):
            copied += step
            meter.add(step)
    except (OSError, AttributeError):  # not on this system, or not between these two files
        if copied:
            raise
    return copied


def _temporary_name(place: Path) -> Path:
    return place.parent / f"{_prefix(place)}{os.urandom(6).hex()}"


def _prefix(place: Path) -> str:
    return f".{place.name}.imagist-"


def _remove_rests(place: Path) -> None:
    for name in os.listdir(place.parent):  # noqa: PTH208 - names only
        if name.startswith(_prefix(place)):
            _remove_if_dead(place.parent / name)


def _remove_folder(folder: Path) -> None:
    if not folder.exists():  # the usual end: it was renamed
        return
    import shutil  # noqa: PLC0415 - it loads four compressors

    shutil.rmtree(folder, ignore_errors=True)


def _remove_if_dead(path: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with _locked(descriptor):
            if path.is_dir():
                _remove_folder(path)
            else:
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _explained(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise storage_error(error, place) from error
