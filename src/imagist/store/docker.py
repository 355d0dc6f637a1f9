"""What `docker save` writes and `docker load` reads: `manifest.json`, naming files of a tar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO, Final

import msgspec

from imagist.digest import Digest, sha256_stream
from imagist.errors import InputError, NotFound
from imagist.oci import derive, mediatype
from imagist.oci.derive import BlobLayer, MemoryImage
from imagist.oci.image import Image, Index
from imagist.oci.manifest import ImageConfig, Manifest, decode, describe, encode
from imagist.oci.mutate import describe_layer, make_index
from imagist.oci.platform import Platform
from imagist.oci.reader import verified
from imagist.oci.reference import Reference, parse_reference
from imagist.store.tarsource import TarSource, normal_path

_USUAL: Final = Platform("amd64")
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"


class DockerEntry(msgspec.Struct, frozen=True, rename="pascal"):
    """One image in the `manifest.json` of `docker save`."""

    config: str
    repo_tags: tuple[str, ...] | None
    layers: tuple[str, ...]


def docker_entries(thing: Image | Index, names: Sequence[Reference]) -> list[DockerEntry]:
    """The `manifest.json`: an entry for each container image, with its tags."""
    if not isinstance(thing, Index):
        if not derive.is_image_config(derive.manifest(thing).config):
            return []
        return [_entry(thing, [name.familiar for name in names])]
    images = derive.images(thing)
    # What a client that names no platform gets: linux/amd64, as registries' clients do.
    usual = next((number for number, (p, _) in enumerate(images) if p == _USUAL), 0)
    plain = [name.familiar for name in names]
    return [
        _entry(
            image,
            (plain if number == usual else []) + [_for_platform(name, p) for name in names],
        )
        for number, (p, image) in enumerate(images)
    ]


def _for_platform(name: Reference, platform: Platform) -> str:
    suffix = platform.arch.replace("/", "")
    return msgspec.structs.replace(name, tag=f"{name.tag}-{suffix}").familiar


def _entry(image: Image, tags: Sequence[str]) -> DockerEntry:
    return DockerEntry(
        config=blob_path(derive.manifest(image).config.digest),
        repo_tags=tuple(tags) or None,
        layers=tuple(blob_path(layer.digest) for layer in image.layers),
    )


def blob_path(digest: str) -> str:
    """Where a blob lies in a layout (image-layout.md)."""
    checked = Digest(digest)
    return f"blobs/{checked.algorithm}/{checked.hex}"


def read_docker(archive: TarSource, name: str) -> Image | Index:
    """The images of a `manifest.json`."""
    raw = archive.read("manifest.json")
    entries = decode(tuple[DockerEntry, ...], raw, f"manifest.json in {archive.file}")
    if name:
        wanted = parse_reference(name)
        entries = tuple(
            entry
            for entry in entries
            if any(parse_reference(tag) == wanted for tag in entry.repo_tags or ())
        )
    if not entries:
        raise NotFound(f"{archive.file} has no image" + (f" called `{name}`" if name else "s"))
    images = [_docker_image(archive, entry) for entry in entries]
    if len(images) == 1:
        return images[0][1]
    platforms = [platform for platform, _ in images]
    if len(set(platforms)) < len(platforms):
        tags = [tag for entry in entries for tag in entry.repo_tags or ()]
        raise InputError(
            f"{archive.file} holds several images for the same platform",
            help=f"name one of {', '.join(tags)}" if tags else None,
        )
    return make_index(images)


def _docker_image(archive: TarSource, entry: DockerEntry) -> tuple[Platform | None, Image | Index]:
    raw_config = archive.read(normal_path(entry.config))
    config = decode(ImageConfig, raw_config, f"`{entry.config}` in {archive.file}")
    diff_ids = config.rootfs.diff_ids
    if len(diff_ids) != len(entry.layers):
        raise InputError(
            f"`{entry.config}` in {archive.file} has {len(diff_ids)} diff_ids "
            f"for {len(entry.layers)} layers"
        )
    layers = tuple(
        _docker_layer(archive, normal_path(path), diff_id)
        for path, diff_id in zip(entry.layers, diff_ids, strict=True)
    )
    manifest = Manifest(
        schema_version=2,
        config=describe(raw_config, mediatype.CONFIG),
        layers=tuple(map(describe_layer, layers)),
    )
    return config.platform, MemoryImage(encode(manifest), raw_config, layers)


def _docker_layer(archive: TarSource, path: str, diff_id: str) -> BlobLayer:
    """A layer of `docker save`: plain as a rule, so that its diff_id is its digest."""
    with archive.open(path) as stream:
        magic = stream.read(4)
    size = archive.members[path].size
    kind = mediatype.LAYER_TAR
    digest = diff_id
    if magic.startswith((_GZIP, _ZSTD)):
        kind = mediatype.LAYER_GZIP if magic.startswith(_GZIP) else mediatype.LAYER_ZSTD
        with archive.open(path) as stream:
            digest = sha256_stream(stream)[0]

    def opener() -> BinaryIO:
        return verified(archive.open(path), digest, size, f"`{path}` of {archive.file}")

    return BlobLayer(digest, diff_id, size, kind, opener)
