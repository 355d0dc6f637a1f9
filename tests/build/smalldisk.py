"""A small file system that a test may fill, and write-protect."""

from __future__ import annotations

import contextlib
import ctypes
from pathlib import Path
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_READ_ONLY: Final = 1
_REMOUNT: Final = 32
_DETACH: Final = 2
_LARGE: Final = 1 << 28


class Disk:
    """A file system in memory, mounted on a folder (only root may)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def mount(self, size: int, flags: int = 0) -> bool:
        """Mount it with so many bytes; says whether that was allowed."""
        kind, options = b"tmpfs", f"size={size}".encode()
        code: int = _LIBC.mount(kind, str(self.folder).encode(), kind, flags, options)
        return code == 0

    def unmount(self) -> None:
        """Take it away, whoever still uses it."""
        _LIBC.umount2(str(self.folder).encode(), _DETACH)

    def resize(self, size: int, *, read_only: bool = False) -> None:
        """Change its size in bytes."""
        assert self.mount(size, _REMOUNT | (_READ_ONLY if read_only else 0))

    def grow(self) -> None:
        """Make room."""
        self.resize(_LARGE)

    def fill(self, file: Path) -> None:
        """Write into a file for as long as there is space."""
        with contextlib.suppress(OSError), file.open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(1 << 16))
