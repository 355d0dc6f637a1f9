"""Shipments: what must move so that a reference names an image, told before anything does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from imagist.build.lockfile import Lock, LockedBlob, LockedImage
from imagist.oci import derive
from imagist.oci.image import Image, Index
from imagist.oci.platform import Platform
from imagist.oci.reference import Reference
from imagist.registry.client import Registries


class Part(msgspec.Struct, frozen=True):
    """A blob of an image."""

    digest: str
    size: int
    what: str
    """A noun for a person: the package that a layer is, or `configuration`."""


class Cargo(msgspec.Struct, frozen=True):
    """An image of one platform as far as a registry is concerned."""

    platform: str
    digest: str
    parts: tuple[Part, ...]


class Shipment(msgspec.Struct, frozen=True):
    """What must move for one reference."""

    reference: Reference
    before: str
    """The digest that the tag names now; empty where there is none, or the reference has none."""
    missing: tuple[Part, ...]
    """What the repository lacks."""
    there: int
    """Blobs that it has."""

    @property
    def size(self) -> int:
        """Bytes that must move, without manifests."""
        return sum(part.size for part in self.missing)


def plan_shipments(
    registries: Registries, digest: str, cargo: Sequence[Cargo], references: Iterable[Reference]
) -> list[Shipment]:
    """What must move so that these references name an image or index; only questions are asked.

    Args:
        registries: whom to ask.
        digest: of the image or index.
        cargo: its images.
        references: what it shall be called.

    Raises:
        NetworkError: a registry cannot be reached, or refuses.
    """
    return [_plan(registries, digest, cargo, reference) for reference in references]


def _plan(
    registries: Registries, digest: str, cargo: Sequence[Cargo], reference: Reference
) -> Shipment:
    repository = registries.repository(reference)
    tagged = repository.resolve(reference.tag, push=True) if reference.tag else None
    before = tagged.digest if tagged else ""
    parts = list({part.digest: part for image in cargo for part in image.parts}.values())
    if before == digest or repository.resolve(digest, push=True) is not None:
        return Shipment(reference, before, (), len(parts))

    # What a manifest names is there: a registry takes no manifest whose blobs it lacks.
    held = registries.each(lambda image: repository.resolve(image.digest, push=True), cargo)
    known = {
        part.digest
        for image, there in zip(cargo, held, strict=True)
        if there is not None
        for part in image.parts
    }
    unknown = [part for part in parts if part.digest not in known]
    found = registries.each(lambda part: repository.has_blob(part.digest), unknown)
    missing = tuple(part for part, there in zip(unknown, found, strict=True) if not there)
    return Shipment(reference, before, missing, len(parts) - len(missing))


def cargo_of(thing: Image | Index) -> list[Cargo]:
    """The images of an image or index that is at hand."""
    if isinstance(thing, Index):
        return [_cargo(str(platform), image) for platform, image in derive.images(thing)]
    return [_cargo(str(derive.platform(thing)), thing)]


def _cargo(platform: str, image: Image) -> Cargo:
    manifest, config = derive.manifest(image), derive.config(image)
    told = [line.created_by for line in config.history or () if not line.empty_layer]
    names = told if len(told) == len(image.layers) else ["layer"] * len(image.layers)
    layers = [
        Part(layer.digest, layer.size, _name(name))
        for layer, name in zip(image.layers, names, strict=True)
    ]
    own = Part(manifest.config.digest, manifest.config.size, "configuration")
    return Cargo(platform, derive.digest(image), (*layers, own))


def _name(created_by: str) -> str:
    """What a layer is, out of its history."""
    return created_by.removeprefix("imagist: ").partition(", as signed")[0] or "layer"


def stated_cargo(lock: Lock, platforms: Sequence[Platform]) -> list[Cargo] | None:
    """The images that a lock states, with their blobs; None where it does not tell all of them."""
    found = []
    for platform in platforms:
        image = lock.image_for(platform)
        if image is None or image.config is None:
            return None
        names = {
            package.layer.digest: f"{package.name}-{package.version}"
            for package in lock.packages_for(platform)
            if package.layer is not None
        }
        parts = tuple(_stated(image, image.config, names))
        found.append(Cargo(str(platform), image.digest, parts))
    return found


def _stated(image: LockedImage, config: LockedBlob, names: dict[str, str]) -> Iterator[Part]:
    for layer in image.layers:
        yield Part(layer.digest, layer.size, names.get(layer.digest, "written layer"))
    yield Part(config.digest, config.size, "configuration")
