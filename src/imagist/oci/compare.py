"""What differs between two images or indexes, from their documents alone: no layer is opened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from imagist.oci import derive
from imagist.oci.image import Image, Index
from imagist.oci.manifest import decode_object


class Difference(msgspec.Struct, frozen=True):
    """One place where two images differ; None stands for "not there"."""

    platform: str
    """The platform, `""` for what concerns the whole."""
    what: str
    """Such as `config.Env`, `layers[2]`, `annotations.org.example`."""
    old: Any
    new: Any

    def __str__(self) -> str:
        place = f"{self.platform} {self.what}" if self.platform else self.what
        return f"{place}: {_show(self.old)} -> {_show(self.new)}"


def compare(old: Image | Index, new: Image | Index) -> list[Difference]:
    """The differences, in a fixed order; empty for equal digests.

    An index and an image are compared by the one platform that the image has.

    Raises:
        InputError: a document is not what the image specification allows.
    """
    if derive.digest(old) == derive.digest(new):
        return []
    olds, news = _by_platform(old), _by_platform(new)
    found = list(_members("annotations", _annotations(old), _annotations(new)))
    for name in sorted(olds.keys() | news.keys()):
        before, after = olds.get(name), news.get(name)
        if before is None or after is None:
            digests = [derive.digest(image) if image else None for image in (before, after)]
            found.append(Difference(name, "image", *digests))
        elif derive.digest(before) != derive.digest(after):
            found.extend(compare_images(name, before, after))
    return found or [Difference("", "digest", derive.digest(old), derive.digest(new))]


def _by_platform(thing: Image | Index) -> dict[str, Image]:
    if isinstance(thing, Index):
        return {str(platform): image for platform, image in derive.images(thing)}
    return {str(derive.platform(thing)): thing}


def _annotations(thing: Image | Index) -> dict[str, str]:
    return derive.index_manifest(thing).annotations if isinstance(thing, Index) else {}


def compare_images(platform: str, old: Image, new: Image) -> Iterator[Difference]:
    """The differences of two images for one platform, which need not have been asked to differ.

    Raises:
        InputError: a document is not what the image specification allows.
    """
    for image in (old, new):
        derive.config(image)  # refuses what has not the shape that is looked at below
    configs = [decode_object(image.raw_config, "a configuration") for image in (old, new)]
    rest = [decode_object(image.raw_manifest, "a manifest") for image in (old, new)]
    for member in ("rootfs", "history"):  # they follow from the layers
        for config in configs:
            config.pop(member, None)
    runs = [config.pop("config", None) or {} for config in configs]
    found = [
        *_members("annotations", *(item.get("annotations") or {} for item in rest)),
        *_members("", *configs),
        *_members("config", *runs),
        *_layers(old, new),
    ]
    yield from (replace(difference, platform=platform) for difference in found)


def _members(what: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Difference]:
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            yield Difference("", f"{what}.{key}" if what else key, old.get(key), new.get(key))


def _layers(old: Image, new: Image) -> Iterator[Difference]:
    """Layers by position; where only the compression differs, the digests show it."""
    before = [layer.digest for layer in old.layers]
    after = [layer.digest for layer in new.layers]
    for number in range(max(len(before), len(after))):
        pair = [side[number] if number < len(side) else None for side in (before, after)]
        if pair[0] != pair[1]:
            yield Difference("", f"layers[{number}]", *pair)


def _show(value: Any) -> str:
    return "absent" if value is None else msgspec.json.encode(value, enc_hook=str).decode()
