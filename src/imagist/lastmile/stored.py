"""What the memo keeps of a layer that was written into the store."""

from __future__ import annotations

import msgspec

from imagist.oci import mediatype
from imagist.oci.derive import BlobLayer
from imagist.store.store import Store


class StoredLayer(msgspec.Struct, frozen=True, array_like=True):
    """A layer in a store, gzip'd; or none, where there was nothing to write."""

    digest: str = ""
    size: int = 0
    diff_id: str = ""

    def open(self, store: Store) -> BlobLayer:
        """The layer as images have it; its blob is opened when it is asked for."""
        digest = str(self.digest)
        return BlobLayer(
            digest,
            self.diff_id,
            self.size,
            mediatype.LAYER_GZIP,
            lambda: store.open_blob(digest),
        )


def recall(store: Store, step: str, key: str) -> StoredLayer | None:
    """The layer that is remembered under a key."""
    value = store.memo.get(step, key)
    if value is None:
        return None
    try:
        return msgspec.msgpack.decode(value, type=StoredLayer)
    except msgspec.DecodeError:
        return None


def remember(store: Store, step: str, key: str, layer: StoredLayer) -> StoredLayer:
    """Keep a layer in mind for as long as its blob is there."""
    blobs = [layer.digest] if layer.digest else []
    store.memo.put(step, key, msgspec.msgpack.encode(layer, enc_hook=str), blobs=blobs)
    return layer
