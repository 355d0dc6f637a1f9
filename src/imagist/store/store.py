"""The store: everything imagist keeps on one machine, by digest.

root/blobs/sha256/<hex>   blobs, read-only, each whole (see `blobs`)
root/tmp/                 blobs that are being written
root/images/<hex>         an empty file for each image or index that `prune` keeps
root/memo.sqlite          remembered results of steps (see `memo`)
root/lock                 shared by all users, exclusive while `prune` removes
root/lock.turn            held while `prune` waits for that, so that nobody new comes first
root/repositories/        names for blobs, see `repositories`
root/memo.lock            the same for the memo, exclusive while a damaged one is set aside
"""

from __future__ import annotations

import contextlib
import os
import re
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Final, Self, cast

from imagist.digest import Digest, sha256
from imagist.errors import ImagistError, InputError, NotFound, RequestError, Untrusted
from imagist.oci import contents, derive, lazy
from imagist.oci.image import Image, Index
from imagist.oci.reader import VerifyingReader, pieces_of
from imagist.progress import SILENT, Meter
from imagist.store.blobs import BlobFile, Blobs, BlobWriter, storage_error
from imagist.store.lock import Lock
from imagist.store.parallel import Brake, each

if TYPE_CHECKING:
    from imagist.store.memo import Memo

_SHORTEST_PREFIX: Final = 4
_HEX: Final = "[0-9a-f]{64}"


