"""A package that an image has, as the image's own database tells it, whatever the format."""

from __future__ import annotations

import msgspec


class Installed(msgspec.Struct, frozen=True, gc=False):
    """An installed package; what a database does not say is empty."""

    name: str
    """With `:ARCH` behind it where dpkg would add it: of a foreign architecture."""
    version: str
    """In the format's own spelling."""
    arch: str = ""
    """In the format's own spelling, too."""
    origin: str = ""
    """What it was built from, together with others."""
    license: str = ""
    """Only APK's databases say it."""

    def __str__(self) -> str:
        return f"{self.name}-{self.version}"
