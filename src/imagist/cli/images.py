"""Images that a command line names, and how what is in them is shown."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imagist.cli.environment import host_platform
from imagist.cli.stores import open_store
from imagist.errors import InputError, NotFound, RequestError
from imagist.oci import mediatype
from imagist.oci.image import Image, Index
from imagist.oci.reference import REMOTE, Reference, is_remote_name, parse_reference

if TYPE_CHECKING:
    from imagist.inspection.describe import FileReport

_PATHS: Final = ("oci", "oci-archive", "docker-archive")
_DIGEST: Final = "[0-9a-f]{6,64}"
_SHORT: Final = 12
"""Hex digits of a digest that are shown."""
_TYPES: Final = {
    "file": 0o100000,
    "hardlink": 0o100000,
    "directory": 0o040000,
    "symlink": 0o120000,
    "char": 0o020000,
    "block": 0o060000,
    "fifo": 0o010000,
}
_PREFIXES: Final = {
    "application/vnd.oci.image.layer.v1.": "",
    "application/vnd.oci.image.layer.": "",
    "application/vnd.docker.image.rootfs.": "docker ",
    "application/vnd.": "",
}


def open_image(name: str, values: argparse.Namespace) -> Image | Index:
    """The image at a path (a layout folder or an archive), in the store, or in a registry.

    `oci:`, `oci-archive:` and `docker-archive:` name a path, after which `:NAME` may choose one of
    several images; `store:` and `sha256:` name a digest in the store or the beginning of one;
    `docker://` names a reference in a registry.

    Raises:
        NotFound: it is nowhere.
        NetworkError: its registry cannot be reached, or refuses.
        RequestError: the name fits several images, or something of another kind.
        InputError: what is there is no image.
    """
    local = open_local(name, values)
    if local is not None:
        return local
    return open_remote(name, values, keep=True)


def open_local(name: str, values: argparse.Namespace) -> Image | Index | None:
    """The image that a name means on this machine; None where it means one in a registry.

    Raises:
        NotFound: it means one on this machine, but there is none.
        RequestError: the name fits several images, or something of another kind.
        InputError: what is there is no image.
    """
    kind, _, rest = name.partition(":")
    if kind in _PATHS:
        return _open_named(kind, rest, name)
    if kind not in {"store", "sha256"} and _exists(name):
        return _open_path(Path(name))
    if kind in {"store", "sha256"} or re.fullmatch(_DIGEST, name):
        return open_store(values).image(rest if kind == "store" else name)
    if is_remote_name(name):
        return None
    raise NotFound(
        f"there is no image {name}",
        help="name a layout folder, an archive, sha256:... in the store, or host/repository:tag",
    )


def open_remote(name: str, values: argparse.Namespace, *, keep: bool = False) -> Image | Index:
    """The image that a reference names in a registry; what the store has is taken from there.

    `keep`: whether layers come into the store when they are opened; for those who read them.

    Raises:
        NotFound: the registry has none.
        NetworkError: the registry cannot be reached, or refuses.
        RequestError: the name is no reference.
    """
    from imagist.cli.registries import open_registries
    from imagist.registry.source import load_image

    reference = read_reference(name)
    return load_image(open_registries(values), reference, store=open_store(values), keep=keep)


def read_reference(name: str) -> Reference:
    """The reference that a word of the command line means, with or without `docker://`.

    Raises:
        RequestError: it is none.
    """
    return parse_reference(name.removeprefix(REMOTE))


def read_platform_names(values: argparse.Namespace) -> list[str]:
    """What --platform names, with the host's in place of `host`; none where all are meant."""
    names = [str(host_platform()) if name == "host" else name for name in values.platform]
    return [] if "all" in names else names


def restrict_platforms(thing: Image | Index, values: argparse.Namespace) -> Image | Index:
    """What --platform leaves of an image."""
    names = read_platform_names(values)
    if not names:
        return thing
    from imagist.inspection.choose import restrict

    return restrict(thing, names)


