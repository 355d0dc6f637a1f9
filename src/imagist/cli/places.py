"""Places on this machine that images are written to: layout folders and archives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from imagist.errors import RequestError
from imagist.oci.image import Image, Index
from imagist.progress import SILENT, Meter

if TYPE_CHECKING:
    from imagist.oci.referrer import Companion

PREFIXES: Final = ("oci", "oci-archive", "docker-archive")
"""What stands before a path, and a colon, to say what it is."""
FOREIGN: Final = ("dir", "containers-storage", "docker-daemon", "ostree", "sif")
"""Where other tools write, and imagist does not."""
_HOST: Final = r"[^/:]+:[0-9]+/.*"
_NAMED: Final = r"([^/:]+):([\w.-]+)"
_OTHERS: Final = (".zip", ".gz", ".tgz", ".zst", ".xz", ".bz2")
"""Ends of archives that are none of images."""


class Place(msgspec.Struct, frozen=True):
    """A layout folder or an archive."""

    path: str
    name: str = ""
    """What the image is called there; empty where nothing is said."""
    is_archive: bool = False


def parse_place(text: str) -> Place:
    """The place that `-o` or a target names: an archive where it ends in `.tar`, else a layout.

    `oci:DIR`, `oci-archive:FILE` and `docker-archive:FILE` settle doubt, and may be followed by
    `:NAME`.

    Raises:
        RequestError: it is probably meant otherwise; with what to write instead.
    """
    kind, colon, rest = text.partition(":")
    if colon and kind in FOREIGN:
        raise RequestError(
            f"imagist does not write to `{kind}:`",
            help="name a layout folder, an archive that ends in .tar, or a registry",
        )
    if not (colon and kind in PREFIXES):
        place = Place(text, "", text.endswith(".tar"))
    elif Path(rest).exists():
        place = Place(rest, "", kind != "oci")
    else:
        path, _, name = rest.partition(":")
        place = Place(path, name, kind != "oci")
    _check(place)
    return place


def write_place(
    thing: Image | Index,
    place: Place,
    *,
    names: Sequence[str] = (),
    companions: Sequence[Companion] = (),
    meter: Meter = SILENT,
    jobs: int = 1,
) -> None:
    """Write an image to its place, under the name that the place says or else under some names.

    Raises:
        RequestError: the place holds something else.
        Untrusted: a blob is not what its digest says.
        InputError: the place cannot be written.
    """
    path, names = Path(place.path), [place.name] if place.name else names
    if place.is_archive:
        from imagist.store.archive import write_archive

        write_archive(thing, path, tags=names, companions=companions, meter=meter, jobs=jobs)
    else:
        from imagist.store.layout import write_layout

        write_layout(thing, path, names=names, companions=companions, meter=meter, jobs=jobs)


def _check(place: Place) -> None:
    text, path = place.path, Path(place.path)
    if text in {"-", "/dev/stdout"}:
        raise RequestError(
            "an image is not written to stdout, since readers want to go back and forth in it",
            help="name a file: `-o image.tar`",
        )
    if re.fullmatch(_HOST, text) and not path.exists():
        raise RequestError(
            f"`{text}` looks like a name in a registry, and a path is wanted",
            help=f"write `./{text}` if a path is meant",
        )
    if text.endswith(_OTHERS) and not path.is_dir():
        raise RequestError(
            f"`{text}` would be a compressed archive, but layers are compressed already",
            help="name a file that ends in .tar",
        )
    if not place.name and (named := re.fullmatch(_NAMED, text)) and not path.exists():
        raise RequestError(
            f"`{text}` is a path with a colon in it, or a layout and a name for the image",
            help=f"write `./{text}` for the one, `oci:{text}` or `-o {named[1]} -t {named[2]}` "
            "for the other",
        )
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise RequestError(
            f"{text} is neither a file nor a folder", help="name a file that ends in .tar"
        )
    if path.is_file() and not place.is_archive:
        raise RequestError(f"{text} is a file", help="name a folder, or a file that ends in .tar")
    blocked = next((above for above in path.absolute().parents if above.is_file()), None)
    if blocked is not None:
        raise RequestError(f"{text} cannot be written: {blocked} is a file")
