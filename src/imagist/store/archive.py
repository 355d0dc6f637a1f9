"""Image archives: one tar that is an OCI layout and a `docker save` archive at the same time.

Docker reads `manifest.json` (older than 25) or `index.json`, podman and skopeo either; both name
the same files below `blobs/sha256/`, so nothing is there twice (image-layout.md allows it).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from imagist.errors import InputError
from imagist.oci import contents, derive
from imagist.oci.image import Image, Index
from imagist.oci.manifest import IndexManifest, encode
from imagist.oci.reference import Reference, parse_reference
from imagist.oci.referrer import Companion
from imagist.progress import SILENT, Meter
from imagist.rootfs.entry import Entry
from imagist.rootfs.tarwrite import END, padding, tar_header
from imagist.store import output
from imagist.store.docker import blob_path, docker_entries, read_docker
from imagist.store.layout import (
    CONTAINERD_NAME,
    MARKER,
    REF_NAME,
    choose,
    describe_companion,
    platform_of,
)
from imagist.store.parallel import Brake
from imagist.store.parallel import each as in_parallel
from imagist.store.tarsource import TarSource


def write_archive(
    thing: Image | Index,
    file: Path,
    *,
    tags: Sequence[str] = (),
    companions: Sequence[Companion] = (),
    meter: Meter = SILENT,
    jobs: int = 1,
) -> None:
    """Write an image or index into one tar file, at once; the same input gives the same bytes.

    Args:
        thing: what to write.
        file: the archive; an existing file is replaced.
        tags: names such as `example.org/app:1` that loading gives the image. Of an index, Docker
            before 25 gives each to linux/amd64, or else the first, and `NAME-ARCH` to every one.
        companions: what is written beside it, for copies; programs that load it do not see them.
        meter: counts the bytes of blobs.
        jobs: blobs that are written at a time; more than one where they come from afar.

    Raises:
        RequestError: a tag is not the name of an image.
        Untrusted: a blob is not what its digest says.
        InputError: the disk is full, or the folder cannot be written.
    """
    references = [parse_reference(tag) for tag in tags]
    file = file.resolve()
    with output.temporary_file(file) as path:
        with path.open("r+b", buffering=0) as stream:
            places = _write_frame(thing, references, companions, stream)
        brake = Brake(meter)
        brake.expect(sum(blob.size for blob in places))

        def write(blob: contents.Blob) -> None:
            with path.open("r+b", buffering=0) as stream, blob.open() as source:
                stream.seek(places[blob])
                output.copy_blob(blob, source, cast("BinaryIO", stream), brake)

        in_parallel(write, output.in_good_order(places) if jobs > 1 else places, jobs, brake=brake)
        path.replace(file)


def _write_frame(
    thing: Image | Index,
    names: Sequence[Reference],
    companions: Sequence[Companion],
    target: FileIO,
) -> dict[contents.Blob, int]:
    """Write everything but the blobs; where each of them has its place.

    Sizes are known before a byte is, so all can be written at the same time.
    """
    documents = {
        "oci-layout": MARKER,
        "index.json": format_archive_index(thing, names, companions),
        "manifest.json": msgspec.json.encode(docker_entries(thing, names)),
    }
    for folder in ("blobs", "blobs/sha256"):
        target.write(tar_header(Entry(folder, "directory", 0o755)))
    for name, data in documents.items():
        header = tar_header(Entry(name, size=len(data)))
        target.write(b"".join((header, data, padding(len(data)))))
    places = {}
    things = [thing, *(companion.thing for companion in companions)]
    blobs = {blob.digest: blob for each in things for blob in contents.blobs(each)}
    for blob in sorted(blobs.values(), key=_place):
        target.write(tar_header(Entry(blob_path(blob.digest), mode=0o444, size=blob.size)))
        places[blob] = target.tell()
        target.seek(blob.size + len(padding(blob.size)), os.SEEK_CUR)  # what is skipped is zeros
    target.write(END)
    return places


def _place(blob: contents.Blob) -> bool:
    """Documents first: a reader of the stream then knows early what it reads."""
    return blob.layer


def format_archive_index(
    thing: Image | Index, names: Sequence[Reference], companions: Sequence[Companion] = ()
) -> bytes:
    """The `index.json`: one descriptor for each name, as containerd and Docker look for it."""
    items = [
        derive.describe_image(
            thing,
            platform=platform_of(thing),
            annotations={CONTAINERD_NAME: str(name), REF_NAME: name.tag} if name else {},
        )
        for name in names or (None,)
    ]
    items += map(describe_companion, companions)
    return encode(IndexManifest(schema_version=2, manifests=tuple(items)))


def read_archive(file: Path, name: str = "") -> Image | Index:
    """The image or index of an archive. The archive is scanned once; contents are skipped.

    Of an OCI archive `index.json` counts, see `layout.read_layout`; else `manifest.json`, whose
    images become an index when there are several. `name` chooses one by its tag.

    Raises:
        NotFound: there is no such file, or no image of this name in it.
        InputError: the file is not an image archive, or a compressed one.
    """
    archive = TarSource(file)
    names = (name, str(parse_reference(name))) if name else ()
    if "index.json" in archive.members and "oci-layout" in archive.members:
        return choose(archive, archive.read("index.json"), str(file), names)
    if "manifest.json" in archive.members:
        return read_docker(archive, name)
    raise InputError(f"{file} holds neither an OCI layout nor what `docker save` writes")
