"""What this process has begun to write and not finished, so that it can leave in a hurry.

Files and folders that will be renamed into their places are cleaned up by the `with` block that
made them. A process that must end before all its threads come back removes them all from here.
"""

from __future__ import annotations

import _thread
import contextlib
import os
from collections.abc import Callable
from typing import Final

_PATIENCE: Final = 0.1
"""Seconds to wait for a file that is being made at this moment."""
_GATE: Final = _thread.allocate_lock()
_begun: Final[dict[str, Callable[[str], object]]] = {}


def begin(
    path: str, make: Callable[[str], int], remove: Callable[[str], object] = os.unlink
) -> int:
    """Make a temporary file or folder by `make`, and give what it gives, a descriptor."""
    with _GATE:
        _begun[path] = remove
        try:
            return make(path)
        except OSError:
            del _begun[path]
            raise


def end(path: str) -> None:
    """It is renamed or removed by now; may be called again."""
    _begun.pop(path, None)


def remove_all() -> None:
    """Remove everything that is unfinished, for a process that ends with the next statement.

    Nothing can be begun any more: the gate stays closed, and whoever comes waits there.
    """
    _GATE.acquire(timeout=_PATIENCE)
    for path, remove in list(_begun.items()):
        with contextlib.suppress(OSError):
            remove(path)
