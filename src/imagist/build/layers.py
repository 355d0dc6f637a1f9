"""From a merged tree to layers: verbatim where a package can be one, written where not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import BinaryIO, Final

import msgspec

from imagist.build.assemble import BuiltLayer
from imagist.build.contents import Bring, StoreContents, in_reading_order
from imagist.build.merge import Merged
from imagist.build.overlay import Stack, complete_layer
from imagist.build.partition import Group, plan_groups
from imagist.oci import mediatype
from imagist.oci.derive import BlobLayer
from imagist.packages.files import PackageFiles
from imagist.progress import SILENT, Meter
from imagist.rootfs import compress
from imagist.rootfs.batch import Content
from imagist.rootfs.entry import Entry
from imagist.rootfs.tarwrite import write_tar
from imagist.rootfs.tree import Node, Tree
from imagist.store.layers import StoredLayer, recall, remember
from imagist.store.memo import memo_key
from imagist.store.store import Store

STEP: Final = "written-layer"
FORMAT: Final = 1
"""Raise it whenever the same nodes would become other bytes."""

Write = Callable[[bytes | bytearray | memoryview], object]

_PACK = msgspec.msgpack.Encoder(enc_hook=str)


class LayerBuilder:
    """Builds the layers of one image after another into a store."""

    def __init__(
        self,
        store: Store,
        *,
        bring: Bring = lambda _: None,
        jobs: int | None = None,
        meter: Meter = SILENT,
    ) -> None:
        """Nothing is built yet.

        Args:
            store: where packages are, and layers go.
            bring: asked for packages before they are opened.
            jobs: threads that compress.
            meter: counts the uncompressed bytes of layers that are written.
        """
        self._meter = meter
        self._store = store
        self._jobs = jobs
        self._bring = bring
        self._contents = StoreContents(store, bring)

    def build(
        self,
        tree: Tree,
        packages: Sequence[PackageFiles],
        merged: Merged,
        *,
        strategy: str,
        budget: int,
        base: Iterable[Node] = (),
    ) -> list[BuiltLayer]:
        """Layers that, over the base, yield exactly the tree; the base's own are left out."""
        if strategy == "erofs":
            return [BuiltLayer(self._write_erofs(tree), "imagist: the whole image")]
        stack = Stack()
        stack.apply(base)
        layers = []
        for group in plan_groups(packages, merged.altered, strategy=strategy, budget=budget):
            nodes = self._nodes_of(group, tree)
            stack.apply(nodes)
            if group.verbatim:
                layers.append(self._verbatim(group.packages[0]))
            else:
                names = ", ".join(_label(files) for files in group.packages)
                layers.append(BuiltLayer(self._write(nodes), f"imagist: {names}"))
        remaining = stack.difference(tree)
        if remaining or not layers:
            what = "the whole image" if strategy == "single" else "the image's own files"
            layers.append(BuiltLayer(self._write(remaining), f"imagist: {what}"))
        return layers

    def _nodes_of(self, group: Group, tree: Tree) -> list[Node]:
        """What the layer of a group holds: the package as it is, or its part of the tree."""
        if group.verbatim:
            files = group.packages[0]
            return [_as_packed(entry, files, tree) for entry in files.entries]
        nodes: dict[str, Node] = {}
        for files in group.packages:
            for entry in files.entries:
                place = tree.resolve(entry.path, follow_last=entry.is_directory)
                node = tree.get(place)
                if node is not None and (entry.is_directory or node.owner == files.package.name):
                    nodes[place] = node
        return complete_layer(nodes, tree)

    def _verbatim(self, files: PackageFiles) -> BuiltLayer:
        layer = BlobLayer(
            files.data,
            files.diff_id,
            files.data_size,
            mediatype.LAYER_GZIP,
            self._opener(files.data),
        )
        return BuiltLayer(layer, f"imagist: {_label(files)}{files.provenance}")

    def _write(self, nodes: Sequence[Node]) -> BlobLayer:
        """Write a layer, or remember that the same nodes were written before."""
        key = memo_key("tar", FORMAT, compress.FORMAT, _fingerprint(nodes))
        return self._remember(key, mediatype.LAYER_GZIP, lambda: self._compress(nodes))

    def _write_erofs(self, tree: Tree) -> BlobLayer:
        """The whole tree as one EROFS file system, which is its own diffID."""
        nodes = in_reading_order(tree)
        key = memo_key("erofs", FORMAT, _fingerprint(nodes))
        return self._remember(key, mediatype.LAYER_EROFS, lambda: self._lay_out(nodes))

    def _remember(self, key: str, media_type: str, write: Callable[[], StoredLayer]) -> BlobLayer:
        written = recall(self._store, STEP, key, StoredLayer)
        if written is None:
            written = remember(self._store, STEP, key, write())
        return written.opened_by(self._opener(written.digest), media_type)

    def _compress(self, nodes: Sequence[Node]) -> StoredLayer:
        # Folders first, then the rest package by package, and hardlinks last: when a link is
        # extracted, its target must be there.
        folders = [node for node in nodes if node.entry.is_directory]
        links = [node for node in nodes if node.entry.kind == "hardlink"]
        others = [node for node in nodes if node.entry.kind not in {"directory", "hardlink"}]
        contents = self._contents.stream([*folders, *others])
        items: Iterator[tuple[Entry, Content]] = chain(contents, ((n.entry, b"") for n in links))
        with self._store.writer() as blob:
            with compress.GzipWriter(blob.write, jobs=self._jobs) as gzip:
                write_tar(items, self._counted(gzip.write, nodes))
            done = gzip.close()
            blob.commit(done.digest)
        return StoredLayer(done.digest, done.size, done.diff_id)

    def _counted(self, write: Write, nodes: Sequence[Node]) -> Write:
        """The same function, telling the meter what passes."""
        self._meter.expect(sum(node.entry.size for node in nodes))

        def counted(data: bytes | bytearray | memoryview) -> object:
            self._meter.add(len(data))
            return write(data)

        return counted

    def _lay_out(self, nodes: Sequence[Node]) -> StoredLayer:
        from imagist.rootfs.erofs import write_erofs  # noqa: PLC0415 - rarely asked for

        with self._store.writer() as blob:
            entries = [node.entry for node in nodes]
            write = self._counted(blob.write, nodes)
            write_erofs(entries, self._contents.stream(nodes), write)
            digest = blob.commit()
        return StoredLayer(digest, self._store.size(digest), digest)

    def _opener(self, digest: str) -> Callable[[], BinaryIO]:
        def opener() -> BinaryIO:
            self._bring([digest])
            return self._store.open_blob(digest)

        return opener


def _as_packed(entry: Entry, files: PackageFiles, tree: Tree) -> Node:
    """An entry of a package before anything changed it; the tree's own node where that is it."""
    node = tree.get(entry.path)
    if node is not None and node.entry is entry and node.blob == files.data:
        return node
    return Node(entry, files.package.name, files.data)


def _label(files: PackageFiles) -> str:
    return f"{files.package.name}-{files.package.version}"


def _fingerprint(nodes: Sequence[Node]) -> bytes:
    """Bytes that tell apart what would become different layers."""
    plain = [(node.entry, node.blob) for node in nodes]
    try:
        return _PACK.encode(plain)
    except UnicodeEncodeError:  # names that are not UTF-8, which msgpack cannot carry
        return ascii(plain).encode()
