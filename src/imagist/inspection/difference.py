"""What differs between two images: packages, files, configuration, layers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Literal

import msgspec

from imagist.inspection.choose import pair_images
from imagist.inspection.describe import FileReport, describe_files
from imagist.inspection.layers import Listing, hash_files, list_layers
from imagist.inspection.view import View, flatten_listings
from imagist.oci import derive
from imagist.oci.compare import compare_images
from imagist.oci.image import Image, Index, Layer
from imagist.rootfs.entry import Entry
from imagist.rootfs.tree import Node

Fate = Literal["added", "removed", "changed"]


class PackageChange(msgspec.Struct, frozen=True):
    """A package; a version is "" where it is not installed."""

    name: str
    old: str
    new: str


class FileChange(msgspec.Struct, frozen=True):
    """A path with what it was and is; None where it is not there."""

    path: str
    fate: Fate
    what: tuple[str, ...]
    """Of a changed one: type, content, link, mode, owner, device, xattrs, mtime."""
    package: str
    """Who owns it, or owned it; "" for the image's own files."""
    old: FileReport | None
    new: FileReport | None


class ConfigChange(msgspec.Struct, frozen=True):
    """A member of the configuration or an annotation; None where it is not there."""

    what: str
    """Such as `config.User`, `config.Env.PATH`, `annotations.org.example`."""
    old: Any
    new: Any


class LayerChange(msgspec.Struct, frozen=True):
    """One layer: shared, only in one, or with the same content (diff_id) in another form."""

    fate: Literal["shared", "recompressed", "removed", "added"]
    old: str
    """Its digest in the first image, or ""."""
    new: str
    old_size: int
    new_size: int


class ImageDifference(msgspec.Struct, frozen=True):
    """Two images for one platform."""

    platform: str
    old: str
    """Digest."""
    new: str
    packages: tuple[PackageChange, ...] = ()
    files: tuple[FileChange, ...] = ()
    config: tuple[ConfigChange, ...] = ()
    layers: tuple[LayerChange, ...] = ()

    @property
    def is_equal(self) -> bool:
        """Whether the two are the same image, by digest."""
        return self.old == self.new


class Difference(msgspec.Struct, frozen=True):
    """Two images or indexes."""

    old: str
    """Digest."""
    new: str
    equal: bool
    """Whether what was compared has the same digests."""
    annotations: tuple[ConfigChange, ...] = ()
    """Of the indexes."""
    images: tuple[ImageDifference, ...] = ()
    """One for each platform that both have."""
    only_old: tuple[str, ...] = ()
    """Platforms that only the first has."""
    only_new: tuple[str, ...] = ()


def compare_things(
    old: Image | Index, new: Image | Index, platforms: Sequence[str] = (), *, jobs: int = 1
) -> Difference:
    """The differences between two images or indexes, platform by platform.

    Args:
        old: the first.
        new: the second.
        platforms: compare these only; without any, also what the indexes say themselves.
        jobs: threads that read layers.

    Raises:
        NotFound: one has no image for a platform that was asked for, or none at all.
        InputError: an image is damaged, or a layer is of a form that imagist cannot read.
    """
    digests = str(derive.digest(old)), str(derive.digest(new))
    if digests[0] == digests[1]:
        return Difference(*digests, equal=True)
    paired = pair_images(old, new, platforms)
    images = tuple(compare_two(platform, *pair, jobs=jobs) for platform, *pair in paired.both)
    alone = tuple(map(str, paired.only_old)), tuple(map(str, paired.only_new))
    annotations: tuple[ConfigChange, ...] = ()
    equal = all(image.is_equal for image in images) and not any(alone)
    if isinstance(old, Index) and isinstance(new, Index) and not platforms:
        equal = False
        said = [derive.index_manifest(index).annotations for index in (old, new)]
        annotations = tuple(_compare_members("annotations", *said))
    return Difference(*digests, equal, annotations, images, *alone)


def compare_two(platform: str, old: Image, new: Image, *, jobs: int = 1) -> ImageDifference:
    """The differences between two images.

    No layer is read where the digests are the same, or where the layers are; a layer that both
    have is read once, and a second time only where one of its files came to lie in another layer
    of the other image.

    Raises:
        InputError: an image is damaged, or a layer is of a form that imagist cannot read.
    """
    digests = str(derive.digest(old)), str(derive.digest(new))
    if digests[0] == digests[1]:
        return ImageDifference(platform, *digests)
    config = tuple(_compare_config(old, new))
    layers = tuple(_compare_layers(old.layers, new.layers))
    if [layer.digest for layer in old.layers] == [layer.digest for layer in new.layers]:
        return ImageDifference(platform, *digests, config=config, layers=layers)
    own = {layer.digest for layer in old.layers} ^ {layer.digest for layer in new.layers}
    listings = list_layers([*old.layers, *new.layers], hashed=own, jobs=jobs)
    views = flatten_listings(old, listings), flatten_listings(new, listings)
    return ImageDifference(
        platform,
        *digests,
        tuple(_compare_packages(*views)),
        tuple(_compare_files(*views)),
        config,
        layers,
    )


def _compare_packages(old: View, new: View) -> Iterator[PackageChange]:
    before, after = _versions(old), _versions(new)
    for name in sorted(before.keys() | after.keys()):
        gone, come = before[name] - after[name], after[name] - before[name]
        for pair in zip_longest(sorted(gone), sorted(come), fillvalue=""):
            yield PackageChange(name, *pair)


def _versions(view: View) -> defaultdict[str, set[str]]:
    """Versions by name: where an image has two package databases, both may have one."""
    versions: defaultdict[str, set[str]] = defaultdict(set)
    for package in view.packages:
        versions[package.name].add(package.version)
    return versions


