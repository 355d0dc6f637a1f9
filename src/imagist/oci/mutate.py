"""New images from old ones: nothing is changed in place, and nothing unknown is lost.

Documents are edited as plain JSON values, so that members which imagist does not know survive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from imagist.errors import InputError
from imagist.oci import derive, mediatype
from imagist.oci.derive import MemoryImage, MemoryIndex
from imagist.oci.image import Image, Index, Layer
from imagist.oci.manifest import (
    Descriptor,
    History,
    IndexManifest,
    decode_object,
    describe,
    encode,
)
from imagist.oci.platform import Platform

Document = dict[str, Any]
_CREATED = "org.opencontainers.image.created"


def append_layers(image: Image, added: Sequence[tuple[Layer, History]]) -> MemoryImage:
    """The image with more layers on top.

    Raises:
        InputError: this is an artifact, not a container image.
    """
    derive.config(image)
    config = _document(image.raw_config)
    diff_ids = config.setdefault("rootfs", {"type": "layers"}).get("diff_ids") or []
    config["rootfs"]["diff_ids"] = [*diff_ids, *(str(layer.diff_id) for layer, _ in added)]
    history = [_builtins(line) for _, line in added]
    config["history"] = [*(config.get("history") or []), *history]
    manifest = _document(image.raw_manifest)
    descriptors = [_builtins(describe_layer(layer)) for layer, _ in added]
    manifest["layers"] = [*(manifest.get("layers") or []), *descriptors]
    layers = (*image.layers, *(layer for layer, _ in added))
    return _with_config(image, manifest, config, layers)


def set_config(image: Image, changes: Mapping[str, Any]) -> MemoryImage:
    """The image with members of its configuration replaced (config.md).

    `config` is merged member by member; a value of None or "" removes a member.

    Raises:
        InputError: this is an artifact, not a container image.
    """
    derive.config(image)
    config = _merged(_document(image.raw_config), changes)
    return _with_config(image, _document(image.raw_manifest), config, image.layers)


def set_created(image: Image, moment: str) -> MemoryImage:
    """The image with another time of creation, RFC 3339, everywhere it is recorded.

    Raises:
        InputError: this is an artifact, not a container image.
    """
    history = _document(image.raw_config).get("history") or []
    dated = set_config(
        image, {"created": moment, "history": [{**line, "created": moment} for line in history]}
    )
    if _CREATED in derive.manifest(image).annotations:
        return annotate_image(dated, {_CREATED: moment})
    return dated


def annotate_image(image: Image, annotations: Mapping[str, str]) -> MemoryImage:
    """The image with annotations added to its manifest; an empty value removes one."""
    return _with_manifest(image, {"annotations": dict(annotations)})


def annotate_index(index: Index, annotations: Mapping[str, str]) -> MemoryIndex:
    """The index with annotations added; an empty value removes one."""
    document = _merged(_document(index.raw_manifest), {"annotations": dict(annotations)})
    raw = _encode(document)
    return MemoryIndex(raw, _children_by_digest(index), index.media_type)


def set_subject(image: Image, subject: Descriptor | None) -> MemoryImage:
    """The image as a referrer of another manifest, or of none."""
    return _with_manifest(image, {"subject": _builtins(subject) if subject else None})


def map_images(index: Index, change: Callable[[Platform, Image], Image]) -> MemoryIndex:
    """The index with every container image in it replaced by what `change` makes of it.

    Descriptors keep their annotations and platforms; artifacts and nested indexes stay in their
    places, nested indexes with their images changed.
    """
    document = _document(index.raw_manifest)
    children: dict[str, Image | Index] = {}
    edited: list[Document] = []
    known = derive.index_manifest(index).manifests
    for item, entry in zip(known, document.get("manifests") or [], strict=True):
        if not derive.is_child(item):
            edited.append(entry)
            continue
        child = _mapped(index.child(item), item, change)
        new = derive.describe_image(child)
        children[new.digest] = child
        kept = {key: value for key, value in entry.items() if key != "data"}
        kept.update(mediaType=new.media_type, digest=str(new.digest), size=new.size)
        edited.append(kept)
    document["manifests"] = edited
    return MemoryIndex(_encode(document), children, index.media_type)


def rebase(image: Image, old_base: Image, new_base: Image) -> MemoryImage:
    """The image with the layers of one base replaced by those of another.

    Only layers and their history move: what a runtime does stays as the image says.

    Raises:
        InputError: the image is not built on `old_base`, or the bases differ in platform.
    """
    count = len(old_base.layers)
    if [x.digest for x in image.layers[:count]] != [x.digest for x in old_base.layers]:
        raise InputError(
            f"{derive.digest(image)} does not begin with the layers of {derive.digest(old_base)}",
            help="name the base it was built on; annotation org.opencontainers.image.base.digest",
        )
    platform, other = derive.platform(image), derive.platform(new_base)
    if platform != other:
        raise InputError(f"an image for {platform} cannot stand on a base for {other}")
    config = _document(image.raw_config)
    own = (config.get("history") or [])[len(derive.config(old_base).history or ()) :]
    config["history"] = [*(_document(new_base.raw_config).get("history") or []), *own]
    layers = (*new_base.layers, *image.layers[count:])
    config["rootfs"]["diff_ids"] = [str(layer.diff_id) for layer in layers]
    manifest = _document(image.raw_manifest)
    manifest["layers"] = [
        *(_document(new_base.raw_manifest).get("layers") or []),
        *manifest["layers"][count:],
    ]
    return _with_config(image, manifest, config, layers)


def make_index(
    children: Iterable[tuple[Platform | None, Image | Index]],
    *,
    annotations: Mapping[str, str] | None = None,
) -> MemoryIndex:
    """An index over some images, in the order given."""
    listed = [(derive.describe_image(child, platform=p), child) for p, child in children]
    document = IndexManifest(
        schema_version=2,
        manifests=tuple(descriptor for descriptor, _ in listed),
        annotations=dict(annotations or {}),
    )
    return MemoryIndex(encode(document), {item.digest: child for item, child in listed})


def describe_layer(layer: Layer) -> Descriptor:
    """The descriptor of a layer."""
    return Descriptor(media_type=layer.media_type, digest=layer.digest, size=layer.size)


def _mapped(
    child: Image | Index, item: Descriptor, change: Callable[[Platform, Image], Image]
) -> Image | Index:
    if isinstance(child, Index):
        return map_images(child, change)
    unknown = item.platform is not None and item.platform.architecture == "unknown"
    if unknown or not derive.is_image_config(derive.manifest(child).config):
        return child
    return change(item.platform or derive.platform(child), child)


def _children_by_digest(index: Index) -> dict[str, Image | Index]:
    return {item.digest: child for item, child in derive.children(index)}


def _with_manifest(image: Image, changes: Document) -> MemoryImage:
    manifest = _encode(_merged(_document(image.raw_manifest), changes))
    return MemoryImage(manifest, image.raw_config, tuple(image.layers), image.media_type)


def _with_config(
    image: Image, manifest: Document, config: Document, layers: Iterable[Layer]
) -> MemoryImage:
    raw_config = _encode(config)
    old = manifest.get("config") or {}
    kept = {key: value for key, value in old.items() if key != "data"}
    new = describe(raw_config, old.get("mediaType") or mediatype.CONFIG)
    manifest["config"] = kept | _builtins(new)
    return MemoryImage(_encode(manifest), raw_config, tuple(layers), image.media_type)


def _merged(document: Document, changes: Mapping[str, Any]) -> Document:
    """A document with some members replaced, maps member by member; None and "" remove."""
    merged = dict(document)
    for key, value in changes.items():
        if isinstance(value, Mapping):
            merged[key] = _merged(merged.get(key) or {}, value)
        else:
            merged[key] = value
        if merged[key] in (None, "", {}):
            del merged[key]
    return merged


def _document(raw: bytes) -> Document:
    return decode_object(raw, "a document of an image")


def _encode(document: Document) -> bytes:
    try:
        return msgspec.json.encode(document)
    except RecursionError as error:  # what could just be read, from a place deeper in the stack
        raise InputError(f"a document of an image is nested too deep: {error}") from error


def _builtins(value: msgspec.Struct) -> Any:
    return msgspec.json.decode(encode(value))
