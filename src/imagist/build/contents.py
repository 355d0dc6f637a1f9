"""Reading and copying file contents out of the packages in the store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, groupby
from typing import IO, Final, cast

from isal import igzip, isal_zlib

from imagist.digest import CHUNK
from imagist.errors import InputError, Untrusted
from imagist.rootfs.entry import Entry
from imagist.rootfs.tree import Node
from imagist.rootfs.uncompress import tell_form
from imagist.store.store import Store

_ERRORS: Final = cast(
    "tuple[type[Exception], ...]",
    (isal_zlib.error, OSError, EOFError),  # isal's stubs call the first an instance
)


MAX_READ: Final = 64 << 20
"""Bytes of the largest file that is read whole: account files, bundles, lists, busybox."""


Bring = Callable[[Iterable[str]], object]
"""Sees to it that blobs are in the store, given their digests."""


class StoreContents:
    """`rootfs.content.Contents` over the data segments that are in a store."""

    def __init__(self, store: Store, bring: Bring = lambda _: None) -> None:
        """`bring` is asked for blobs before they are opened."""
        self._store = store
        self._bring = bring

    def read(self, nodes: Iterable[Node]) -> dict[str, bytes]:
        """The contents of some small files by path; each package is inflated at most once.

        Raises:
            InputError: a file is far too large to be what is read whole.
        """
        nodes = list(nodes)
        for node in nodes:
            if node.entry.size > MAX_READ:
                owner = node.owner or "the image"
                raise InputError(
                    f"/{node.entry.path} of {owner} has {node.entry.size} bytes, "
                    f"where files of its kind have {MAX_READ} at most"
                )
        return {entry.path: b"".join(chunks) for entry, chunks in self.stream(nodes)}

    def stream(self, nodes: Iterable[Node]) -> Iterator[tuple[Entry, Iterable[bytes]]]:
        """Every node with its content in chunks, in reading order.

        The chunks of one node must be consumed before the next is asked for.
        """
        ordered = in_reading_order(nodes)
        self._bring(dict.fromkeys(blob for node in ordered if (blob := _source(node))))
        for blob, run in groupby(ordered, key=_source):
            if blob:
                yield from self._stream_blob(blob, run)
            else:
                for node in run:
                    yield node.entry, (node.entry.data,) if node.entry.data else ()

    def _stream_blob(
        self, blob: str, nodes: Iterable[Node]
    ) -> Iterator[tuple[Entry, Iterable[bytes]]]:
        with open_layer(self._store, blob) as tar:
            position = 0
            for node in nodes:
                entry = node.entry
                if entry.offset < position:  # a second node with the same content
                    tar.seek(entry.offset)
                elif entry.offset > position:
                    _skip(tar, entry.offset - position, blob)
                yield entry, _chunks(tar, entry, blob)
                position = entry.offset + entry.size


def in_reading_order(nodes: Iterable[Node]) -> list[Node]:
    """Nodes ordered for one pass over each package.

    What comes from no package comes first, in the order given; then the packages in the order
    they first appear, the files of each by their place in its tar.
    """
    by_blob: dict[str, list[Node]] = {"": []}
    for node in nodes:
        by_blob.setdefault(_source(node), []).append(node)
    plain = by_blob.pop("")
    files = (sorted(each, key=lambda node: node.entry.offset) for each in by_blob.values())
    return [*plain, *chain.from_iterable(files)]


def _source(node: Node) -> str:
    return node.blob if node.entry.kind == "file" else ""


def open_layer(store: Store, digest: str) -> IO[bytes]:
    """Open the uncompressed tar of a layer in the store; the caller closes it."""
    path = store.path(digest)
    with path.open("rb") as file:
        form = tell_form(file.read(4))
    if form == "gzip":
        return cast("IO[bytes]", igzip.IGzipFile(path, "rb"))  # type: ignore[no-untyped-call]
    if form == "zstd":
        from imagist import zstd  # noqa: PLC0415 - seldom met

        return zstd.open_file(path)
    return path.open("rb")


def _skip(tar: IO[bytes], count: int, blob: str) -> None:
    while count > 0:
        count -= len(_read(tar, min(count, CHUNK), blob))


def _chunks(tar: IO[bytes], entry: Entry, blob: str) -> Iterator[bytes]:
    """The content of a file. What the package recorded of it is checked once more.

    Gzip's own checksum stands at the end of a blob, which is seldom reached; and what changed on
    the disk would get a digest of its own in a new layer, so that nobody could notice any more.
    """
    left = entry.size
    state = hashlib.sha1()
    while left > 0:
        chunk = _read(tar, min(left, CHUNK), blob)
        left -= len(chunk)
        if entry.sha1:
            state.update(chunk)
        yield chunk
    if entry.sha1 and state.digest() != entry.sha1:
        raise _damaged(blob, f"/{entry.path} changed")


def _read(tar: IO[bytes], count: int, blob: str) -> bytes:
    """Some bytes of a layer, at least one."""
    try:
        chunk = tar.read(count)
        reason = "it ends too early"
    except _ERRORS as error:
        chunk, reason = b"", str(error)
    if not chunk:
        raise _damaged(blob, reason)
    return chunk


def _damaged(blob: str, reason: str) -> Untrusted:
    return Untrusted(
        f"the blob {blob} in the store is damaged: {reason}",
        help="remove what is damaged with `imagist cache verify`, then build again",
    )
