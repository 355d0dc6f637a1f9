"""Reading and copying file contents out of the packages in the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO

from isal import igzip

from imagist.digest import CHUNK
from imagist.errors import InputError
from imagist.rootfs.entry import Entry
from imagist.rootfs.tree import Node
from imagist.store.store import Store


class StoreContents:
    """`rootfs.content.Contents` over the data segments that are in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self, nodes: Iterable[Node]) -> dict[str, bytes]:
        """The contents of some small files by path; each package is inflated at most once."""
        return {entry.path: b"".join(chunks) for entry, chunks in self.stream(nodes)}

    def stream(self, nodes: Iterable[Node]) -> Iterator[tuple[Entry, Iterable[bytes]]]:
        """Every node with its content in chunks, ordered for one pass over each package.

        What comes from no package comes first, in the order given; then the packages in the
        order they first appear, the files of each by their place in its tar. The chunks of one
        node must be consumed before the next is asked for.
        """
        by_blob: dict[str, list[Entry]] = {}
        for node in nodes:
            if node.blob and node.entry.kind == "file":
                by_blob.setdefault(node.blob, []).append(node.entry)
            else:
                yield node.entry, (node.entry.data,) if node.entry.data else ()
        for blob, entries in by_blob.items():
            yield from self._stream_blob(blob, entries)

    def _stream_blob(
        self, blob: str, entries: list[Entry]
    ) -> Iterator[tuple[Entry, Iterable[bytes]]]:
        entries.sort(key=lambda entry: entry.offset)
        with igzip.open(self._store.path(blob), "rb") as tar:
            position = 0
            for entry in entries:
                if entry.offset < position:  # a second node with the same content
                    tar.seek(entry.offset)
                elif entry.offset > position:
                    _skip(tar, entry.offset - position)
                yield entry, _chunks(tar, entry)
                position = entry.offset + entry.size


def _skip(tar: IO[bytes], count: int) -> None:
    while count > 0 and (chunk := tar.read(min(count, CHUNK))):
        count -= len(chunk)


def _chunks(tar: IO[bytes], entry: Entry) -> Iterator[bytes]:
    left = entry.size
    while left > 0:
        chunk = tar.read(min(left, CHUNK))
        if not chunk:
            raise InputError(f"/{entry.path}: its package in the store ends too early")
        left -= len(chunk)
        yield chunk
