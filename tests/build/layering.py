"""Random small sets of packages, and what a runtime sees of the layers built from them."""

from __future__ import annotations

import atexit
import gzip
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import cast

import msgspec
from hypothesis import strategies as st

from fixtures.maker import EPOCH, Apk, Item, build_apk, file, folder, hardlink, symlink
from fixtures.memory import Memory, verify
from imagist.build.assemble import BuiltLayer
from imagist.build.contents import StoreContents
from imagist.build.layers import LayerBuilder
from imagist.build.merge import merge_packages, settle_hardlinks
from imagist.errors import InputError
from imagist.oci.image import Layer
from imagist.packages.apk.archive import ApkFiles
from imagist.rootfs.flatten import flatten
from imagist.rootfs.tarread import TarReader
from imagist.rootfs.tree import Node, Tree
from imagist.store.store import Store

Seen = dict[str, tuple[object, ...]]
STRATEGIES = ("package", "origin", "single")

_FOLDERS = ("a", "b", "a/c", "usr", "usr/lib", "lib")
_NAMES = ("f", "g", "h")
modes = st.sampled_from([0o755, 0o700, 0o1777])
times = st.sampled_from([EPOCH, EPOCH + 1, EPOCH - 5])
owners = st.sampled_from([0, 0, 7])
places = st.builds("{}/{}".format, st.sampled_from(_FOLDERS), st.sampled_from(_NAMES))


@cache
def store() -> Store:
    """One store for all examples: blobs are known by their content."""
    folder = tempfile.mkdtemp(prefix="imagist-layering-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Store.open(Path(folder))


@st.composite
def item_lists(draw: st.DrawFn) -> list[Item]:
    """Entries of one package: folders with a mood of their own, files, links of both kinds."""
    items: dict[str, Item] = {}
    for path in draw(st.lists(st.sampled_from(_FOLDERS), max_size=3)):
        items[path] = folder(path, draw(modes), mtime=draw(times), uid=draw(owners))
    if draw(st.booleans()) and "lib" not in items and "usr/lib" not in items:
        items |= {"usr/lib": folder("usr/lib"), "lib": symlink("lib", "usr/lib")}
    for path in draw(st.lists(places, max_size=4)):
        if path.startswith("lib/") and items.get("lib", folder("")).kind == "symlink":
            continue
        content = draw(st.sampled_from(["", "one", "two" * 30_000]))
        xattrs = draw(st.sampled_from([{}, {}, {"user.note": b"x"}]))
        items[path] = file(
            path, content, draw(modes), mtime=draw(times), uid=draw(owners), xattrs=xattrs
        )
    files = [item for item in items.values() if item.kind == "file"]
    linked: bool = draw(st.booleans())
    if files and linked:
        one = draw(st.sampled_from(files))
        path = one.path + "-linked"
        odd = draw(st.booleans())
        items[path] = hardlink(
            path, one.path, mode=0o600 if odd else one.mode, uid=one.uid, mtime=one.mtime
        )
    if draw(st.booleans()):
        items["a/link"] = symlink("a/link", draw(st.sampled_from(["f", "../b/f"])))
    return list(items.values())


@st.composite
def package_lists(draw: st.DrawFn) -> list[Apk]:
    """A few packages; some replace files of others, some share an origin."""
    names = ["p1", "p2", "p3", "p4"][: draw(st.integers(1, 4))]
    return [
        Apk(
            name,
            items=draw(item_lists()),
            origin=draw(st.sampled_from(["", "common"])),
            replaces=draw(st.lists(st.sampled_from(names), unique=True)),
            depends=draw(st.lists(st.sampled_from(names), unique=True)),
            parents=draw(st.sampled_from([True, True, True, False])),
        )
        for name in names
    ]


def add(apks: Sequence[Apk]) -> list[ApkFiles]:
    """Verified packages in the store, whose segments a layer may be."""
    return [verify(build_apk(apk, "x86_64"), memory=cast("Memory", store())) for apk in apks]


def build(
    packages: Sequence[ApkFiles], strategy: str, budget: int, base: Tree | None = None
) -> tuple[Tree, list[BuiltLayer]]:
    """The tree of some packages, and its layers."""
    tree = base.copy() if base else Tree()
    merged = merge_packages(tree, packages)
    below = list(base) if base else []
    settle_hardlinks(tree, packages, merged, below)  # as `compose` does last
    builder = LayerBuilder(store(), jobs=1)
    return tree, builder.build(
        tree, packages, merged, strategy=strategy, budget=budget, base=below
    )


def merges(packages: Sequence[ApkFiles]) -> bool:
    """Whether the packages can be in one image at all."""
    try:
        merge_packages(Tree(), packages)
    except InputError:
        return False
    return True


def read_layer(layer: Layer) -> list[Node]:
    """The entries of a tar layer with their contents in `data`."""
    with layer.compressed() as stream:
        reader = TarReader([gzip.decompress(stream.read())], what="a layer")
    return [
        Node(msgspec.structs.replace(entry, data=b"".join(reader.content()), offset=-1))
        for entry in reader
    ]


def see(layers: Sequence[Layer]) -> Seen:
    """What a runtime sees: every path with kind, metadata and content, links resolved."""
    return describe(flatten(read_layer(layer) for layer in layers), lambda node: node.entry.data)


def describe(tree: Tree, read: Callable[[Node], bytes]) -> Seen:
    """Kind, mode, owner, time and content of every path; links as what they lead to."""
    seen: Seen = {}
    for node in tree:
        entry = node.entry
        target = tree.get(entry.link) if entry.kind == "hardlink" else None
        inode = target or node
        e = inode.entry
        content = read(inode) if e.kind == "file" else e.link
        own = (e.kind, oct(entry.mode), entry.uid, entry.gid, entry.mtime, e.xattrs)
        seen[entry.path] = (*own, content)
    return seen


def wanted(tree: Tree) -> Seen:
    """The same of the tree itself."""
    contents = StoreContents(store())
    files = [node for node in tree if node.entry.kind == "file"]
    data = contents.read(files)
    return describe(tree, lambda node: data[node.entry.path])
