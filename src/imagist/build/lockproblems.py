"""What no lock can hold: damaged, made up, or at odds with itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from imagist.errors import Problem, RequestError
from imagist.net.url import is_remote, redact
from imagist.oci import mediatype
from imagist.oci.platform import parse_platform

if TYPE_CHECKING:
    from imagist.build.lockfile import Lock, LockedPackage

NO_ARCHITECTURE: Final = frozenset({"noarch", "all", ""})
"""What packages for every architecture may say; apko copies it from the index."""
_HELP: Final = "someone edited the lock, or it was merged: lock again"
_WORD: Final = re.compile(r"[^\s/\0-\x1f\x7f-\x9f]{1,256}")
_TEXT: Final = re.compile(r"[^\0-\x1f\x7f-\x9f]{1,4096}")
_IDENTITY: Final = re.compile(r"Q1[A-Za-z0-9+/]{27}=")
_SHA256: Final = re.compile(r"sha256-[A-Za-z0-9+/]{43}=")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_ARCHITECTURE: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_MAX_DOCUMENT: Final = 4 << 20


def find_problems(lock: Lock, name: str) -> Iterator[Problem]:
    """Everything wrong with a lock, each with the entry it is about.

    Args:
        lock: as it was decoded; its packages have checksums.
        name: the lock's file.
    """
    for place, what in (
        *_check_config(lock),
        *_check_packages(lock),
        *_check_keys(lock),
        *_check_images(lock),
    ):
        yield Problem(what, f"{name}: {place}", _HELP)


def _check_config(lock: Lock) -> Iterator[tuple[str, str]]:
    name = lock.config.name if lock.config else "absent"
    if not _TEXT.fullmatch(name) or name.endswith(".lock.json"):
        yield "config.name", f"{name!r} is no path of a declaration"


def _check_packages(lock: Lock) -> Iterator[tuple[str, str]]:
    seen: set[tuple[str, str, str]] = set()
    for number, package in enumerate(lock.contents.packages):
        place = f"contents.packages[{number}] ({package.name} {package.version})"
        for what in _check_package(package):
            yield place, what
        # Packages for every architecture stand there once for each, from different folders.
        folder = folder_of(package.url) if package.architecture in NO_ARCHITECTURE else ""
        name = f"{package.name}:{package.debian_architecture}"
        identity = (name, package.architecture, folder)
        if identity in seen:
            yield place, f"{package.name} for {package.architecture} is there twice"
        seen.add(identity)


def _check_package(package: LockedPackage) -> Iterator[str]:
    for field in ("name", "version"):
        if not _WORD.fullmatch(getattr(package, field)):
            yield f"{getattr(package, field)!r} cannot be the {field} of a package"
    if package.tag and not _WORD.fullmatch(package.tag):
        yield f"{package.tag!r} cannot be the tag of a repository"
    if package.architecture not in NO_ARCHITECTURE and not is_architecture(package.architecture):
        yield f"`{package.architecture}` is no architecture of APK repositories"
    if package.source:
        yield from _check_deb(package)
        return
    if not _TEXT.fullmatch(package.url) or ("://" in package.url and not is_remote(package.url)):
        yield f"`{redact(package.url)}` is neither an http or https URL nor a path"
    if not _IDENTITY.fullmatch(package.checksum):
        yield f"`{package.checksum}` is no checksum of a package"
    elif package.control.checksum not in {"", f"sha1-{package.checksum[2:]}"}:
        yield "its checksum is not that of its control segment"
    if package.data.checksum and not _SHA256.fullmatch(package.data.checksum):
        yield f"`{package.data.checksum}` is no SHA-256 of a data segment"
    else:
        yield from _check_layer(package)
    if not _are_adjacent(package):
        yield "the ranges of its segments do not follow one another"


def _check_deb(package: LockedPackage) -> Iterator[str]:
    """What is wrong with an entry for a .deb, whose place is a path below its archive."""
    parts = package.url.split("/")
    if not _TEXT.fullmatch(package.url) or "://" in package.url or {"", "..", "."} & {*parts}:
        yield f"`{redact(package.url)}` is no place in an archive"
    if not _TEXT.fullmatch(package.source):
        yield f"{package.source!r} is no name of a suite"
    if not _DIGEST.fullmatch(package.checksum):
        yield f"`{package.checksum}` is no SHA-256 of a .deb"
    elif package.datahash != package.checksum.removeprefix("sha256:"):
        yield "its checksum is not that of its data"
    if not _ARCHITECTURE.fullmatch(package.debian_architecture):
        yield f"`{package.debian_architecture}` is no architecture of Debian"
    if package.layer is None:
        return
    if package.layer.media_type != mediatype.LAYER_GZIP:
        yield f"its layer is of the type `{package.layer.media_type}`, which packages never are"
    for digest in (package.layer.digest, package.layer.diff_id):
        if not _DIGEST.fullmatch(digest):
            yield f"`{digest}` is no SHA-256 digest"


def folder_of(url: str) -> str:
    """The folder of a package's file; the query of a URL is left out."""
    return (url.partition("?")[0] if is_remote(url) else url).rpartition("/")[0]


