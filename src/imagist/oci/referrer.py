"""Referrers: manifests whose subject is another one, and what else belongs to an image."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from imagist.digest import Digest
from imagist.oci import derive, mediatype
from imagist.oci.image import Image, Index
from imagist.oci.manifest import Descriptor, describe

_ILLEGAL: Final = "[^A-Za-z0-9._-]"


class Companion(msgspec.Struct, frozen=True):
    """Something that belongs to an image: a referrer, or what lies under cosign's tags."""

    thing: Image | Index
    tag: str
    """Its tag; empty for a referrer, which is found by its subject."""


def fallback_tag(digest: str) -> str:
    """The tag under which a registry without the API lists what refers to a digest."""
    checked = Digest(digest)
    return re.sub(_ILLEGAL, "-", f"{checked.algorithm[:32]}-{checked.hex[:64]}")


def describe_referrer(raw: bytes, media_type: str) -> tuple[Descriptor, str] | None:
    """How a list of referrers names a manifest, and its subject's digest; None without one.

    Its type is what it says itself, else that of its configuration; annotations go along.

    Raises:
        InputError: the bytes are no manifest.
    """
    if media_type in mediatype.INDEXES:
        index = derive.parse_index(raw)
        subject, kind, annotations = index.subject, index.artifact_type, index.annotations
    else:
        manifest = derive.parse_manifest(raw)
        subject, annotations = manifest.subject, manifest.annotations
        kind = manifest.artifact_type or manifest.config.media_type
    if subject is None:
        return None
    item = describe(raw, media_type, artifact_type=kind, annotations=annotations)
    return item, subject.digest
