"""Blobs after a power failure: which ones must be read again before they are trusted.

Waiting for the disk after every blob makes a build of 150 packages slower by a third, so a blob
is renamed into place while its bytes may still be on their way. A crash of the program cannot
harm it then, but a crash of the machine can. So an empty file `unsettled/<boot id>/<hex>` is made
*before* the rename (journals keep that order). In the same boot such a blob is whole, for the
kernel has it in memory. Notes of another boot (or of another machine that shares the folder) mean:
hash the blob once more before its first use; keep it and drop the note, or remove both.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from imagist.digest import sha256_stream


class Unsettled:
    """The notes about blobs that the disk may not hold yet."""

    def __init__(self, folder: Path, blobs: Path) -> None:
        self._folder = folder
        self._blobs = blobs
        self._boot = _boot_id()
        self._mine = f"{folder / self._boot}{os.sep}"
        self.earlier: dict[str, Path] = {}
        """Hex digests noted in another boot, with the note."""

    def open(self) -> None:
        """Read the notes of other boots; one small folder listing where there are none."""
        Path(self._mine).mkdir(parents=True, exist_ok=True)
        for boot in os.listdir(self._folder):  # noqa: PTH208 - names only
            if boot != self._boot:
                notes = self._folder / boot
                self.earlier.update((name, notes / name) for name in os.listdir(notes))  # noqa: PTH208

    def note(self, name: str, file: int) -> None:
        """Note a blob that is about to be renamed into place; `file` is its open descriptor.

        Where the system tells no boots apart, wait for the disk instead.
        """
        if not self._boot:
            os.fsync(file)
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        os.close(os.open(self._mine + name, flags, 0o600))

    def settle(self, name: str) -> bool:
        """Make sure of one blob of an earlier boot; False where it had to be removed."""
        note = self.earlier.get(name)
        if note is None:
            return True
        place = self._blobs / name
        try:
            with place.open("rb", buffering=0) as stream:
                whole = sha256_stream(stream)[0].hex == name
                if whole:
                    os.fsync(stream.fileno())
        except FileNotFoundError:
            return False
        if not whole:
            place.unlink(missing_ok=True)
        note.unlink(missing_ok=True)
        self.earlier.pop(name, None)
        return whole

    def settle_all(self) -> None:
        """Make sure of every noted blob, then forget the notes; takes as long as the disk does."""
        for name in list(self.earlier):
            self.settle(name)
        for boot in os.listdir(self._folder):  # noqa: PTH208
            self._settle_boot(self._folder / boot, mine=boot == self._boot)

    def _settle_boot(self, notes: Path, *, mine: bool) -> None:
        for name in os.listdir(notes) if mine else ():  # noqa: PTH208
            with contextlib.suppress(FileNotFoundError):
                _wait_for_disk(self._blobs / name)
            (notes / name).unlink(missing_ok=True)
        if not mine:
            with contextlib.suppress(OSError):
                notes.rmdir()


def _wait_for_disk(place: Path) -> None:
    file = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _boot_id() -> str:
    """What Linux names this boot, `""` on systems that name none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""