def is_architecture(name: str) -> bool:
    """Whether APK repositories name an architecture so."""
    try:
        return parse_platform(name).apk == name
    except RequestError:
        return False


def _are_adjacent(package: LockedPackage) -> bool:
    """Whether the segments that have a range lie side by side from the file's first byte on."""
    segments = (package.signature, package.control, package.data)
    end = 0
    for segment in filter(lambda each: each.range, segments):
        span = segment.span
        if span is None or span[0] != end or span[1] <= end:
            return False
        end = span[1]
    return True


def _check_layer(package: LockedPackage) -> Iterator[str]:
    layer, span = package.layer, package.data.span
    if layer is None:
        return
    if layer.media_type != mediatype.LAYER_GZIP:
        yield f"its layer is of the type `{layer.media_type}`, which packages never are"
    if not _DIGEST.fullmatch(layer.diff_id):
        yield f"`{layer.diff_id}` is no SHA-256 digest"
    if layer.digest != f"sha256:{package.datahash}":
        yield "the digest of its layer is not the checksum of its data segment"
    if span is None or span[1] - span[0] != layer.size:
        yield "the size of its layer is not that of its data segment"


def _check_keys(lock: Lock) -> Iterator[tuple[str, str]]:
    seen: dict[str, str] = {}
    for number, key in enumerate(lock.contents.keyring):
        place = f"contents.keyring[{number}] ({key.name})"
        if seen.setdefault(key.file_name, key.content) != key.content:
            yield place, f"another key has the file name {key.file_name}"


def _check_images(lock: Lock) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for number, image in enumerate(lock.images):
        place = f"images[{number}] ({image.platform})"
        for what in _check_platform(image.platform, seen):
            yield place, what
        seen.add(image.platform)
        if image.media_type != mediatype.MANIFEST:
            yield place, f"`{image.media_type}` is not the type of an image's manifest"
        blobs = [*image.layers, *([image.config] if image.config else [])]
        for digest in (image.inputs, image.digest, *(blob.digest for blob in blobs)):
            if not _DIGEST.fullmatch(digest):
                yield place, f"`{digest}` is no SHA-256 digest"
        if image.size > _MAX_DOCUMENT:
            yield place, f"no manifest has {image.size} bytes"
    if lock.base is not None and not _DIGEST.fullmatch(lock.base.digest):
        yield "base", f"`{lock.base.digest}` is no SHA-256 digest"
    index = lock.index
    if index is None:
        return
    fits = index.media_type == mediatype.INDEX and 0 <= index.size <= _MAX_DOCUMENT
    if not fits or not _DIGEST.fullmatch(index.digest):
        yield "index", "this describes no image index"


def _check_platform(name: str, seen: set[str]) -> Iterator[str]:
    try:
        known = str(parse_platform(name)) == name
    except RequestError:
        known = False
    if not known:
        yield f"`{name}` is not a platform that imagist builds for"
    if name in seen:
        yield f"the image for {name} is there twice"