def count_jobs(values: argparse.Namespace) -> int:
    """Threads that read layers."""
    return int(values.jobs or os.cpu_count() or 1)


def find_path(name: str) -> Path | None:
    """The layout folder or archive that a name of an image means; None for one elsewhere."""
    kind, _, rest = name.partition(":")
    path = _split_path(rest)[0] if kind in _PATHS else name if _exists(name) else ""
    return Path(path) if path else None


def _split_path(text: str) -> tuple[str, str]:
    """A path that is there and what stands behind it and a colon; two empty texts without one."""
    ends = [match.start() for match in re.finditer(":", text)]
    return next(
        ((text[:end], text[end + 1 :]) for end in [len(text), *ends] if _exists(text[:end])),
        ("", ""),
    )


def _open_named(kind: str, rest: str, name: str) -> Image | Index:
    """A path of a kind that is told, with an image's name behind it where it holds several."""
    path, chosen = _split_path(rest)
    if not path:
        raise NotFound(f"there is no image {name}")
    if Path(path).is_dir() != (kind == "oci"):
        what = "a folder" if Path(path).is_dir() else "no folder"
        raise RequestError(f"{path} is {what}", help=f"name it without `{kind}:`")
    if kind != "docker-archive":
        return _open_path(Path(path), chosen)
    from imagist.store.docker import read_docker
    from imagist.store.tarsource import TarSource

    return read_docker(TarSource(Path(path)), chosen)


def _open_path(path: Path, chosen: str = "") -> Image | Index:
    try:
        if path.is_dir():
            from imagist.store.layout import read_layout

            return read_layout(path, chosen)
        from imagist.store.archive import read_archive

        return read_archive(path, chosen)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _exists(path: str) -> bool:
    try:
        return bool(path) and Path(path).exists()
    except (OSError, ValueError):  # too long for a path, or with a NUL
        return False


# Showing


def one_line(text: str) -> str:
    """Text from an image that can neither steer a terminal nor begin a line of its own."""
    from imagist.text.diagnostics import printable

    return printable(text.replace("\n", "\0"))


def flow(text: str) -> str:
    """The same for text whose spaces mean nothing, such as what a layer was created by."""
    return one_line(" ".join(text.split()))


def short_digest(digest: str, *, full: bool = False) -> str:
    """A digest as a person tells it from others."""
    algorithm, _, encoded = digest.partition(":")
    return digest if full else f"{algorithm}:{encoded[:_SHORT]}"


def short_media_type(media_type: str, *, full: bool = False) -> str:
    """A layer's media type without what all of them begin with."""
    if media_type == mediatype.DOCKER_LAYER and not full:
        return "docker tar+gzip"
    for prefix, short in _PREFIXES.items():
        if media_type.startswith(prefix) and not full:
            return one_line(short + media_type.removeprefix(prefix))
    return one_line(media_type)


def show_file(file: FileReport) -> list[str]:
    """The columns of a path: mode, owner, size, layer, package, path."""
    from stat import filemode

    size = ",".join(map(str, file.device)) if file.device else str(file.size)
    mode = filemode(_TYPES[file.kind] | int(file.mode, 8))
    package = one_line(file.package) or "-"
    layer = str(file.layer or "-")
    return [mode, f"{file.uid}:{file.gid}", size, layer, package, show_path(file)]


def show_path(file: FileReport) -> str:
    """A path from the root, with what it leads to."""
    arrow = {"symlink": " -> ", "hardlink": " link to /"}.get(file.kind, "")
    return one_line(f"/{file.path}{arrow}{file.link}")


def align(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Rows as lines with their columns below each other; those in `right` end alike."""
    from imagist.text.diagnostics import columns

    widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            " " * (width - columns(cell)) + cell
            if number in right
            else cell + " " * (width - columns(cell))
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip() + "\n")
    return "".join(lines)
