"""All layers of an image as one: what a runtime sees, and nothing that was deleted on the way."""

from __future__ import annotations

from typing import Final

from imagist.editing.layers import LayerWriter
from imagist.editing.whole import Change
from imagist.inspection.export import export_tar
from imagist.oci import derive
from imagist.oci.image import Image
from imagist.oci.manifest import History
from imagist.oci.mutate import replace_layers
from imagist.oci.platform import Platform
from imagist.rootfs import compress
from imagist.store.memo import memo_key

STEP: Final = "flat-layer"
FORMAT: Final = 1
"""Raise it whenever the same layers would become other bytes."""


def flattening(writer: LayerWriter, *, jobs: int = 1) -> Change:
    """The change that replaces the layers of an image by one, which is remembered.

    It is as old as the image. The lines of the old history stay, as lines of no layer.
    """

    def change(_: Platform, image: Image) -> Image:
        layer = writer.remember(
            STEP,
            memo_key(FORMAT, compress.FORMAT, [str(each.digest) for each in image.layers]),
            lambda: writer.compress(lambda write: export_tar(image, write, jobs=jobs)),
        )
        line = History(
            created=derive.config(image).created or "",
            created_by=f"imagist flatten {derive.digest(image)}",
        )
        return replace_layers(image, layer.of_kind(image.media_type), line)

    return change
