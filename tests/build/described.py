"""An image as text that people can compare: one line for each path, and its configuration."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator

import msgspec

from imagist.oci import derive
from imagist.oci.image import Image
from imagist.rootfs.entry import Entry
from imagist.rootfs.flatten import flatten
from imagist.rootfs.tarread import TarReader
from imagist.rootfs.tree import Node, Tree

VOLATILE = ("usr/lib/apk/db/installed", "usr/lib/apk/db/scripts.tar", "usr/lib/apk/db/triggers")
"""Files that hold checksums of compressed bytes, which another libdeflate would change."""


def read_tree(image: Image) -> Tree:
    """What a runtime sees; contents are in `data`."""
    return flatten(map(_read_layer, image.layers))


def _read_layer(layer: object) -> Iterator[Node]:
    with layer.compressed() as stream:  # type: ignore[attr-defined]
        reader = TarReader([gzip.decompress(stream.read())], what="a layer")
        for entry in reader:
            data = b"".join(reader.content())
            yield Node(msgspec.structs.replace(entry, data=data, offset=-1))


def content(tree: Tree, path: str) -> str:
    """The text a process reads at a path."""
    node = tree.find(path)
    assert node is not None, path
    if node.entry.kind == "hardlink":
        node = tree.get(node.entry.link)
    assert node is not None
    assert node.entry.kind == "file"
    return node.entry.data.decode()


def describe_image(image: Image) -> str:
    """Everything of an image but digests and sizes of layers."""
    config = json.loads(image.raw_config)
    config["rootfs"]["diff_ids"] = len(config["rootfs"]["diff_ids"])
    manifest = json.loads(image.raw_manifest)
    layers = [layer["mediaType"] for layer in manifest["layers"]]
    lines = [
        *("annotation " + f"{k}={v}" for k, v in manifest["annotations"].items()),
        *("layer " + media_type for media_type in layers),
        json.dumps(config, indent=1, sort_keys=True),
        *(_line(node.entry) for node in read_tree(image)),
    ]
    assert derive.manifest(image).config.size == len(image.raw_config)
    return "\n".join(lines) + "\n"


def _line(entry: Entry) -> str:
    fields = [entry.kind, f"{entry.mode:04o}", f"{entry.uid}:{entry.gid}", str(entry.mtime)]
    if entry.kind == "file" and entry.path not in VOLATILE:
        fields += [str(entry.size), hashlib.sha256(entry.data).hexdigest()[:16]]
    if entry.link:
        fields.append("-> " + entry.link)
    if entry.kind in {"char", "block"}:
        fields.append("{}:{}".format(*entry.device))
    fields += [f"{name}={value.hex()}" for name, value in entry.xattrs]
    path = entry.path.encode("utf-8", "backslashreplace").decode()
    return f"/{path} " + " ".join(fields)