class Store:
    """Blobs, images and remembered results below one folder; safe for threads and processes."""

    def __init__(self, blobs: Blobs, lock: Lock) -> None:
        """Use `Store.open`."""
        self.root = blobs.root
        self.blobs = blobs
        self.images = blobs.root / "images"
        self._lock = lock

    @classmethod
    def open(cls, root: Path) -> Store:
        """Open the store in a folder, making it where it is not there yet.

        Raises:
            InputError: the folder cannot be made or written.
        """
        blobs = Blobs(root.absolute())
        try:
            blobs.make_folders()
            (root / "images").mkdir(exist_ok=True)
            lock = Lock(root / "lock")
        except OSError as error:
            raise storage_error(error, root) from error
        return cls(blobs, lock)

    def close(self) -> None:
        """Give the lock and the memo's file back; garbage collection does it as well."""
        if "memo" in vars(self):  # opening it to close it would load SQLite
            self.memo.close()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @cached_property
    def memo(self) -> Memo:
        """Remembered results of steps."""
        from imagist.store.memo import Memo  # noqa: PLC0415 - SQLite, which many never need

        # Not `self.has`: a cycle would keep the lock until the garbage collector runs.
        blobs = self.blobs
        return Memo(self.root / "memo.sqlite", lambda digest: blobs.find(digest) is not None)

    def has(self, digest: str) -> bool:
        """Whether a blob is here."""
        return self.blobs.find(digest) is not None

    def size(self, digest: str) -> int:
        """Bytes of a blob.

        Raises:
            NotFound: it is not here.
        """
        status = self.blobs.find(digest)
        if status is None:
            raise NotFound(f"the store has no blob {digest}")
        return status.st_size

    def path(self, digest: str) -> Path:
        """The read-only file of a blob.

        Raises:
            NotFound: it is not here.
        """
        return self.blobs.path(digest)

    def open_blob(self, digest: str) -> BinaryIO:
        """Open a blob for reading, unbuffered; the caller closes it.

        Raises:
            NotFound: it is not here.
        """
        try:
            return cast("BinaryIO", BlobFile(str(self.blobs.path(digest))))
        except FileNotFoundError:
            raise NotFound(f"the store has no blob {digest}") from None
        except OSError as error:
            raise InputError(f"the blob {digest} cannot be read: {error.strerror}") from error

    def blob_sizes(self) -> dict[str, int]:
        """Bytes of every blob; what else may lie beside them is left out."""
        with os.scandir(self.blobs.folder) as items:
            return {
                f"sha256:{item.name}": item.stat().st_size
                for item in items
                if re.fullmatch(_HEX, item.name)
            }

    def read(self, digest: str) -> bytes:
        """A whole small blob.

        Raises:
            NotFound: it is not here.
        """
        with self.open_blob(digest) as stream:
            return stream.read()

    def put(self, data: bytes) -> Digest:
        """Keep bytes as a blob."""
        with self.writer() as writer:
            writer.write(data)
            return writer.commit()

    def writer(self) -> BlobWriter:
        """A writer of one blob, to be used in a `with` statement."""
        return BlobWriter(self.blobs)

    def add_image(self, image: Image | Index, *, meter: Meter = SILENT, jobs: int = 1) -> Digest:
        """Keep an image or index with everything it names, until `prune` finds it unused.

        Raises:
            Untrusted: a layer does not have the digest its manifest states.
        """
        self.add_blobs(image, meter=meter, jobs=jobs)
        digest = derive.digest(image)
        self.keep_image(digest)
        return digest

    def keep_image(self, digest: str) -> None:
        """Let `prune` keep an image or index whose blobs are all here."""
        try:
            (self.images / Digest(digest).hex).touch()
        except OSError as error:
            raise storage_error(error, self.root) from error

    def add_blobs(self, image: Image | Index, *, meter: Meter = SILENT, jobs: int = 1) -> None:
        """Keep everything an image or index names; `prune` removes what nothing else needs.

        Args:
            image: what to keep.
            meter: counts the bytes that were not here.
            jobs: blobs that are taken in at a time; more than one where they come from afar.

        Raises:
            Untrusted: a layer does not have the digest its manifest states.
        """
        from imagist.store.output import in_good_order  # noqa: PLC0415 - often nothing is missing

        missing = [blob for blob in contents.blobs(image) if not self._holds(blob)]
        brake = Brake(meter)
        brake.expect(sum(blob.size for blob in missing))
        each(lambda blob: self.add_blob(blob, brake), in_good_order(missing), jobs, brake=brake)

    def _holds(self, blob: contents.Blob) -> bool:
        """Whether a blob is here; a document that is damaged is removed."""
        if not self.has(blob.digest):
            return False
        if blob.layer or sha256(self.read(blob.digest)) == blob.digest:
            return True
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.blobs.place(blob.digest))  # noqa: PTH108 - str paths
        return False

    def add_blob(self, blob: contents.Blob, meter: Meter = SILENT) -> None:
        """Copy a blob from anywhere and check it on the way.

        Raises:
            Untrusted: it does not have the digest or size it is said to have.
        """
        with blob.open() as stream, self.writer() as writer:
            # The writer takes the digest anyway, so what only checks need not do it once more.
            source = stream.source if isinstance(stream, VerifyingReader) else stream
            for piece in pieces_of(source):
                writer.write(piece)
                meter.add(len(piece))
                if writer.size > blob.size:
                    raise Untrusted(f"{blob.digest} has more than the {blob.size} bytes promised")
            writer.commit(blob.digest)

    def image(self, reference: str) -> Image | Index:
        """An image or index by its digest (`sha256:...`), or by a prefix that only one has.

        Raises:
            NotFound: no image has it.
            RequestError: several have this prefix, or it is shorter than four digits.
            InputError: the digest is of something else.
        """
        digest = self._complete(reference.removeprefix("sha256:"), reference)
        thing = lazy.load_digest(self, digest)
        with contextlib.suppress(OSError):
            os.utime(self.images / digest.removeprefix("sha256:"))
        return thing

    def find_image(self, digest: str) -> Image | Index | None:
        """An image or index of which every document is whole and every layer here, or None."""
        try:
            thing = self.image(digest)
            whole = all(self.has(blob.digest) for blob in contents.blobs(thing))
        except ImagistError:  # damaged: whoever asked makes it anew
            return None
        return thing if whole else None

    def alone(self) -> AbstractContextManager[None]:
        """Have the store alone for a while, as removing things from it needs.

        Raises:
            RequestError: others did not let go of it within ten seconds.
        """
        return self._lock.alone()

    def _complete(self, prefix: str, reference: str) -> str:
        if len(prefix) == 64:
            return f"sha256:{prefix}"
        if len(prefix) < _SHORTEST_PREFIX:
            raise RequestError(
                f"`{reference}` is too short for a digest",
                help=f"give at least {_SHORTEST_PREFIX} of its digits",
            )
        found = sorted(name for name in os.listdir(self.images) if name.startswith(prefix))  # noqa: PTH208
        if not found:
            raise NotFound(f"the store has no image whose digest begins with `{reference}`")
        if len(found) > 1:
            names = ", ".join(f"sha256:{name[:12]}" for name in found[:5])
            raise RequestError(f"`{reference}` begins several images: {names}")
        return f"sha256:{found[0]}"
