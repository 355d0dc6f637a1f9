"""Layers read for looking: a layer is checked against all that is said of it, to its last byte."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, Final, cast

import msgspec

from imagist.digest import CHUNK
from imagist.errors import ImagistError, InputError, Untrusted
from imagist.inspection.databases import is_database
from imagist.oci import mediatype
from imagist.oci.image import Layer
from imagist.rootfs.entry import Entry
from imagist.rootfs.tarread import Limits, TarReader
from imagist.rootfs.uncompress import tell_form, uncompress

_KEPT: Final = 64 << 20
"""Bytes of package databases that are kept of all layers together; more would be read again."""
_MAX_ENTRIES: Final = 4_000_000
"""Entries of all layers together: each is held in memory."""
_LIMITS: Final = Limits()


class UnreadableLayer(InputError):
    """A layer of a form that is legal, but that imagist cannot read."""


class Listing(msgspec.Struct, frozen=True):
    """What is in a layer."""

    entries: tuple[Entry, ...]
    """In the archive's order, with the whiteouts."""
    databases: Mapping[int, bytes] = {}
    """Offset of the content of a package database's file -> the content, where it was kept."""
    hashes: Mapping[int, bytes] = {}
    """Offset of a file's content -> its SHA-256, where it was asked for."""


def list_layers(
    layers: Iterable[Layer], *, hashed: Collection[str] = (), jobs: int = 1
) -> dict[str, Listing]:
    """Read layers, each digest once; `hashed` are the digests of those whose files are hashed.

    Raises:
        UnreadableLayer: the only thing wrong is that a layer is of an unknown form.
        InputError: layers cannot be read, or are not what their image says; all of them are told.
    """
    unique = list({layer.digest: layer for layer in layers}.values())

    total = kept = 0

    def read(layer: Layer) -> Listing | ImagistError:
        nonlocal total, kept
        try:
            if total > _MAX_ENTRIES:
                raise Untrusted(f"the layers have more than {_MAX_ENTRIES} entries")
            listing = list_layer(layer, hashed=layer.digest in hashed, keep=_KEPT - kept)
        except ImagistError as error:
            return error
        total += len(listing.entries)
        kept += sum(map(len, listing.databases.values()))
        return listing

    with ThreadPoolExecutor(max(1, min(jobs, len(unique)))) as pool:
        results = list(pool.map(read, unique))
    errors = [result for result in results if isinstance(result, ImagistError)]
    if errors:
        worst = next((e for e in errors if not isinstance(e, UnreadableLayer)), errors[0])
        raise type(worst)([problem for error in errors for problem in error.problems])
    return {
        layer.digest: result
        for layer, result in zip(unique, results, strict=True)
        if isinstance(result, Listing)
    }


def list_layer(layer: Layer, *, hashed: bool = False, keep: int = _KEPT) -> Listing:
    """Read a layer from end to end; no content stays in memory but that of package databases.

    Args:
        layer: what to read.
        hashed: whether to hash every file.
        keep: bytes of package databases that may stay.

    Raises:
        UnreadableLayer: it is of a form that imagist cannot read.
        InputError: it cannot be read, or is not what the image says.
    """
    reader = TarReader(read_tar(layer), what=f"layer {layer.digest}", limits=_LIMITS)
    entries: list[Entry] = []
    databases: dict[int, bytes] = {}
    hashes: dict[int, bytes] = {}
    for entry in reader:
        entries.append(entry)
        if entry.kind != "file":
            continue
        content: Iterable[bytes | memoryview] = ()
        if entry.size <= keep and is_database(entry.path):
            keep -= entry.size
            text = databases[entry.offset] = b"".join(reader.content())
            content = (text,)
        elif hashed:
            content = reader.content()
        if hashed:
            hashes[entry.offset] = _hash(content)
    return Listing(tuple(entries), databases, hashes)


