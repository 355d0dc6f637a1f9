"""Layers that edits add, made from files or taken from ready tars; their bytes go to the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import BinaryIO

import msgspec

from imagist.digest import CHUNK
from imagist.editing.additions import read_item
from imagist.editing.place import Placed
from imagist.editing.readytar import open_tar
from imagist.oci import mediatype
from imagist.oci.derive import BlobLayer
from imagist.progress import SILENT, Meter
from imagist.rootfs.batch import Content
from imagist.rootfs.compress import GzipWriter
from imagist.rootfs.tarwrite import BLOCK, write_tar
from imagist.rootfs.uncompress import Form
from imagist.store.layers import StoredLayer, recall, remember
from imagist.store.store import Store


class NewLayer(msgspec.Struct, frozen=True):
    """A layer in the store. Its media type depends on the image it is for: OCI's or Docker's."""

    form: Form
    """`gzip` or `zstd`."""
    digest: str
    diff_id: str
    size: int
    opener: Callable[[], BinaryIO]

    def of_kind(self, manifest: str) -> BlobLayer:
        """The layer as an image with a manifest of this media type has it.

        Docker has no media type for zstd, so there such a layer has OCI's, as crane does it.
        """
        kind = mediatype.LAYER_ZSTD
        if self.form == "gzip":
            is_docker = manifest == mediatype.DOCKER_MANIFEST
            kind = mediatype.DOCKER_LAYER if is_docker else mediatype.LAYER_GZIP
        return BlobLayer(self.digest, self.diff_id, self.size, kind, self.opener)


class LayerWriter:
    """Writes layers into a store; the same entries and contents always give the same bytes."""

    def __init__(self, store: Store, *, jobs: int | None = None, meter: Meter = SILENT) -> None:
        """`jobs` threads compress; `meter` counts the uncompressed bytes."""
        self.store = store
        self._jobs = jobs
        self._meter = meter
        self._written: dict[tuple[Placed, ...], NewLayer] = {}

    def write(self, placed: Sequence[Placed]) -> NewLayer:
        """A layer of some entries, whose contents are read on the way and never held.

        Raises:
            InputError: a file cannot be read, or has changed since it was found.
        """
        key = tuple(placed)  # the same for all platforms that have the same folders
        if key not in self._written:
            self._meter.expect(sum(BLOCK + each.entry.size for each in key))
            items = ((each.entry, _content(each)) for each in placed)
            self._written[key] = self.compress(lambda write: write_tar(items, write))
        return self._written[key]

    def remember(self, step: str, key: str, make: Callable[[], NewLayer]) -> NewLayer:
        """The layer that a step gave before, or gives now."""
        known = recall(self.store, step, key, StoredLayer)
        if known is not None:
            return self._layer("gzip", known.digest, known.diff_id, known.size)
        made = make()
        remember(self.store, step, key, StoredLayer(made.digest, made.size, made.diff_id))
        return made

    def compress(self, produce: Callable[[Callable[[bytes], object]], object]) -> NewLayer:
        """A gzip layer of the tar that `produce` writes into what it is given."""
        with self.store.writer() as blob:
            with GzipWriter(blob.write, jobs=self._jobs) as gzip:

                def write(piece: bytes) -> None:
                    self._meter.add(len(piece))
                    gzip.write(piece)

                produce(write)
            done = gzip.close()
            digest = blob.commit(done.digest)
        return self._layer("gzip", digest, done.diff_id, done.size)

    def adopt(self, source: str) -> NewLayer:
        """A layer that is there as a tar: its own bytes if it is compressed, else compressed here.

        `-` is stdin. The archive is read once, checked to its end, and never held.

        Raises:
            NotFound: there is no such file.
            InputError: it is damaged, or no tar.
        """
        with open_tar(source) as tar:
            if tar.form == "tar":
                return self.compress(tar.check)
            with self.store.writer() as blob:
                diff_id = tar.check(lambda piece: self._meter.add(len(piece)), blob.write)
                return self._layer(tar.form, blob.commit(), diff_id, blob.size)

    def _layer(self, form: Form, digest: str, diff_id: str, size: int) -> NewLayer:
        return NewLayer(form, digest, diff_id, size, lambda: self.store.open_blob(digest))


def _content(placed: Placed) -> Content:
    if placed.item is None or placed.entry.kind != "file":
        return b""
    return read_item(placed.item, CHUNK)
