"""What the environment decides beside the flags: where the store is, and the time of builds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from imagist.errors import RequestError


def store_folder(environment: Mapping[str, str]) -> Path:
    """The store's folder: `imagist` in the cache folder of the XDG base directories."""
    cache = environment.get("XDG_CACHE_HOME", "")
    if not cache.startswith("/"):  # the specification: relative paths are to be ignored
        cache = str(Path.home() / ".cache")
    return Path(cache) / "imagist"


def read_epoch(environment: Mapping[str, str]) -> int | None:
    """SOURCE_DATE_EPOCH in seconds since 1970; None where it is unset or empty.

    Raises:
        RequestError: it is no such number.
    """
    text = environment.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or int(text) >= 1 << 33:
        raise RequestError(
            f"SOURCE_DATE_EPOCH is `{text}`",
            help="it takes whole seconds since 1970; unset it, or write such a number",
        )
    return int(text)