def hash_files(layer: Layer, files: Iterable[Entry]) -> dict[int, bytes]:
    """The SHA-256 of some files of a layer, by the offsets of their contents.

    Raises:
        InputError: the layer cannot be read, or is not what the image says.
    """
    return {entry.offset: _hash(content) for entry, content in read_files(layer, files)}


def read_files(
    layer: Layer, files: Iterable[Entry]
) -> Iterator[tuple[Entry, Iterable[bytes | memoryview]]]:
    """Files of a layer with their contents in pieces, in the archive's order.

    The pieces of one must be consumed before the next is asked for.

    Raises:
        InputError: the layer cannot be read, or is not what the image says.
    """
    waiting = sorted(files, key=lambda entry: entry.offset)
    while waiting:
        again: list[Entry] = []
        tar = _Cursor(read_tar(layer))
        for entry in waiting:
            if entry.offset < tar.position:  # one content at two paths: another pass
                again.append(entry)
                continue
            tar.skip(entry.offset - tar.position)
            yield entry, tar.take(entry.size)
        tar.finish()
        waiting = again


def read_tar(layer: Layer) -> Iterator[bytes]:
    """The uncompressed tar of a layer in pieces of at most 1 MiB; checked when its end is reached.

    Raises:
        UnreadableLayer: it is compressed in a way that imagist does not know, or no tar.
        Untrusted: it is damaged, or has not the size or the diff_id that the image says.
        InputError: it cannot be read.
    """
    what = f"layer {layer.digest}"
    with layer.compressed() as stream:
        source = _Source(stream, what)
        state = hashlib.sha256()
        for piece in _uncompressed(layer, source, what):
            state.update(piece)
            yield piece
    if source.size != layer.size:
        raise Untrusted(f"{what} has {source.size} bytes, but the image says {layer.size}")
    diff_id = f"sha256:{state.hexdigest()}"
    if layer.diff_id and layer.diff_id != diff_id:
        raise Untrusted(
            f"{what} holds {diff_id}, but the image says {layer.diff_id}",
            help="do not use the image: what runs is not what its configuration promises",
        )


def _uncompressed(layer: Layer, source: _Source, what: str) -> Iterator[bytes]:
    if layer.media_type == mediatype.LAYER_EROFS:
        raise UnreadableLayer(f"{what} is an EROFS file system, which cannot be read yet")
    form = tell_form(source.peek())
    return uncompress(cast("BinaryIO", source), form, what=what, limit=_LIMITS.total)


def _hash(content: Iterable[bytes | memoryview]) -> bytes:
    state = hashlib.sha256()
    for piece in content:
        state.update(piece)
    return state.digest()


class _Source:
    """The blob of a layer: counts what is read, and turns a medium's errors into ours."""

    def __init__(self, stream: BinaryIO, what: str) -> None:
        self.size = 0
        self._stream = stream
        self._what = what
        self._peeked = b""

    def peek(self) -> bytes:
        """The first bytes, to tell the form by; they are read again."""
        self._peeked = self._read(CHUNK)
        return self._peeked

    def read(self, size: int = CHUNK) -> bytes:
        """The next bytes; b"" at the end."""
        piece, self._peeked = self._peeked or self._read(size), b""
        self.size += len(piece)
        return piece

    def _read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except OSError as error:
            raise InputError(f"{self._what} cannot be read: {error.strerror}") from error


class _Cursor:
    """A place in a stream of pieces that only moves on."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.position = 0
        self._pieces = pieces
        self._ready = memoryview(b"")

    def skip(self, count: int) -> None:
        for _ in self.take(count):
            pass

    def take(self, count: int) -> Iterator[memoryview]:
        while count:
            if not self._ready:
                # The layer was listed before, so only a medium that changed ends too early.
                self._ready = memoryview(next(self._pieces, b""))
            piece, self._ready = self._ready[:count], self._ready[count:]
            if not piece:
                raise Untrusted("a layer changed while it was read")
            self.position += len(piece)
            count -= len(piece)
            yield piece

    def finish(self) -> None:
        for _ in self._pieces:
            pass
