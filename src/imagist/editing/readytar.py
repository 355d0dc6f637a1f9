"""Tars that are layers already: told from other files, and read once from end to end."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

from imagist.digest import CHUNK, Digest
from imagist.errors import ImagistError, InputError, NotFound, Untrusted
from imagist.rootfs.tarfields import check_sum
from imagist.rootfs.tarread import Limits, TarReader
from imagist.rootfs.uncompress import Form, Tee, tell_form, uncompress

STDIN: Final = "-"
_SUFFIXES: Final = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst")
_HEADER: Final = 512


class ReadyTar:
    """An open archive, of which nothing but the beginning was looked at."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        """`name` is what errors call it."""
        self.name = name
        self._stream = stream
        beginning = b""
        while len(beginning) < 4 and (piece := stream.read(CHUNK)):
            beginning += piece
        self._ready = beginning
        self.form: Form = tell_form(beginning)

    def read(self, size: int = CHUNK) -> bytes:
        """The next bytes of the archive as it is, the beginning included; b"" at its end."""
        piece, self._ready = self._ready, b""
        return piece or self._stream.read(size)

    def pieces(self, tee: Tee | None = None) -> Iterator[bytes]:
        """The uncompressed tar; `tee` gets the bytes of the archive as they are read."""
        stream = cast("BinaryIO", self)
        return uncompress(stream, self.form, what=self.name, limit=Limits().total, tee=tee)

    def check(self, write: Callable[[bytes], object], tee: Tee | None = None) -> Digest:
        """Read it all, handing on the uncompressed tar to `write`; the digest of that.

        Raises:
            Untrusted: it is damaged, or no tar that every reader would understand alike.
        """
        state = hashlib.sha256()

        def passing() -> Iterator[bytes]:
            for piece in self.pieces(tee):
                state.update(piece)
                write(piece)
                yield piece

        reader = TarReader(passing(), what=self.name)
        for _ in reader:
            pass
        if not reader.size:
            raise Untrusted(f"{self.name} is empty, and no tar")
        return Digest(f"sha256:{state.hexdigest()}")


@contextmanager
def open_tar(source: str) -> Iterator[ReadyTar]:
    """An archive in a file, in a pipe, or on stdin, which `-` means.

    Raises:
        NotFound: there is no such file.
        InputError: it cannot be read.
    """
    try:
        if source == STDIN:
            yield ReadyTar(sys.stdin.buffer, "stdin")
            return
        with Path(source).open("rb", buffering=0) as stream:
            yield ReadyTar(cast("BinaryIO", stream), source)
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {source}") from error
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror}") from error


def is_layer_tar(source: str) -> bool:
    """Whether what lies at a path is taken for a ready layer, by its name or by its content.

    A name that says tar is believed, so that a damaged archive is an error and not a file. Pipes
    are tars, too, since nothing else can come out of them.
    """
    if source == STDIN:
        return True
    try:
        mode = os.stat(source).st_mode  # noqa: PTH116 - names that are not UTF-8
        if not stat.S_ISREG(mode) or source.endswith(_SUFFIXES):
            return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)
        with open_tar(source) as tar:
            header = b""
            for piece in tar.pieces():
                header += piece[:_HEADER]
                if len(header) >= _HEADER:
                    break
        check_sum(header[:_HEADER].ljust(_HEADER))
    except (OSError, ValueError, ImagistError):
        return False
    return True
