"""Images described as Python data, for tests that look into them."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Sequence
from typing import Any

from imagist.digest import sha256
from imagist.oci import mediatype
from imagist.oci.derive import BytesLayer, MemoryImage
from imagist.oci.empty import EMPTY_IMAGE
from imagist.oci.image import Layer
from imagist.oci.manifest import History
from imagist.oci.mutate import append_layers, set_config
from imagist.rootfs.entry import Entry
from imagist.rootfs.tarwrite import write_tar

DATABASE = "usr/lib/apk/db/installed"


def file(path: str, text: str | bytes = "", mode: int = 0o644, **more: Any) -> Entry:
    data = text.encode() if isinstance(text, str) else text
    return Entry(path, mode=mode, size=len(data), data=data, **more)


def folder(path: str, mode: int = 0o755, **more: Any) -> Entry:
    return Entry(path, "directory", mode, **more)


def symlink(path: str, target: str) -> Entry:
    return Entry(path, "symlink", 0o777, link=target)


def hardlink(path: str, target: str) -> Entry:
    return Entry(path, "hardlink", link=target)


def installed(**packages: Sequence[str]) -> Entry:
    """A package database: names to the files they own, all of version 1."""
    text = ""
    for name, paths in packages.items():
        text += f"C:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\nP:{name}\nV:1\nA:x86_64\n"
        for path in paths:
            above, _, last = path.rpartition("/")
            text += f"F:{above}\nR:{last}\n"
        text += "\n"
    return file(DATABASE, text)


def pack(entries: Sequence[Entry]) -> bytes:
    tar = bytearray()
    write_tar(((entry, entry.data) for entry in entries), tar.extend)
    return bytes(tar)


def layer(*entries: Entry, media_type: str = mediatype.LAYER_GZIP) -> BytesLayer:
    return layer_of(pack(entries), media_type)


def layer_of(tar: bytes, media_type: str = mediatype.LAYER_GZIP) -> BytesLayer:
    data = tar if media_type == mediatype.LAYER_TAR else gzip.compress(tar, mtime=0)
    return BytesLayer(data, sha256(tar), media_type)


def image(*layers: Layer, history: Sequence[str] = (), **config: Any) -> MemoryImage:
    lines = history or [f"step {number}" for number in range(len(layers))]
    made = append_layers(
        EMPTY_IMAGE,
        [
            (each, History(created_by=line, author="imagist"))
            for each, line in zip(layers, lines, strict=True)
        ],
    )
    return set_config(made, {"config": config}) if config else made


def edited(original: MemoryImage, **members: Any) -> MemoryImage:
    """The image with members of its configuration set, whatever sense they make."""
    raw = json.dumps({**json.loads(original.raw_config), **members}).encode()
    manifest = json.loads(original.raw_manifest)
    manifest["config"] |= {"digest": str(sha256(raw)), "size": len(raw)}
    return MemoryImage(json.dumps(manifest).encode(), raw, original.layers)


Row = tuple[object, ...]


def read_tar(data: bytes) -> dict[str, Row]:
    """Path -> type, mode, owner, time, what it holds; further names are the file they name."""
    rows: dict[str, Row] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = {member.name.strip("/").removeprefix("./"): member for member in tar}
        for path, member in members.items():
            target = members[member.linkname.strip("/")] if member.islnk() else member
            reader = tar.extractfile(target) if target.isreg() else None
            xattrs = sorted(i for i in target.pax_headers.items() if "xattr" in i[0])
            rows[path] = (
                target.type,
                target.mode & 0o7777,
                (target.uid, target.gid),
                int(target.mtime),
                sha256(reader.read()) if reader else target.linkname,
                (target.devmajor, target.devminor) if target.isdev() else None,
                tuple(xattrs),
            )
    rows.pop(".", None)
    rows.pop("", None)
    return rows
