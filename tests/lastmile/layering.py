"""Wheels in stores, and what layers of them hold."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from fixtures.wheelmaker import Made
from imagist.lastmile.wheels import Wheel
from imagist.oci.image import Layer
from imagist.packages.wheel.install import Origin
from imagist.store.store import Store


class Found(NamedTuple):
    """An entry of a layer."""

    kind: str
    mode: int
    data: bytes = b""
    link: str = ""


def put(store: Store, made: Made, origin: Origin | None = None) -> Wheel:
    """A wheel in a store, as fetching leaves it."""
    data = made.build()
    return Wheel(made.filename, store.put(data), len(data), origin or Origin())


def put_file(store: Store, place: Path) -> Wheel:
    """A wheel of this machine in a store."""
    return Wheel(place.name, store.put(place.read_bytes()), place.stat().st_size)


def read_layer(layer: Layer) -> dict[str, Found]:
    """Every entry of a layer, as Python reads it; all by root, in good order."""
    with layer.compressed() as stream:
        tar = gzip.decompress(stream.read())
    found: dict[str, Found] = {}
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        for info in archive:
            above = info.name.rpartition("/")[0]
            assert not above or found[above].kind == "directory", info.name
            assert info.name not in found
            assert (info.uid, info.gid) == (0, 0)
            kind = {tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "symlink"}
            file = archive.extractfile(info) if info.isreg() else None
            data = file.read() if file else b""
            link = info.linkname if info.issym() else ""
            found[info.name] = Found(kind.get(info.type, "file"), info.mode, data, link)
    return found


def flatten(layers: Iterable[Layer]) -> dict[str, Found]:
    """What all layers together hold."""
    found: dict[str, Found] = {}
    for layer in layers:
        for path, entry in read_layer(layer).items():
            assert path not in found or found[path] == entry, path
            found[path] = entry
    return found


def files(found: dict[str, Found]) -> dict[str, bytes]:
    """Contents of files by path."""
    return {path: entry.data for path, entry in found.items() if entry.kind == "file"}


def digests(layers: Sequence[Layer]) -> list[str]:
    """The layers' digests."""
    return [layer.digest for layer in layers]
