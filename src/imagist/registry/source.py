"""Images of a registry: manifests first, configurations and layers when somebody opens them."""

from __future__ import annotations

import io
import itertools
import threading
from typing import BinaryIO

from imagist.digest import Digest, sha256
from imagist.oci import contents, derive, lazy, mediatype
from imagist.oci.contents import Blob
from imagist.oci.image import Image, Index
from imagist.oci.reference import Reference
from imagist.registry.client import Registries
from imagist.registry.repository import RawManifest, Repository
from imagist.store.store import Store


def load_image(
    registries: Registries,
    reference: Reference,
    *,
    store: Store | None = None,
    keep: bool = False,
) -> Image | Index:
    """The image or index that a reference names; a digest goes before a tag.

    Args:
        registries: where to ask.
        reference: the name.
        store: what it holds is taken from there instead of being fetched.
        keep: whether what is opened comes into the store first, so that whoever reads it again
            needs no network: layers, configurations, and the manifests of an index.

    Raises:
        NotFound: the registry has none.
        NetworkError: the registry cannot be reached, or refuses.
        Untrusted: what it gives has not the digest that it should have.
        InputError: it is no image that imagist reads.
    """
    source = RegistrySource(registries.repository(reference), store, keep=keep)
    return source.load(reference.digest or reference.tag)


def gather(registries: Registries, thing: Image | Index) -> None:
    """Have all documents of an image or index at hand, asked for some at a time.

    Raises:
        NotFound: the registry does not hold a child of an index.
        NetworkError: the registry cannot be reached, or refuses.
    """
    level: list[Image | Index] = [thing]
    seen: set[str] = set()
    for depth in itertools.count():
        if not level:
            return
        contents.check_depth(depth)
        images = [part for part in level if not isinstance(part, Index)]
        registries.each(lambda image: image.raw_config, images)
        pairs = [
            (part, item)
            for part in level
            if isinstance(part, Index)
            for item in derive.index_manifest(part).manifests
            if derive.is_child(item)
            if item.digest not in seen and not seen.add(item.digest)  # type: ignore[func-returns-value]
        ]
        level = registries.each(lambda pair: pair[0].child(pair[1]), pairs)


class RegistrySource:
    """The blobs and manifests of a repository; a `BlobSource`.

    Registries keep the two apart, so each manifest that is read teaches what its digests are.
    Documents are read once: an index asks for its children whenever it is asked for them.
    """

    def __init__(
        self, repository: Repository, store: Store | None = None, *, keep: bool = False
    ) -> None:
        """Nothing is asked yet."""
        self.repository = repository
        self._keep = keep
        self._store = store
        self._sizes: dict[str, int] = {}
        self._manifests: set[str] = set()
        self._configs: set[str] = set()
        self._documents: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def load(self, tag_or_digest: str) -> Image | Index:
        """An image or index of the repository; see `load_image`."""
        found = self.read_manifest(tag_or_digest)
        return lazy.wrap(self, found.raw, found.media_type)

    def open_blob(self, digest: str) -> BinaryIO:
        """Open a blob, checked while it is read; see `Repository.open_blob`."""
        raw = self._documents.get(digest)
        if raw is not None:
            return io.BytesIO(raw)
        if digest in self._manifests:
            return io.BytesIO(self.read_manifest(digest).raw)
        if digest in self._configs:
            return io.BytesIO(self._read_config(digest))
        size = self._sizes.get(digest, -1)
        store = self._store if digest.startswith("sha256:") else None
        if store is not None and self._keep and size >= 0 and not store.has(digest):
            fetched = Blob(digest, size, lambda: self.repository.open_blob(digest, size), True)
            store.add_blob(fetched)
        if store is not None and store.has(digest):
            return store.open_blob(digest)
        return self.repository.open_blob(digest, size)

    def read_manifest(self, tag_or_digest: str) -> RawManifest:
        """A manifest; see `Repository.get_manifest`."""
        found = self._recall_child(tag_or_digest)
        if found is None:
            found = self.repository.get_manifest(tag_or_digest)
            if tag_or_digest in self._manifests:
                self._keep_document(found.raw, tag_or_digest)
        with self._lock:
            self._documents[found.digest] = found.raw
            if found.media_type in mediatype.INDEXES:
                children = derive.parse_index(found.raw).manifests
                self._manifests.update(item.digest for item in children)
            else:
                document = derive.parse_manifest(found.raw)
                named = (document.config, *document.layers)
                self._sizes.update((item.digest, item.size) for item in named)
                if document.config.size <= derive.MAX_DOCUMENT:
                    self._configs.add(document.config.digest)
        return found

    def _recall_child(self, digest: str) -> RawManifest | None:
        """A manifest that an index of the repository names, from the store."""
        raw = self._recall_document(digest) if digest in self._manifests else None
        if raw is None:
            return None
        media_type = derive.detect_media_type(raw)
        self.repository.note_manifest(raw, media_type)
        return RawManifest(media_type, raw, Digest(digest))

    def _read_config(self, digest: str) -> bytes:
        raw = self._recall_document(digest)
        if raw is None:
            with self.repository.open_blob(digest, self._sizes[digest]) as stream:
                raw = stream.read()
            self._keep_document(raw, digest)
        with self._lock:
            self._documents[digest] = raw
        return raw

    def _recall_document(self, digest: str) -> bytes | None:
        """A document from the store, unless it is damaged there, or a layer that is called one."""
        store = self._store if self._keep and digest.startswith("sha256:") else None
        if store is None or not store.has(digest) or store.size(digest) > derive.MAX_DOCUMENT:
            return None
        raw = store.read(digest)
        return raw if sha256(raw) == digest else None

    def _keep_document(self, raw: bytes, digest: str) -> None:
        if self._store is not None and self._keep and digest.startswith("sha256:"):
            self._store.put(raw)
