"""What the environment decides beside the flags: where the store is, and the time of builds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from imagist.errors import RequestError
from imagist.oci.platform import Platform, parse_platform

_HOSTS: Final = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7", "armv6l": "arm/v6"}


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


def host_platform() -> Platform:
    """The platform of this machine.

    Raises:
        RequestError: it is none that imagist knows.
    """
    machine = os.uname().machine
    return parse_platform(_HOSTS.get(machine, machine))
