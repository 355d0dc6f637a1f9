"""The image that is built upon: its layers, what a runtime sees of them, what is installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from imagist.build.compose import Base
from imagist.build.contents import StoreContents
from imagist.build.context import Context, Options
from imagist.build.formats.format import Format
from imagist.build.trace import Note
from imagist.declaration.model import BaseImage
from imagist.errors import NotFound, RequestError
from imagist.oci import derive
from imagist.oci.image import Image, Index
from imagist.oci.manifest import ImageConfig
from imagist.oci.platform import Platform
from imagist.oci.rebase import note_base
from imagist.oci.reference import REMOTE, Reference, is_remote_name, parse_reference
from imagist.rootfs.flatten import flatten
from imagist.rootfs.tarread import Limits, TarReader
from imagist.rootfs.tree import Node
from imagist.rootfs.uncompress import tell_form, uncompress
from imagist.store.archive import read_archive
from imagist.store.layout import read_layout
from imagist.store.memo import memo_key
from imagist.store.store import Store

STEP: Final = "base"
_CONNECTIONS: Final = 8


class LoadedBase(msgspec.Struct, frozen=True):
    """A base image for one platform, its layers in the store."""

    image: Image
    config: ImageConfig
    base: Base
    noted: Mapping[str, str] = {}
    """The annotations that say so."""


class OpenBase(msgspec.Struct, frozen=True):
    """A base image as it was found, for all platforms."""

    name: str
    thing: Image | Index
    pin: str = ""
    """The digest that its name meant, where another day it may mean another."""
    reference: Reference | None = None
    """Where others find it."""


def open_base(declared: BaseImage, options: Options, context: Context) -> OpenBase:
    """Find a base image: a layout folder, an archive, or a reference in a registry.

    A lock holds a reference to the digest that it had.

    Raises:
        NotFound: there is no such image.
        NetworkError: the registry cannot be reached, or refuses.
        InputError: something of it cannot be read.
    """
    name, path = declared.image, Path(declared.image)
    if path.is_file():
        context.trace.note_file(name)
        return OpenBase(name, read_archive(path))
    if path.exists():
        context.trace.note_file(str(path / "index.json"))
        return OpenBase(name, read_layout(path))
    if not is_remote_name(name):
        raise NotFound(
            f"there is no base image {name}",
            help="name a layout folder, an archive, or host/repository:tag",
        )
    reference = parse_reference(name.removeprefix(REMOTE))
    if reference.digest:
        return OpenBase(name, _load(reference, context), reference=reference)
    named = reference
    locked = options.lock.base if options.lock else None
    if locked is not None and locked.name == name:
        reference = replace(reference, digest=locked.digest)
    thing = _load(reference, context)
    pin = derive.digest(thing)
    context.trace.note(Note("tag", str(reference), pin))
    return OpenBase(name, thing, pin, named)


def _load(reference: Reference, context: Context) -> Image | Index:
    # Where no network needs to be asked, none is: what a digest names does not change.
    if reference.digest and (known := context.store.find_image(reference.digest)) is not None:
        return known
    if context.reader.offline:
        return _recall(reference, context.store)
    if context.registries is None:
        raise RequestError(
            f"the base image {reference} lies in a registry, which this command does not ask",
            help="pull it into a layout folder, and name that",
        )
    from imagist.registry.source import load_image  # noqa: PLC0415 - few images have such a base

    thing = load_image(context.registries(), reference, store=context.store, keep=True)
    documents = _keep_documents(thing, context.store)
    context.store.memo.put(STEP, _key(reference), documents[0].encode(), blobs=documents)
    return thing


def _recall(reference: Reference, store: Store) -> Image | Index:
    """What a reference named when somebody asked; layers of other platforms may be missing."""
    known = store.memo.get(STEP, _key(reference))
    if known is None:
        raise RequestError(
            f"the base image {reference} is not in the store, and --offline forbids to ask for it",
            help="build once without --offline",
        )
    return store.image(known.decode())


def _keep_documents(thing: Image | Index, store: Store) -> list[str]:
    """Keep the manifests of an image or index, its own first; their digests."""
    kept = [str(store.put(thing.raw_manifest))]
    if isinstance(thing, Index):
        for _, child in derive.children(thing):
            kept += _keep_documents(child, store)
    return kept


def _key(reference: Reference) -> str:
    return memo_key(STEP, str(reference))


def load_base(
    base: OpenBase,
    declared: BaseImage,
    platform: Platform,
    packages: Format,
    context: Context,
) -> LoadedBase:
    """Read a base image: its layers come into the store, so that their files can be read.

    What is installed is told by the format of the packages that come on top.

    Raises:
        NotFound: there is none for the platform.
        InputError: something of it cannot be read.
    """
    store = context.store
    image = _choose(base.thing, platform, base.name)
    with context.report.meter(f"layers of {base.name}") as meter:
        store.add_image(image, meter=meter, jobs=_CONNECTIONS)
    layers = derive.manifest(image).layers
    tree = flatten(_read_layer(store, layer.digest) for layer in layers)
    installed = packages.read_installed(tree, StoreContents(store), declared, platform, context)
    noted = note_base(image, base.thing, base.reference)
    return LoadedBase(image, derive.config(image), Base(tuple(tree), installed), noted)


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
