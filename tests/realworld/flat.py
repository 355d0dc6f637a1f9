"""What is in an OCI layout or a package, read with nothing of imagist: the oracle of comparisons."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

_KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.FIFOTYPE: "fifo",
}


@dataclass(frozen=True)
class Item:
    """One path as a runtime sees it."""

    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int
    link: str = ""
    """A symlink's target."""
    sha256: str = ""
    """Of a file's content."""
    device: tuple[int, int] = (0, 0)
    xattrs: frozenset[tuple[str, str]] = frozenset()
    names: frozenset[str] = frozenset()
    """All names of a file that has several."""
    content: bytes | None = field(default=None, compare=False)
    """Of a file under /etc or a database, for those who look closer."""


class Tree(dict[str, Item]):
    """Items by path without a leading slash."""

    def text(self, path: str) -> str:
        """The content of a small file."""
        content = self[self.resolve(path)].content
        assert content is not None, path
        return content.decode()

    def resolve(self, path: str) -> str:
        """The path with the symlinks in its folders followed."""
        done: list[str] = []
        rest = path.strip("/").split("/")[::-1]
        while rest:
            part = rest.pop()
            if part == "..":
                done = done[:-1]
            elif part not in {"", "."}:
                done.append(part)
            item = self.get("/".join(done))
            if rest and item is not None and item.kind == "symlink":
                done = [] if item.link.startswith("/") else done[:-1]
                rest += item.link.split("/")[::-1]
        return "/".join(done)

    def remove(self, path: str) -> None:
        """Remove a path and what is below it."""
        self.pop(path, None)
        for name in [name for name in self if name.startswith(f"{path}/")]:
            del self[name]


@dataclass(frozen=True)
class Image:
    """One image of a layout."""

    manifest: dict[str, Any]
    config: dict[str, Any]
    blobs: Path

    def blob(self, digest: str) -> Path:
        """A blob's file."""
        return self.blobs / digest.replace(":", "/")

    @property
    def layers(self) -> list[dict[str, Any]]:
        """Descriptors, base first."""
        layers: list[dict[str, Any]] = self.manifest["layers"]
        return layers

    def flatten(self) -> Tree:
        """What a runtime sees."""
        return flatten(read_layer(self.blob(layer["digest"])) for layer in self.layers)


def read_image(layout: Path, architecture: str = "amd64") -> Image:
    """The image of an architecture in a layout, however deep its index lies."""
    blobs = layout / "blobs"
    waiting = list(json.loads((layout / "index.json").read_bytes())["manifests"])
    while waiting:
        descriptor = waiting.pop()
        document = json.loads((blobs / descriptor["digest"].replace(":", "/")).read_bytes())
        if "manifests" in document:
            waiting += document["manifests"]
            continue
        config = json.loads((blobs / document["config"]["digest"].replace(":", "/")).read_bytes())
        if config["architecture"] == architecture:
            return Image(document, config, blobs)
    raise AssertionError(f"no image for {architecture} in {layout}")


def flatten(layers: Iterable[Iterable[tuple[str, Item]]]) -> Tree:
    """Apply layers in order (image-spec layer.md)."""
    tree = Tree()
    names: dict[str, set[str]] = {}
    for layer in layers:
        for path, item in layer:
            _apply(tree, names, tree.resolve(path), item)
    for path, group in names.items():
        alive = frozenset(name for name in group if name in tree and names.get(name) is group)
        if path in tree and len(alive) > 1:
            tree[path] = replace(tree[path], names=alive)
    return tree


def _apply(tree: Tree, names: dict[str, set[str]], path: str, item: Item) -> None:
    folder, _, name = path.rpartition("/")
    if name == ".wh..wh..opq":
        for below in [each for each in tree if each.startswith(f"{folder}/")]:
            del tree[below]
        return
    if name.startswith(".wh."):
        tree.remove(f"{folder}/{name[4:]}".strip("/"))
        return
    if item.kind == "hardlink":
        target = tree.resolve(item.link)
        if target not in tree:
            tree[path] = replace(item, kind="broken hardlink")
            return
        group = names.setdefault(target, {target})
        group.add(path)
        names[path] = group
        tree[path] = tree[target]
        return
    names.pop(path, None)
    old = tree.get(path)
    if old is not None and old.kind == "directory" != item.kind:
        tree.remove(path)
    tree[path] = item


def read_layer(layer: Path) -> Iterator[tuple[str, Item]]:
    """The entries of a gzip'd tar, or of several put together as an .apk is."""
    # Not `r|gz`: that knows a single gzip member, and layers may have many.
    with (
        gzip.open(layer) as stream,
        tarfile.open(fileobj=stream, mode="r|", ignore_zeros=True) as tar,
    ):
        for entry in tar:
            path = entry.name.strip("/").removeprefix("./")
            if path and path != ".":
                yield path, _item(tar, path, entry)


def _item(tar: tarfile.TarFile, path: str, entry: tarfile.TarInfo) -> Item:
    digest = ""
    content = None
    if entry.isreg():
        reader = tar.extractfile(entry)
        assert reader is not None
        if entry.size < 1 << 20 and path.startswith(("etc/", "usr/lib/apk/", "lib/apk/")):
            content = reader.read()
            digest = hashlib.sha256(content).hexdigest()
        else:
            digest = hashlib.file_digest(reader, "sha256").hexdigest()  # type: ignore[arg-type]
    return Item(
        kind=_KINDS[entry.type],
        mode=entry.mode & 0o7777,
        uid=entry.uid,
        gid=entry.gid,
        mtime=int(entry.mtime),
        link=entry.linkname,
        sha256=digest,
        device=(entry.devmajor, entry.devminor) if entry.isdev() else (0, 0),
        xattrs=frozenset(
            (key, value)
            for key, value in entry.pax_headers.items()
            if key.startswith("SCHILY.xattr.")
        ),
        content=content,
    )
