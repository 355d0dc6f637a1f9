"""The image that is built upon: its layers, what a runtime sees of them, what is installed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from imagist.build.compose import Base
from imagist.build.contents import StoreContents
from imagist.build.context import Context
from imagist.build.derived.place import read_file
from imagist.declaration.model import BaseImage
from imagist.errors import InputError, NotFound
from imagist.oci import derive
from imagist.oci.image import Image, Index
from imagist.oci.manifest import ImageConfig
from imagist.oci.platform import Platform
from imagist.packages.apk.database import InstalledPackage, parse_installed
from imagist.rootfs.flatten import flatten
from imagist.rootfs.tarread import Limits, TarReader
from imagist.rootfs.tree import Node
from imagist.rootfs.uncompress import tell_form, uncompress
from imagist.store.layout import read_layout
from imagist.store.store import Store

_DATABASES: Final = ("usr/lib/apk/db/installed", "lib/apk/db/installed")


class LoadedBase(msgspec.Struct, frozen=True):
    """A base image for one platform, its layers in the store."""

    image: Image
    config: ImageConfig
    base: Base


def load_base(declared: BaseImage, platform: Platform, context: Context) -> LoadedBase:
    """Read a base image: its layers come into the store, so that their files can be read.

    What is installed is told by `apkindex`, or where that is not given by the image's own
    database.

    Raises:
        NotFound: there is no such image, or none for the platform.
        InputError: something of it cannot be read.
    """
    store = context.store
    context.trace.note_file(str(Path(declared.image) / "index.json"))
    thing = read_layout(Path(declared.image))
    image = _choose(thing, platform, declared.image)
    store.add_image(image)
    layers = derive.manifest(image).layers
    tree = flatten(_read_layer(store, layer.digest) for layer in layers)
    database = _read_database(declared, platform, context)
    if database is None:
        contents = StoreContents(store)
        found = (read_file(tree, contents, path) for path in _DATABASES)
        database = next((text for text in found if text is not None), b"")
    installed: Sequence[InstalledPackage] = parse_installed(database)
    return LoadedBase(image, derive.config(image), Base(tuple(tree), tuple(installed)))


def _choose(thing: Image | Index, platform: Platform, name: str) -> Image:
    if not isinstance(thing, Index):
        return thing
    images = derive.images(thing)
    for found, image in images:
        if (found.os, found.arch) == (platform.os, platform.arch):
            return image
    have = ", ".join(str(found) for found, _ in images) or "none"
    raise NotFound(
        f"the base image {name} has nothing for {platform}; it has {have}",
        help="build for those platforms only, with `archs` or --platform",
    )


def _read_layer(store: Store, digest: str) -> Iterator[Node]:
    """The entries of one layer; contents are found again by the layer's digest and an offset."""
    what = f"layer {digest}"
    with store.open_blob(digest) as blob, store.open_blob(digest) as beginning:
        form = tell_form(beginning.read(4))
        pieces = uncompress(blob, form, what=what, limit=Limits().total)
        for entry in TarReader(pieces, what=what):
            yield Node(entry, blob=digest if entry.kind == "file" else "")


def _read_database(declared: BaseImage, platform: Platform, context: Context) -> bytes | None:
    if not declared.apkindex:
        return None
    path = Path(declared.apkindex) / platform.apk / "APKINDEX"
    context.trace.note_file(str(path))
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotFound(
            f"there is no {path}, which lists the packages of the base image",
            help="leave `apkindex` out to read the image's own database",
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