def _compare_files(old: View, new: View) -> Iterator[FileChange]:
    pairs = _pair_nodes(old, new)
    hashes = _Hashes(old, new, pairs)
    for before, after in pairs:
        if before is None or after is None:
            yield _change("removed" if after is None else "added", (), before, after, old, new)
            continue
        what = tuple(_compare_entries(before.entry, after.entry))
        files = _file_of(before, old), _file_of(after, new)
        if files[0] and files[1] and not hashes.agree(files[0], files[1]):
            what = ("content", *what)
        if what:
            yield _change("changed", what, before, after, old, new)


def _pair_nodes(old: View, new: View) -> list[tuple[Node | None, Node | None]]:
    """Both sides of each path, in order, then the paths that only the second has."""
    pairs: list[tuple[Node | None, Node | None]] = []
    for node in old.tree:
        pairs.append((node, new.tree.get(node.entry.path)))
    pairs += [(None, node) for node in new.tree if node.entry.path not in old.tree]
    return pairs


def _compare_entries(old: Entry, new: Entry) -> Iterator[str]:
    """What differs of two entries but for the content of files."""
    kinds = {old.kind, new.kind}
    if len(kinds) > 1 and kinds != {"file", "hardlink"}:
        yield "type"
    elif old.link != new.link:
        yield "link"
    if old.mode != new.mode:
        yield "mode"
    if (old.uid, old.gid) != (new.uid, new.gid):
        yield "owner"
    if old.device != new.device:
        yield "device"
    if old.xattrs != new.xattrs:
        yield "xattrs"
    if old.mtime != new.mtime:
        yield "mtime"


def _file_of(node: Node, view: View) -> Node | None:
    """The file that a node is, by whichever of its names; None for what is no file."""
    found = view.tree.get(node.entry.link) if node.entry.kind == "hardlink" else node
    return found if found and found.entry.kind == "file" else None


class _Hashes:
    """What files hold: known from the first reading, else found by a second one of few files."""

    def __init__(
        self, old: View, new: View, pairs: Sequence[tuple[Node | None, Node | None]]
    ) -> None:
        self._listings: Mapping[str, Listing] = old.listings
        self._more: dict[str, dict[int, bytes]] = {}
        wanted: dict[str, list[Entry]] = {}
        for before, after in pairs:
            files = before and _file_of(before, old), after and _file_of(after, new)
            if not (files[0] and files[1] and _needs_hash(files[0], files[1])):
                continue
            for node in (files[0], files[1]):
                if node.entry.offset not in self._listings[node.blob].hashes:
                    wanted.setdefault(node.blob, []).append(node.entry)
        layers = {layer.digest: layer for layer in (*old.image.layers, *new.image.layers)}
        for digest, entries in wanted.items():
            self._more[digest] = hash_files(layers[digest], entries)

    def agree(self, old: Node, new: Node) -> bool:
        """Whether two files hold the same."""
        if old.entry.size != new.entry.size:
            return False
        return not _needs_hash(old, new) or self._find(old) == self._find(new)

    def _find(self, node: Node) -> bytes:
        offset = node.entry.offset
        known = self._listings[node.blob].hashes.get(offset)
        return self._more[node.blob][offset] if known is None else known


def _needs_hash(old: Node, new: Node) -> bool:
    """Whether only their bytes tell two files apart."""
    places = [(node.blob, node.entry.offset) for node in (old, new)]
    return old.entry.size == new.entry.size and places[0] != places[1]


def _change(
    fate: Fate,
    what: tuple[str, ...],
    before: Node | None,
    after: Node | None,
    old: View,
    new: View,
) -> FileChange:
    reports = [
        next(iter(describe_files((node,), view))) if node else None
        for node, view in ((before, old), (after, new))
    ]
    shown = reports[1] or reports[0]
    assert shown is not None  # noqa: S101 - one side is there
    return FileChange(shown.path, fate, what, shown.package, *reports)


def _compare_config(old: Image, new: Image) -> Iterator[ConfigChange]:
    """The documents' members; variables and labels one by one."""
    for found in compare_images("", old, new):
        if found.what.startswith("layers["):
            continue
        if found.what == "config.Env":
            yield from _compare_members(found.what, _variables(found.old), _variables(found.new))
        elif found.what == "config.Labels":
            yield from _compare_members(found.what, found.old or {}, found.new or {})
        else:
            yield ConfigChange(found.what, found.old, found.new)


def _variables(env: Any) -> dict[str, str]:
    return dict(str(line).partition("=")[::2] for line in env or ())


def _compare_members(
    what: str, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[ConfigChange]:
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            yield ConfigChange(f"{what}.{key}", old.get(key), new.get(key))


def _compare_layers(old: Sequence[Layer], new: Sequence[Layer]) -> Iterator[LayerChange]:
    """The layers of the first image in order, then those that only the second has."""
    by_digest = {layer.digest: layer for layer in new}
    by_content = {layer.diff_id: layer for layer in new if layer.diff_id}
    met: set[str] = set()
    for layer in old:
        twin = by_digest.get(layer.digest) or by_content.get(layer.diff_id)
        if twin is None:
            yield LayerChange("removed", layer.digest, "", layer.size, 0)
            continue
        met.add(twin.digest)
        same = twin.digest == layer.digest
        fate: Literal["shared", "recompressed"] = "shared" if same else "recompressed"
        yield LayerChange(fate, layer.digest, twin.digest, layer.size, twin.size)
    for layer in new:
        if layer.digest not in met:
            yield LayerChange("added", "", layer.digest, 0, layer.size)
