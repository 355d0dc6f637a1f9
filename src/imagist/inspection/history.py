"""How the layers of an image came to be, as its configuration tells it (config.md, "history")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from imagist.oci import derive, mediatype
from imagist.oci.image import Image, Layer
from imagist.oci.manifest import History

_AUTHOR: Final = "imagist"
_OWN: Final = "imagist: "
_AS_SIGNED: Final = ", as signed (digest = datahash)"


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the history; `layer` is 0 where it made none, or where that is not known."""

    layer: int = 0
    """Number of the layer, 1 for the base."""
    digest: str = ""
    size: int = 0
    """Bytes of the layer as it is stored."""
    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""


def tell_history(image: Image) -> list[Step]:
    """The steps, base first, each with the layer it made.

    A history that tells of another number of layers than there are cannot be matched: then its
    lines come first, and the layers after them.

    Raises:
        InputError: this is no container image.
    """
    lines = derive.config(image).history or ()
    layers = list(enumerate(image.layers, 1))
    if _matches(lines, image.layers):
        left = iter(layers)
        return [_step(line, None if line.empty_layer else next(left)) for line in lines]
    return [_step(line, None) for line in lines] + [_step(None, layer) for layer in layers]


def lines_of_layers(image: Image) -> list[History]:
    """The line of the history for each layer; empty ones where that is not known.

    Raises:
        InputError: this is no container image.
    """
    lines = derive.config(image).history or ()
    if not _matches(lines, image.layers):
        return [History() for _ in image.layers]
    return [line for line in lines if not line.empty_layer]


def tell_origin(line: History, layer: Layer) -> str:
    """`verbatim` for a package's own bytes, `written` for a layer that imagist wrote, else "".

    The line claims it; whoever has the package can compare its datahash with the layer's digest.
    A layer that others compressed anew, or not at all, has another digest than either.
    """
    if line.author != _AUTHOR or not line.created_by.startswith(_OWN):
        return ""
    if not line.created_by.endswith(_AS_SIGNED):
        return "written"
    return "verbatim" if layer.media_type in mediatype.GZIP_LAYERS else ""


def _matches(lines: Sequence[History], layers: Sequence[Layer]) -> bool:
    return sum(not line.empty_layer for line in lines) == len(layers)


def _step(line: History | None, layer: tuple[int, Layer] | None) -> Step:
    line = line or History()
    number, blob = layer or (0, None)
    return Step(
        number,
        str(blob.digest) if blob else "",
        blob.size if blob else 0,
        line.created,
        line.created_by,
        line.author,
        line.comment,
    )
