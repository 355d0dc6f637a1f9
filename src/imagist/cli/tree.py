"""`imagist tree`: an image with its platforms, signatures, attestations and SBOMs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from imagist.cli.answer import print_json, print_text
from imagist.cli.images import (
    find_path,
    one_line,
    open_local,
    open_remote,
    read_platform_names,
    read_reference,
    short_digest,
)
from imagist.inspection.choose import restrict
from imagist.oci.image import Image, Index
from imagist.registry.companions import RemoteCompanions, companions_at
from imagist.registry.tree import COSIGN, Companions, Node, grow

_KIND = "vnd.docker.reference.type"
"""The annotation by which BuildKit tells what it hides in an index."""


class _Guides(NamedTuple):
    """How the lines of a tree begin."""

    branch: str
    last: str
    through: str
    nothing: str


_LINES = _Guides("├─ ", "└─ ", "│  ", "   ")
_ASCII = _Guides("|- ", "`- ", "|  ", "   ")


def run(values: argparse.Namespace) -> None:
    """Print the tree."""
    thing, companions, each = _open(values)
    thing = restrict(thing, read_platform_names(values))
    tree = grow(thing, companions, artifact_type=values.artifact_type, each=each)
    if values.json:
        print_json(tree)
        return
    lines = [f"{one_line(values.image)} {short_digest(tree.digest, full=values.verbose)}"]
    lines += _draw(tree, "", _guides(), full=values.verbose)
    print_text("".join(f"{line}\n" for line in lines))


_Each = Callable[[Callable[[str], list[Node]], Iterable[str]], list[list[Node]]]


def _open(values: argparse.Namespace) -> tuple[Image | Index, Companions, _Each]:
    """The image, what knows what lies beside it, and how many questions it bears at a time."""
    local = open_local(values.image, values)
    if local is not None:
        return (
            local,
            companions_at(find_path(values.image)),
            lambda look, all_: list(map(look, all_)),
        )
    from imagist.cli.registries import open_registries

    registries = open_registries(values)
    repository = registries.repository(read_reference(values.image))
    return open_remote(values.image, values), RemoteCompanions(repository), registries.each


def _draw(node: Node, indent: str, guides: _Guides, *, full: bool) -> Iterator[str]:
    below = [*node.manifests, *node.referrers]
    for child in below:
        is_last = child is below[-1]
        head = f"{_label(child)} {short_digest(child.digest, full=full)}"
        yield f"{indent}{guides.last if is_last else guides.branch}{head}"
        deeper = indent + (guides.nothing if is_last else guides.through)
        yield from _draw(child, deeper, guides, full=full)


def _label(node: Node) -> str:
    """What a node is, in a few words."""
    if node.tag:
        suffix = f".{node.tag.rpartition('.')[2]}"
        return f"{COSIGN[suffix]} ({one_line(node.artifact_type or node.media_type)})"
    if node.annotations.get(_KIND):
        return one_line(node.annotations[_KIND])
    return one_line(node.platform or node.artifact_type or node.media_type)


def _guides() -> _Guides:
    import sys

    try:
        "".join(_LINES).encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return _ASCII
    return _LINES
