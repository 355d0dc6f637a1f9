"""The files that a declaration is read from; reading them is the caller's."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

Read = Callable[[str], bytes]
"""Bytes of a file by path; NotFound or FileNotFoundError where there is none."""


class SourceFile(msgspec.Struct, frozen=True):
    """A file a declaration was read from."""

    path: str
    data: bytes
