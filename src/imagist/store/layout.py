"""OCI image layouts (image-layout.md): folders with `oci-layout`, `index.json` and `blobs/`.

`index.json` has one descriptor for each name the image is given, or one without a name. Images
that others put into the same layout under names of their own stay.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
from msgspec.structs import replace

from imagist.digest import Digest, sha256_stream
from imagist.errors import InputError, NotFound, RequestError
from imagist.oci import contents, derive, lazy, mediatype
from imagist.oci.image import Image, Index
from imagist.oci.manifest import Descriptor, IndexManifest, encode
from imagist.oci.platform import Platform
from imagist.oci.reader import verified
from imagist.oci.referrer import Companion, describe_referrer
from imagist.progress import SILENT, Meter
from imagist.store import output
from imagist.store.blobs import BlobFile
from imagist.store.parallel import Brake
from imagist.store.parallel import each as in_parallel

MARKER: Final = b'{"imageLayoutVersion":"1.0.0"}'
_COSIGN: Final = r"sha(?:256|512)-[0-9a-f]{64,128}(?:\.(?:sig|att|sbom))?"
"""Tags that belong to another image: cosign's, and those that list referrers."""
REF_NAME: Final = "org.opencontainers.image.ref.name"
CONTAINERD_NAME: Final = "io.containerd.image.name"


def write_layout(
    thing: Image | Index,
    folder: Path,
    *,
    link: bool = True,
    names: Sequence[str] = (),
    companions: Sequence[Companion] = (),
    meter: Meter = SILENT,
    jobs: int = 1,
) -> None:
    """Write an image or index into a layout, at once: readers see all of it or nothing.

    A new layout is made beside its place and renamed. In a layout that is there already, blobs
    are added first and `index.json` is replaced last; its images under other names stay.

    Args:
        thing: what to write.
        folder: the layout; absent, empty, or a layout.
        link: whether blobs may be hard links to the read-only files of the store. Without it,
            and on another file system, they are copied.
        names: what `index.json` shall call it (`org.opencontainers.image.ref.name`).
        companions: what is written beside it: referrers, listed without a name, and what cosign
            put under tags.
        meter: counts the bytes of blobs.
        jobs: blobs that are written at a time; more than one where they come from afar.

    Raises:
        RequestError: the folder holds something else.
        Untrusted: a blob is not what its digest says.
        InputError: the disk is full, or the folder cannot be written.
    """
    index = LayoutIndex(thing, names, companions)
    folder = folder.resolve()
    kind = _kind(folder)
    if kind == "other":
        raise RequestError(
            f"{folder} is not empty, and not an OCI layout",
            help="name a new folder, or a layout to add to",
        )
    if kind == "empty" and folder.is_mount():  # which no other folder can be renamed to
        output.replace_file(folder / "oci-layout", MARKER)
        output.replace_file(folder / "index.json", encode(IndexManifest(schema_version=2)))
        kind = "layout"
    if kind == "layout" or not _make(index, folder, link, meter, jobs):
        with output.alone(folder):
            _refuse_links(folder)
            _remove_rests(folder)
            _add_blobs(index.things, folder, link=link, meter=meter, jobs=jobs)
            old = read_index(folder)
            output.replace_file(folder / "index.json", index.format(old))


def _make(index: LayoutIndex, folder: Path, link: bool, meter: Meter, jobs: int) -> bool:
    """Make a new layout, unless another process was faster."""
    with output.temporary_folder(folder) as new:
        _add_blobs(index.things, new, link=link, meter=meter, jobs=jobs)
        (new / "oci-layout").write_bytes(MARKER)
        (new / "index.json").write_bytes(index.format())
        try:
            new.rename(folder)
        except OSError:
            if _kind(folder) != "layout":
                raise
            return False
    return True


def _remove_rests(folder: Path) -> None:
    """Remove blobs that killed writers were copying; the layout must be ours alone."""
    for rest in (folder / "blobs" / "sha256").glob(".*"):
        if re.fullmatch(output.PARTIAL, rest.name):
            rest.unlink()


def _refuse_links(folder: Path) -> None:
    """A layout may be anybody's: what it writes to must be its own."""
    for part in (folder / "blobs", folder / "blobs" / "sha256"):
        if part.is_symlink():
            raise RequestError(
                f"{part} is a symlink, which imagist does not write through",
                help="name another folder",
            )


