"""Images of a registry: manifests first, configurations and layers when somebody opens them."""

from __future__ import annotations

import io
import threading
from typing import BinaryIO

from imagist.oci import derive, lazy, mediatype
from imagist.oci.image import Image, Index
from imagist.oci.reference import Reference
from imagist.registry.client import Registries
from imagist.registry.repository import RawManifest, Repository


def load_image(registries: Registries, reference: Reference) -> Image | Index:
    """The image or index that a reference names; a digest goes before a tag.

    Raises:
        NotFound: the registry has none.
        NetworkError: the registry cannot be reached, or refuses.
        Untrusted: what it gives has not the digest that it should have.
        InputError: it is no image that imagist reads.
    """
    source = RegistrySource(registries.repository(reference))
    found = source.read_manifest(reference.digest or reference.tag)
    return lazy.wrap(source, found.raw, found.media_type)


class RegistrySource:
    """The blobs and manifests of a repository; a `BlobSource`.

    Registries keep the two apart, so each manifest that is read teaches what its digests are.
    """

    def __init__(self, repository: Repository) -> None:
        """Nothing is asked yet."""
        self.repository = repository
        self._sizes: dict[str, int] = {}
        self._manifests: set[str] = set()
        self._lock = threading.Lock()

    def open_blob(self, digest: str) -> BinaryIO:
        """Open a blob, checked while it is read; see `Repository.open_blob`."""
        with self._lock:
            is_manifest, size = digest in self._manifests, self._sizes.get(digest, -1)
        if is_manifest:
            return io.BytesIO(self.read_manifest(digest).raw)
        return self.repository.open_blob(digest, size)

    def read_manifest(self, tag_or_digest: str) -> RawManifest:
        """A manifest; see `Repository.get_manifest`."""
        found = self.repository.get_manifest(tag_or_digest)
        with self._lock:
            if found.media_type in mediatype.INDEXES:
                children = derive.parse_index(found.raw).manifests
                self._manifests.update(item.digest for item in children)
            else:
                document = derive.parse_manifest(found.raw)
                named = (document.config, *document.layers)
                self._sizes.update((item.digest, item.size) for item in named)
        return found
