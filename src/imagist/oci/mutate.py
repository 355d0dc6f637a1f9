"""New images from old ones: nothing is changed in place, and nothing unknown is lost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from imagist.oci import derive, mediatype
from imagist.oci.derive import MemoryImage, MemoryIndex
from imagist.oci.documents import (
    Document,
    complete_history,
    merge_members,
    plain_members,
    read_members,
    with_config,
    with_diff_ids,
    write_members,
)
from imagist.oci.image import Image, Index, Layer
from imagist.oci.manifest import Descriptor, History, IndexManifest, encode
from imagist.oci.platform import Platform

_CREATED: Final = "org.opencontainers.image.created"
_ABOUT: Final = "vnd.docker.reference.digest"
"""The annotation in which BuildKit writes what image of the index an attestation is about."""


def append_layers(image: Image, added: Sequence[tuple[Layer, History]]) -> MemoryImage:
    """The image with more layers on top.

    Raises:
        InputError: this is an artifact, not a container image.
    """
    derive.config(image)
    config = read_members(image.raw_config)
    layers = (*image.layers, *(layer for layer, _ in added))
    config = with_diff_ids(config, (layer.diff_id for layer in layers))
    history = [plain_members(line) for _, line in added]
    config["history"] = [*complete_history(config, len(image.layers)), *history]
    manifest = read_members(image.raw_manifest)
    descriptors = [plain_members(describe_layer(layer)) for layer, _ in added]
    manifest["layers"] = [*(manifest.get("layers") or []), *descriptors]
    return with_config(image, manifest, config, layers)


def set_config(image: Image, changes: Mapping[str, Any]) -> MemoryImage:
    """The image with members of its configuration replaced (config.md).

    `config` is merged member by member; a value of None or "" removes a member.

    Raises:
        InputError: this is an artifact, not a container image.
    """
    derive.config(image)
    config = read_members(image.raw_config)
    if changes.get("config"):
        run = merge_members(config.get("config") or {}, changes["config"])
        changes = {**changes, "config": run}
    config = merge_members(config, changes)
    return with_config(image, read_members(image.raw_manifest), config, image.layers)


def set_created(image: Image, moment: str) -> MemoryImage:
    """The image with another time of creation, RFC 3339, everywhere it is recorded.

    Raises:
        InputError: this is an artifact, not a container image.
    """
    history = read_members(image.raw_config).get("history") or []
    dated = set_config(
        image, {"created": moment, "history": [{**line, "created": moment} for line in history]}
    )
    if _CREATED in derive.manifest(image).annotations:
        return annotate_image(dated, {_CREATED: moment})
    return dated


def annotate_image(image: Image, annotations: Mapping[str, str]) -> MemoryImage:
    """The image with annotations added to its manifest; an empty value removes one."""
    document = _annotated(read_members(image.raw_manifest), annotations)
    return _with_manifest(image, document)


def annotate_index(index: Index, annotations: Mapping[str, str]) -> MemoryIndex:
    """The index with annotations added; an empty value removes one."""
    document = _annotated(read_members(index.raw_manifest), annotations)
    raw = write_members(document, index.raw_manifest)
    return MemoryIndex(raw, _children_by_digest(index), index.media_type)


def set_subject(image: Image, subject: Descriptor | None) -> MemoryImage:
    """The image as a referrer of another manifest, or of none."""
    change = {"subject": plain_members(subject) if subject else None}
    return _with_manifest(image, merge_members(read_members(image.raw_manifest), change))


def map_images(
    index: Index,
    change: Callable[[Platform, Image], Image],
    *,
    left_out: Callable[[Descriptor], object] = lambda _: None,
) -> MemoryIndex:
    """The index with every container image in it replaced by what `change` makes of it.

    Descriptors keep their annotations and platforms, unless the image is for another one now.
    Artifacts and nested indexes stay in their places, nested indexes with their images changed. An
    attestation of BuildKit speaks of an image by its digest, and of what it was built from; of an
    image that changed it would say what is not so: it is left out, and told to `left_out`.
    """
    document = read_members(index.raw_manifest)
    known = derive.index_manifest(index).manifests
    children: dict[str, Image | Index] = {}
    for item in known:
        if derive.is_child(item) and item.digest not in children:
            children[item.digest] = _mapped(index.child(item), item, change, left_out)
    stays = {old for old, child in children.items() if derive.digest(child) == old}
    edited: list[Document] = []
    for item, entry in zip(known, document.get("manifests") or [], strict=True):
        if not _is_kept(item, stays, children):
            left_out(item)
        elif item.digest in stays or item.digest not in children:
            edited.append(entry)
        else:
            edited.append(_renamed(entry, index.child(item), children[item.digest]))
    made: dict[str, Image | Index] = {derive.digest(child): child for child in children.values()}
    if edited == document.get("manifests"):
        return MemoryIndex(index.raw_manifest, made, index.media_type)
    document["manifests"] = edited
    return MemoryIndex(write_members(document), made, index.media_type)


def keep_images(index: Index, kept: Collection[str]) -> MemoryIndex:
    """The index with some of its images alone, by digest, and the attestations about them."""
    document = read_members(index.raw_manifest)
    known = derive.index_manifest(index).manifests
    children: dict[str, Image | Index] = {}
    edited: list[Document] = []
    for item, entry in zip(known, document.get("manifests") or [], strict=True):
        if item.digest in kept or item.annotations.get(_ABOUT) in kept:
            children[item.digest] = index.child(item)
            edited.append(entry)
        elif item.media_type in mediatype.INDEXES:
            old = index.child(item)
            child = keep_images(old, kept) if isinstance(old, Index) else old
            if isinstance(child, MemoryIndex) and child.children:
                children[derive.digest(child)] = child
                edited.append(_renamed(entry, old, child))
    document["manifests"] = edited
    return MemoryIndex(write_members(document), children, index.media_type)


def replace_layers(image: Image, layer: Layer, line: History) -> MemoryImage:
    """The image with one layer in place of all it has; how they came to be stays in its history.

    Raises:
        InputError: this is an artifact, not a container image.
    """
    derive.config(image)
    config = read_members(image.raw_config)
    config = with_diff_ids(config, [layer.diff_id])
    before = [{**each, "empty_layer": True} for each in config.get("history") or []]
    config["history"] = [*before, plain_members(line)]
    manifest = read_members(image.raw_manifest)
    manifest["layers"] = [plain_members(describe_layer(layer))]
    return with_config(image, manifest, config, (layer,))


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
    child: Image | Index,
    item: Descriptor,
    change: Callable[[Platform, Image], Image],
    left_out: Callable[[Descriptor], object],
) -> Image | Index:
    if isinstance(child, Index):
        return map_images(child, change, left_out=left_out)
    if is_attestation(item) or not derive.is_image_config(derive.manifest(child).config):
        return child
    return change(item.platform or derive.platform(child), child)


def is_attestation(item: Descriptor) -> bool:
    """Whether a descriptor in an index names an attestation of BuildKit, which is no image."""
    return item.platform is not None and item.platform.architecture == "unknown"


def _is_kept(item: Descriptor, stays: Collection[str], children: Collection[str]) -> bool:
    """Whether an index keeps a descriptor: an attestation only while its image stays."""
    if not is_attestation(item):
        return True
    about = item.annotations.get(_ABOUT, "")
    return about in stays if about in children else len(stays) == len(children)


def _renamed(entry: Document, old: Image | Index, new: Image | Index) -> Document:
    """A descriptor in an index, of what its child has become."""
    kept = {key: value for key, value in entry.items() if key != "data"}
    item = derive.describe_image(new)
    kept.update(mediaType=item.media_type, digest=str(item.digest), size=item.size)
    if not isinstance(old, Index) and not isinstance(new, Index):
        platform = derive.platform(new)
        if platform != derive.platform(old):
            kept["platform"] = plain_members(platform)
    return kept


def _children_by_digest(index: Index) -> dict[str, Image | Index]:
    return {item.digest: child for item, child in derive.children(index)}


def _annotated(document: Document, annotations: Mapping[str, str]) -> Document:
    edited = merge_members(document.get("annotations") or {}, annotations)
    return merge_members(document, {"annotations": dict(sorted(edited.items()))})


def _with_manifest(image: Image, document: Document) -> MemoryImage:
    raw = write_members(document, image.raw_manifest)
    return MemoryImage(raw, image.raw_config, tuple(image.layers), image.media_type)
