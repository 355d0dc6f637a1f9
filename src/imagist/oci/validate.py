"""Reading an image from end to end: every digest, size and diff_id is derived once more.

All findings are reported, not the first. Memory stays bounded whatever a layer inflates to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, cast

from isal import isal_zlib

from imagist.digest import CHUNK, sha256
from imagist.errors import ImagistError, Problem
from imagist.oci import derive, mediatype
from imagist.oci.contents import is_distributable
from imagist.oci.image import Image, Index, Layer
from imagist.oci.manifest import Descriptor

if TYPE_CHECKING:
    from imagist.zstd import Inflater

_GZIP: Final = 31
_STEP: Final = 1 << 18
_PLAIN_LAYERS: Final = frozenset({mediatype.LAYER_TAR, mediatype.LAYER_EROFS})
_KNOWN_LAYERS: Final = mediatype.GZIP_LAYERS | _PLAIN_LAYERS | {mediatype.LAYER_ZSTD}
_ERRORS: Final = cast(
    "tuple[type[Exception], ...]",
    (
        ImagistError,
        OSError,
        EOFError,
        ValueError,
        isal_zlib.error,
    ),  # isal's stubs call the last an instance
)


def validate(thing: Image | Index, *, layers: bool = True) -> list[Problem]:
    """Everything that is wrong with an image or index; empty where nothing is.

    Layers are opened only with `layers`. The diff_id of a layer of an unknown form is not derived;
    its digest is.
    """
    return list(_index(thing, layers) if isinstance(thing, Index) else _image(thing, layers))


def list_unchecked(thing: Image | Index) -> list[str]:
    """The layers, by digest, whose diff_id `validate` cannot derive."""
    images = [thing] if not isinstance(thing, Index) else [i for _, i in derive.images(thing)]
    layers = [layer for image in images for layer in image.layers]
    return list(
        dict.fromkeys(each.digest for each in layers if each.media_type not in _KNOWN_LAYERS)
    )


def _index(index: Index, layers: bool) -> Iterator[Problem]:
    where = f"index {derive.digest(index).short}"
    try:
        document = derive.index_manifest(index)
    except ImagistError as error:
        yield from error.problems
        return
    if document.media_type != index.media_type:
        yield Problem(f"calls itself a `{document.media_type}`, not {index.media_type}", where)
    for item in document.manifests:
        if not derive.is_child(item):
            continue
        try:
            child = index.child(item)
        except ImagistError as error:
            yield from error.problems
            continue
        yield from _named(child, item, where)
        yield from validate(child, layers=layers)


def _named(child: Image | Index, item: Descriptor, where: str) -> Iterator[Problem]:
    """Whether a child is what its descriptor says."""
    actual = derive.describe_image(child)
    if actual.digest != item.digest:
        yield Problem(f"names {item.digest}, but the child is {actual.digest}", where)
    if actual.size != item.size:
        yield Problem(f"says {item.digest} has {item.size} bytes, not {actual.size}", where)
    if actual.media_type != item.media_type:
        yield Problem(f"says {item.digest} is a {item.media_type}, not {actual.media_type}", where)
    if isinstance(child, Index) or item.platform is None:
        return
    try:
        artifact = not derive.is_image_config(derive.manifest(child).config)
        own = item.platform if artifact else derive.platform(child)
    except ImagistError:
        return  # reported where the child itself is read
    wanted = item.platform
    if (own.os, own.architecture) != (wanted.os, wanted.architecture):
        yield Problem(f"says {item.digest} is for {wanted}, but its configuration: {own}", where)


def _image(image: Image, layers: bool) -> Iterator[Problem]:
    where = f"image {derive.digest(image).short}"
    try:
        document = derive.manifest(image)
        raw_config = image.raw_config
        held = list(image.layers)
    except ImagistError as error:
        yield from error.problems
        return
    if document.media_type != image.media_type:
        yield Problem(f"calls itself a `{document.media_type}`, not {image.media_type}", where)
    if sha256(raw_config) != document.config.digest or len(raw_config) != document.config.size:
        yield Problem(f"names the configuration {document.config.digest}, which is another", where)
    yield from _config(image, where)
    if len(held) != len(document.layers):
        yield Problem(f"lists {len(document.layers)} layers, but holds {len(held)}", where)
        return
    for number, (layer, item) in enumerate(zip(held, document.layers, strict=True), 1):
        spot = f"{where}, layer {number}"
        if (layer.digest, layer.size) != (item.digest, item.size):
            yield Problem(
                f"names layer {item.digest} of {item.size} bytes, not what is held", spot
            )
        if layers and is_distributable(layer):
            yield from _layer(layer, spot)


def _config(image: Image, where: str) -> Iterator[Problem]:
    document = derive.manifest(image)
    if not derive.is_image_config(document.config):
        return
    try:
        config = derive.config(image)
    except ImagistError as error:
        yield from error.problems
        return
    diff_ids = config.rootfs.diff_ids
    if len(diff_ids) != len(document.layers):
        yield Problem(f"has {len(document.layers)} layers and {len(diff_ids)} diff_ids", where)
    elif list(diff_ids) != [layer.diff_id for layer in image.layers]:
        yield Problem("holds layers with other diff_ids than its configuration lists", where)
    history = [line for line in config.history or () if not line.empty_layer]
    if history and len(history) != len(document.layers):
        yield Problem(
            f"has {len(document.layers)} layers and {len(history)} in its history", where
        )


def _layer(layer: Layer, where: str) -> Iterator[Problem]:
    """Read a layer once: digest, size and, where it can be told, diff_id."""
    state = hashlib.sha256()
    content = _Content(layer.media_type)
    size = 0
    try:
        with layer.compressed() as stream:
            while chunk := stream.read(CHUNK):
                state.update(chunk)
                size += len(chunk)
                content.update(chunk)
        diff_id = content.finish()
    except _ERRORS as error:
        yield Problem(f"cannot be read: {error}", where)
        return
    digest = f"sha256:{state.hexdigest()}"
    if layer.digest.startswith("sha256:") and digest != layer.digest:
        yield Problem(f"has the digest {digest}, not {layer.digest}", where)
    if size != layer.size:
        yield Problem(f"has {size} bytes, not {layer.size}", where)
    if diff_id and layer.diff_id and diff_id != layer.diff_id:
        yield Problem(f"has the diff_id {diff_id}, not {layer.diff_id}", where)


class _Content:
    """The diff_id of a layer that passes by in chunks: inflated in steps, hashed, dropped."""

    def __init__(self, media_type: str) -> None:
        self._state = hashlib.sha256()
        self._known = media_type in _KNOWN_LAYERS
        self._codec: _Gzip | Inflater | None = None
        if media_type in mediatype.GZIP_LAYERS:
            self._codec = _Gzip()
        elif media_type == mediatype.LAYER_ZSTD:
            from imagist.zstd import Inflater  # noqa: PLC0415 - seldom met

            self._codec = Inflater()

    def update(self, chunk: bytes) -> None:
        if self._codec is not None:
            for piece in self._codec.inflate(chunk):
                self._state.update(piece)
        elif self._known:
            self._state.update(chunk)

    def finish(self) -> str:
        if not self._known:
            return ""
        if self._codec is not None:
            self._codec.finish()
        return f"sha256:{self._state.hexdigest()}"


class _Gzip:
    """Inflates gzip members as they come."""

    def __init__(self) -> None:
        self._member = isal_zlib.decompressobj(_GZIP)

    def inflate(self, chunk: bytes) -> Iterator[bytes]:
        while chunk:
            if self._member.eof:
                self._member = isal_zlib.decompressobj(_GZIP)  # the next (RFC 1952, 2.2)
            member = self._member
            yield member.decompress(chunk, _STEP)
            chunk = member.unused_data if member.eof else member.unconsumed_tail
        while not self._member.eof and (piece := self._member.decompress(b"", _STEP)):
            yield piece  # what the last step had no room for

    def finish(self) -> None:
        if not self._member.eof:
            raise EOFError("the gzip stream is cut off")
