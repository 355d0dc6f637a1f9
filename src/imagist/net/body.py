"""The body of a request that is streamed: opened anew for each attempt, its size known before."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

import msgspec


class Body(msgspec.Struct, frozen=True):
    """What is sent, always with a Content-Length: chunked transfer stalls on some registries."""

    open: Callable[[], BinaryIO]
    """Open it at its beginning; whoever sends it closes it."""
    size: int
    """Bytes it has."""
