"""What the memo keeps of a layer that was written into the store."""

from collections.abc import Callable
from typing import BinaryIO, TypeVar

import msgspec

from imagist.oci import mediatype
from imagist.oci.derive import BlobLayer
from imagist.store.store import Store


class StoredLayer(msgspec.Struct, frozen=True, array_like=True):
    """A layer in a store; or none, where there was nothing to write."""

    digest: str = ""
    size: int = 0
    diff_id: str = ""

    def open(self, store: Store) -> BlobLayer:
        """The layer as images have it; its blob is opened when it is asked for."""
        digest = str(self.digest)
        return self.opened_by(lambda: store.open_blob(digest))

    def opened_by(
        self, opener: Callable[[], BinaryIO], media_type: str = mediatype.LAYER_GZIP
    ) -> BlobLayer:
        """The layer as images have it, whose blob comes from elsewhere or is no gzip."""
        return BlobLayer(self.digest, self.diff_id, self.size, media_type, opener)


L = TypeVar("L", bound=StoredLayer)


def recall(store: Store, step: str, key: str, kind: type[L]) -> L | None:
    """The layer that is remembered under a key, as a step notes it."""
    value = store.memo.get(step, key)
    if value is None:
        return None
    try:
        return msgspec.msgpack.decode(value, type=kind)
    except msgspec.DecodeError:
        return None


def remember(store: Store, step: str, key: str, layer: L) -> L:
    """Keep a layer in mind for as long as its blob is there."""
    blobs = [layer.digest] if layer.digest else []
    store.memo.put(step, key, msgspec.msgpack.encode(layer, enc_hook=str), blobs=blobs)
    return layer
