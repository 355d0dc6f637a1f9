"""What hangs on an image: its platforms, and the signatures, attestations and SBOMs of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, TypeVar

import msgspec

from imagist.digest import sha256
from imagist.oci import derive, mediatype
from imagist.oci.image import Image, Index
from imagist.oci.manifest import Descriptor
from imagist.oci.referrer import fallback_tag

T = TypeVar("T")
R = TypeVar("R")
COSIGN: Final = {".sig": "signature", ".att": "attestation", ".sbom": "SBOM"}
"""What cosign appends to a digest to name a tag, and what is there."""
_DEPTH: Final = 8
"""Indexes within indexes, and referrers of referrers, that are followed."""


class Node(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A manifest, and what hangs on it."""

    digest: str
    media_type: str
    artifact_type: str = ""
    platform: str = ""
    tag: str = ""
    """Where cosign put it; empty for what is found by its subject."""
    annotations: dict[str, str] = {}
    manifests: tuple[Node, ...] = ()
    """The members of an index."""
    referrers: tuple[Node, ...] = ()


class Companions(Protocol):
    """Whoever knows what lies beside an image."""

    def referrers(self, digest: str) -> Sequence[Descriptor]:
        """What refers to a manifest."""
        ...

    def tagged(self, tag: str) -> tuple[bytes, str] | None:
        """The bytes and media type of the manifest under a tag; None where there is none."""
        ...


Each = Callable[[Callable[[str], list[Node]], Iterable[str]], list[list[Node]]]
"""Does something for each digest, some at a time."""


def grow(
    thing: Image | Index, companions: Companions, *, artifact_type: str = "", each: Each
) -> Node:
    """The tree of an image or index.

    Args:
        thing: where it begins.
        companions: finds what refers to a manifest.
        artifact_type: only referrers of this type, and what they hang on.
        each: asks about several manifests at a time.

    Raises:
        NetworkError: the registry cannot be reached, or refuses.
        InputError: a document is not what the specification allows.
    """
    root = _outline(thing, derive.describe_image(thing), 0)
    found: dict[str, list[Node]] = {}
    waiting = list(dict.fromkeys(node.digest for node in _walk(root)))
    for _ in range(_DEPTH):
        beside = each(lambda digest: _look(digest, companions), waiting)
        found.update(zip(waiting, beside, strict=True))
        new = (node.digest for nodes in beside for node in nodes if not node.tag)
        waiting = list(dict.fromkeys(digest for digest in new if digest not in found))
        if not waiting:
            break
    return _hang(root, found, artifact_type, frozenset())


def _outline(thing: Image | Index, item: Descriptor, depth: int) -> Node:
    """A node with the members of an index; of images only what the index says."""
    members = []
    if isinstance(thing, Index):
        for child in derive.index_manifest(thing).manifests:
            if child.media_type in mediatype.INDEXES and depth < _DEPTH:
                members.append(_outline(thing.child(child), child, depth + 1))
            else:
                members.append(_describe(child))
    return msgspec.structs.replace(_describe(item), manifests=tuple(members))


def _describe(item: Descriptor) -> Node:
    return Node(
        digest=item.digest,
        media_type=item.media_type,
        artifact_type=item.artifact_type,
        platform=str(item.platform or ""),
        annotations=item.annotations,
    )


def _walk(node: Node) -> Iterable[Node]:
    yield node
    for member in node.manifests:
        yield from _walk(member)


def _look(digest: str, companions: Companions) -> list[Node]:
    """What lies beside one manifest: referrers, then cosign's tags."""
    nodes = [_describe(item) for item in companions.referrers(digest)]
    for suffix in COSIGN:
        tag = fallback_tag(digest) + suffix
        found = companions.tagged(tag)
        if found is not None:
            nodes.append(_describe_tagged(*found, tag))
    return nodes


def _describe_tagged(raw: bytes, media_type: str, tag: str) -> Node:
    """A manifest that cosign tagged; its first layer tells what it is."""
    kind, digest = "", sha256(raw)
    if media_type in mediatype.MANIFESTS:
        manifest = derive.parse_manifest(raw)
        kind = manifest.artifact_type or (manifest.layers[0].media_type if manifest.layers else "")
    return Node(digest=digest, media_type=media_type, artifact_type=kind, tag=tag)


def _hang(
    node: Node, found: dict[str, list[Node]], artifact_type: str, above: frozenset[str]
) -> Node:
    """A node with all that hangs on it; a circle of referrers ends where it began."""
    above |= {node.digest}
    members = tuple(_hang(member, found, artifact_type, above) for member in node.manifests)
    beside = (
        _hang(other, found, artifact_type, above)
        for other in found.get(node.digest, ())
        if other.digest not in above
    )
    kept = tuple(
        other for other in beside if artifact_type in {"", other.artifact_type} or other.referrers
    )
    return msgspec.structs.replace(node, manifests=members, referrers=kept)
