"""The repositories that an image will be pushed to, as a build sees them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

from msgspec.structs import replace

from imagist.build.memory import TAG
from imagist.errors import NotFound
from imagist.oci.image import Image, Index
from imagist.oci.reference import Reference
from imagist.registry.client import Registries
from imagist.registry.source import load_image


class RegistryTarget:
    """What some repositories hold; a `context.Target`."""

    def __init__(self, registries: Registries, references: Iterable[Reference]) -> None:
        """`references`: the names that the image will have."""
        self._registries = registries
        places = (replace(reference, tag="", digest="") for reference in references)
        self._places = tuple(dict.fromkeys(places))

    def find_image(self, digest: str) -> Image | Index | None:
        """See `context.Target.find_image`: a registry takes no manifest whose blobs it lacks."""
        return self._find(digest=digest)

    def find_memory(self) -> Image | None:
        """See `context.Target.find_memory`."""
        found = self._find(tag=TAG)
        return found if isinstance(found, Image) else None

    def open_blob(self, digest: str) -> BinaryIO:
        """See `context.Target.open_blob`."""
        for place in self._places:
            try:
                return self._registries.repository(place).open_blob(digest)
            except NotFound:
                continue
        raise NotFound(f"no repository that the image goes to has the blob {digest}")

    def _find(self, *, tag: str = "", digest: str = "") -> Image | Index | None:
        for place in self._places:
            try:
                return load_image(self._registries, replace(place, tag=tag, digest=digest))
            except NotFound:
                continue
        return None
