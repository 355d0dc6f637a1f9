"""What the commands that edit images share: where an image comes from, and goes back to."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec.structs import replace

from imagist.cli.delivery import Destination, deliver, tell
from imagist.cli.images import (
    find_path,
    open_local,
    open_remote,
    read_platform_names,
    read_reference,
)
from imagist.cli.stores import open_store
from imagist.editing.whole import narrow
from imagist.errors import RequestError
from imagist.oci import derive
from imagist.oci.image import Image, Index
from imagist.oci.reference import Reference


class Source(msgspec.Struct, frozen=True):
    """An image to edit, and the reference it was had by where that is in a registry."""

    thing: Image | Index
    reference: Reference | None
    is_part: bool = False
    """Whether there are more platforms than are wanted."""
    folder: Path | None = None
    """The layout it lies in."""
    names: tuple[str, ...] = ()
    """What it is called there."""


def aim(to: Destination, source: Source) -> Destination:
    """Where an edit goes: where the flags say, else to where its source was.

    As with crane, a tag then names the edited image, and what was named by digest is pushed by its
    new digest.

    Raises:
        RequestError: the tag would lose the platforms that are not edited.
    """
    reference = source.reference
    if to.place is not None or to.references or reference is None:
        return keep_names(to, source)
    if reference.digest:
        return Destination(references=(replace(reference, digest="", tag=""),))
    if source.is_part:
        raise RequestError(
            f"{reference} has more platforms, which it would lose",
            help="leave --platform out, or name another place with -t or -o",
        )
    return Destination(references=(reference,))


def keep_names(to: Destination, source: Source) -> Destination:
    """An image that is edited in its layout takes the place of what it was, name and all."""
    place = to.place
    if place is None or to.names or place.name or source.folder is None or place.is_archive:
        return to
    same = source.folder.resolve() == Path(place.path).resolve()
    return replace(to, names=source.names) if same else to


def open_source(name: str, values: argparse.Namespace, *, keep: bool = False) -> Source:
    """The image that a command line names, or those of its platforms that are wanted.

    `keep`: whether layers of a registry come into the store when they are read.

    Raises:
        NotFound: it is nowhere, or has no image for a platform.
        RequestError: the name fits several images, or something of another kind.
    """
    source = open_whole(name, values, keep=keep)
    thing = narrow(source.thing, read_platform_names(values))
    is_part = thing is not source.thing and isinstance(source.thing, Index)
    return replace(source, thing=thing, is_part=is_part)


def open_whole(name: str, values: argparse.Namespace, *, keep: bool = False) -> Source:
    """The same with all its platforms, whatever is wanted."""
    local = open_local(name, values)
    if local is not None:
        folder = find_path(name)
        if folder is None or not folder.is_dir():
            return Source(local, None)
        from imagist.store.layout import find_names

        return Source(local, None, False, folder, tuple(find_names(folder, derive.digest(local))))
    return Source(open_remote(name, values, keep=keep), read_reference(name))


def finish(thing: Image | Index, to: Destination, values: argparse.Namespace) -> None:
    """Bring an edited image where it goes, if nowhere else into the store, and tell its digest."""
    if to.place is None and not to.references:
        open_store(values).add_image(thing)
    deliver(thing, to, values)
    tell(thing, to, values)


def read_pairs(flag: str, texts: Iterable[str]) -> dict[str, str]:
    """`KEY=VALUE`; a value with further pairs behind commas is several, as crane takes it.

    Raises:
        RequestError: there is no KEY, or no sign.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        several = read_words([text]) if text.count("=") > 1 else [text]
        for part in several if all("=" in each for each in several) else [text]:
            key, sign, value = part.partition("=")
            if not sign or not key:
                raise RequestError(f"--{flag} takes KEY=VALUE, not `{part}`")
            pairs[key] = value
    return pairs


def read_words(texts: Iterable[str]) -> list[str]:
    """Words separated by commas; quotes keep a comma in one, as crane takes it."""
    try:
        return [word for text in texts for row in csv.reader([text], strict=True) for word in row]
    except csv.Error as error:
        raise RequestError(f"words by comma cannot be read: {error}") from None