class LayoutIndex(msgspec.Struct, frozen=True):
    """What a layout's `index.json` is to say of an image."""

    thing: Image | Index
    names: Sequence[str]
    companions: Sequence[Companion] = ()

    @property
    def things(self) -> list[Image | Index]:
        """The image, and what belongs to it."""
        return [self.thing, *(each.thing for each in self.companions)]

    def format(self, old: Iterable[Descriptor] = ()) -> bytes:
        """The document, with those that were there before and stay in front."""
        own = [
            derive.describe_image(
                self.thing,
                platform=platform_of(self.thing),
                annotations={REF_NAME: name} if name else {},
            )
            for name in self.names or ("",)
        ]
        beside = [describe_companion(each) for each in self.companions]
        taken = {*self.names, "", *(each.tag for each in self.companions)}
        digests = {item.digest for item in beside}
        kept = [
            item
            for item in old
            if item.annotations.get(REF_NAME, "") not in taken
            or (is_companion(item) and item.digest not in digests)
        ]
        return encode(IndexManifest(schema_version=2, manifests=(*kept, *own, *beside)))


def describe_companion(companion: Companion) -> Descriptor:
    """How an `index.json` names what belongs to an image."""
    thing = companion.thing
    if companion.tag:
        return derive.describe_image(thing, annotations={REF_NAME: companion.tag})
    found = describe_referrer(thing.raw_manifest, thing.media_type)
    item = found[0] if found is not None else derive.describe_image(thing)
    return replace(item, artifact_type=item.artifact_type or thing.media_type)


def is_companion(item: Descriptor) -> bool:
    """Whether an `index.json` names something that belongs to another image by it."""
    name = item.annotations.get(REF_NAME, "")
    return bool(re.fullmatch(_COSIGN, name)) if name else bool(item.artifact_type)


def platform_of(thing: Image | Index) -> Platform | None:
    """The platform that a descriptor in an `index.json` names; of indexes and artifacts none."""
    if isinstance(thing, Index) or not derive.is_image_config(derive.manifest(thing).config):
        return None
    return derive.platform(thing)


def read_layout(folder: Path, name: str = "") -> Image | Index:
    """The image or index of a layout; nothing but `index.json` and one document is read.

    Where `index.json` lists images for several platforms and no name is given, it is itself taken
    as the index (apko writes such layouts).

    Raises:
        NotFound: there is no layout, or it has no image of this name.
        RequestError: it has several, and none was named.
        InputError: the layout is damaged.
    """
    _check_layout(folder)
    source = LayoutSource(folder)
    raw = (folder / "index.json").read_bytes()
    return choose(source, raw, str(folder), (name,) if name else ())


def read_named(folder: Path) -> dict[str, Image | Index]:
    """The images of a layout that have names, by these, in the order of `index.json`.

    Raises:
        NotFound: there is no layout, or it does not hold an image that it names.
        InputError: the layout is damaged.
    """
    _check_layout(folder)
    source = LayoutSource(folder)
    names = [(item.annotations.get(REF_NAME, ""), item) for item in read_index(folder)]
    return {name: lazy.load(source, item) for name, item in names if name}


def list_names(folder: Path) -> list[str]:
    """What a layout calls its images, in the order of `index.json`.

    Raises:
        NotFound: there is no layout.
        InputError: it is damaged.
    """
    _check_layout(folder)
    names = (item.annotations.get(REF_NAME, "") for item in read_index(folder))
    return [name for name in dict.fromkeys(names) if name]


def find_names(folder: Path, digest: str) -> list[str]:
    """What a layout calls an image.

    Raises:
        InputError: the layout is damaged.
    """
    items = [item for item in read_index(folder) if item.digest == digest]
    return [name for item in items if (name := item.annotations.get(REF_NAME, ""))]


def find_named(folder: Path, name: str) -> str:
    """The digest of the image that has a name in a layout; empty where none has.

    Raises:
        InputError: the layout is damaged.
    """
    items = read_index(folder)
    return next((item.digest for item in items if item.annotations.get(REF_NAME) == name), "")


class LayoutSource:
    """The blobs of a layout, checked while they are read; a `BlobSource`."""

    def __init__(self, folder: Path) -> None:
        """Take the folder of the layout."""
        self._folder = folder

    def open_blob(self, digest: str) -> BinaryIO:
        """Open a blob; the caller closes it.

        Raises:
            NotFound: the layout does not hold it (image-layout.md allows that).
        """
        checked = Digest(digest)
        place = self._folder / "blobs" / checked.algorithm / checked.hex
        try:
            # Without waiting for who writes into a pipe of that name.
            descriptor = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise NotFound(f"{self._folder} does not hold the blob {digest}") from error
        stream = open(descriptor, "rb", buffering=0)  # noqa: PTH123, SIM115 - closed by who reads
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            stream.close()
            raise InputError(f"{place} is no file, but should be a blob")
        return verified(stream, digest, status.st_size, f"a blob of {self._folder}")


