"""Where edits differ from crane's, and why; everything else is equal, to the digest.

The sources are images whose documents crane itself wrote: others crane writes anew as a whole, with
the members it knows, in its order, so that no digest can be equal.
"""

from __future__ import annotations

import json
from typing import Any

from imagist.oci.image import Image

DIFFERENCES = {
    ("append", "history"): "crane's new line is empty; ours says what was appended, and when",
    (
        "append plain",
        "layers",
    ): "a plain tar is compressed by another compressor; its diff_id is equal",
    ("append plain", "history"): "as with append",
    ("rebase", "mediaType"): "crane makes Docker manifests of all images; ours stay what they are",
    ("rebase", "config.mediaType"): "the same",
    ("rebase", "created"): "crane forgets it, so that the image is from the year 1",
    ("rebase", "author"): "crane forgets it",
    ("rebase", "variant"): "crane forgets it, so that an image for arm/v7 is for any arm",
    (
        "rebase",
        "annotations",
    ): "crane forgets those of the image; the base's digest and name are equal",
    ("flatten", "layers"): "another compressor, another order of entries; the trees are equal",
    ("flatten", "created"): "crane takes the clock, so that no digest is ever the same again",
    (
        "flatten",
        "history",
    ): "crane keeps the old one as JSON in a comment; ours as lines of no layer",
}
"""(edit, part of the image) -> why it is not equal."""


def differing(edit: str, ours: Image, cranes: Image) -> dict[str, tuple[Any, Any]]:
    """The parts of two images that differ, but for those that the edit is known to differ in."""
    pairs = zip(_parts(ours).items(), _parts(cranes).items(), strict=True)
    return {
        name: (own, other)
        for (name, own), (_, other) in pairs
        if own != other and (edit, name) not in DIFFERENCES
    }


def needless(edit: str, ours: Image, cranes: Image) -> list[str]:
    """Parts that the table says differ, and that are equal."""
    own, other = _parts(ours), _parts(cranes)
    return [name for (each, name) in DIFFERENCES if each == edit and own[name] == other[name]]


def _parts(image: Image) -> dict[str, Any]:
    manifest, config = json.loads(image.raw_manifest), json.loads(image.raw_config)
    parts = {
        "mediaType": manifest["mediaType"],
        "config.mediaType": manifest["config"]["mediaType"],
        "layers": manifest["layers"],
        "annotations": manifest.get("annotations"),
        "diff_ids": config["rootfs"]["diff_ids"],
    }
    known = ("created", "author", "architecture", "os", "variant", "config", "history")
    rest = set(config) - {*known, "rootfs"}
    assert not rest, rest
    return parts | {name: config.get(name) for name in known}
