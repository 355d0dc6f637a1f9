"""Files of a project, read whole: regular ones alone, since a pipe or device may have no end.

What a user names on the command line is read elsewhere, and may be a pipe.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from imagist.errors import InputError, NotFound

MAX_FILE: Final = 64 << 20
"""Bytes of the largest file that is read; large locks have a tenth of it."""
_KINDS: Final = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_regular(path: Path) -> bytes:
    """The content of a file.

    Raises:
        NotFound: it is not there.
        InputError: it is no regular file, too large, or cannot be read.
    """
    try:
        _check(path, path.stat().st_mode)  # a socket cannot even be opened
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as stream:
            _check(path, os.fstat(descriptor).st_mode)
            data = stream.read(MAX_FILE + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"there is no {path}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_FILE:
        raise InputError(f"{path} has more than {MAX_FILE} bytes; is it a file of a project?")
    return data


def check_regular(path: Path) -> None:
    """See that something is a file that can be read whole, without opening it.

    Raises:
        NotFound: it is not there.
        InputError: it is no regular file.
    """
    try:
        _check(path, path.stat().st_mode)
    except OSError:
        raise NotFound(f"there is no {path}") from None


def _check(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise InputError(f"{path} is {kind}, and must be a file", help="put the file in its place")