def choose(source: lazy.BlobSource, raw: bytes, what: str, names: Sequence[str]) -> Image | Index:
    """The image that an `index.json` means, by any of some names; see `read_layout`."""
    items = _parse_index(raw, what)
    if names:
        meant = [item for item in items if _is_called(item, names)]
    else:
        meant = _without_parts(source, [item for item in items if not is_companion(item)] or items)
    if len({item.digest for item in meant}) == 1:
        return lazy.load(source, meant[0])
    known = sorted({item.annotations.get(REF_NAME, "") for item in items} - {""})
    if not meant:
        raise NotFound(
            f"{what} has no image called `{names[0]}`" if names else f"{what} has no images",
            help=f"it has {', '.join(known)}" if known else None,
        )
    if names or not _are_platforms(meant):
        raise RequestError(
            f"{what} holds several images",
            help=f"say which, as in `oci:{what}:{known[0]}`; it has {', '.join(known)}"
            if known
            else "none has a name, so copy what is wanted into a layout of its own",
        )
    return lazy.wrap(source, raw, mediatype.INDEX)


def _without_parts(source: lazy.BlobSource, items: Sequence[Descriptor]) -> list[Descriptor]:
    """Descriptors without those of images that are listed besides their index, as oras does it."""
    indexes = [item for item in items if item.media_type in mediatype.INDEXES]
    if len(items) < 2 or not indexes:
        return list(items)
    parts = {
        child.digest
        for item in indexes
        if isinstance(index := lazy.load(source, item), Index)
        for child in derive.index_manifest(index).manifests
    }
    return [item for item in items if item.digest not in parts]


def _are_platforms(items: Sequence[Descriptor]) -> bool:
    """Whether descriptors are those of one image, for platforms that all differ."""
    platforms = {str(item.platform) for item in items if item.platform is not None}
    names = {item.annotations.get(REF_NAME, "") for item in items}
    return len(platforms) == len(items) and len(names) == 1


def _parse_index(raw: bytes, what: str) -> tuple[Descriptor, ...]:
    try:
        return derive.parse_index(raw).manifests
    except InputError as error:
        raise InputError(
            f"index.json of {what} is damaged: {error}", help="remove it, and write it anew"
        ) from error


def _is_called(item: Descriptor, names: Sequence[str]) -> bool:
    return any(item.annotations.get(key, "") in names for key in (REF_NAME, CONTAINERD_NAME))


def read_index(folder: Path) -> tuple[Descriptor, ...]:
    """The descriptors in a layout's `index.json`.

    Raises:
        InputError: it is not an image index.
    """
    return _parse_index((folder / "index.json").read_bytes(), str(folder))


def _check_layout(folder: Path) -> None:
    if _kind(folder) != "layout":
        raise NotFound(f"{folder} is not an OCI layout: it has no oci-layout and index.json")


def _kind(folder: Path) -> str:
    """`"layout"`, `"empty"` (or absent) or `"other"`."""
    if (folder / "oci-layout").is_file() and (folder / "index.json").is_file():
        return "layout"
    if not folder.exists():
        return "empty"
    return "other" if not folder.is_dir() or any(folder.iterdir()) else "empty"


def _add_blobs(
    things: Iterable[Image | Index], folder: Path, *, link: bool, meter: Meter, jobs: int
) -> None:
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    wanted = list({blob.digest: blob for each in things for blob in contents.blobs(each)}.values())
    brake = Brake(meter)
    brake.expect(sum(blob.size for blob in wanted))

    def add(blob: contents.Blob) -> None:
        if not blob.digest.startswith("sha256:"):
            raise InputError(f"{blob.digest} is not SHA-256, which is all imagist writes")
        place = blobs / Digest(blob.digest).hex
        if _is_there(place, blob):
            brake.add(blob.size)
        else:
            output.write_blob(blob, place, link=link, meter=brake)

    in_parallel(add, output.in_good_order(wanted), jobs, brake=brake)


def _is_there(place: Path, blob: contents.Blob) -> bool:
    """Whether a layout holds a blob; one that is damaged is removed.

    What is linked to the store's file is trusted as that is; everything else is read.
    """
    try:
        status = place.stat()
    except FileNotFoundError:
        return False
    if status.st_size == blob.size:
        with blob.open() as stream:
            if isinstance(stream, BlobFile) and os.path.samestat(
                os.fstat(stream.fileno()), status
            ):
                return True
        with place.open("rb", buffering=0) as file:
            if sha256_stream(file)[0] == blob.digest:
                return True
    place.unlink()
    return False
