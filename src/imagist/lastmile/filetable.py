"""Digests of local files that need not be read again: a table as git's index is one.

A file whose size, times and inode are as they were is taken to be as it was. Times may lie, in one
case: a file that is changed right after it was read can have the same time as before. So what
changed shortly before it was read is never kept (git's racy entries), and is read once more.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

import msgspec

from imagist.digest import CHUNK, Digest, sha256_stream
from imagist.editing.additions import Item, read_item
from imagist.store.memo import memo_key
from imagist.store.store import Store

STEP: Final = "file-table"
FORMAT: Final = 1
_RACE: Final = 50_000_000
"""Nanoseconds before the reading in which a change may have been missed."""
_COARSE_RACE: Final = 2_100_000_000
"""The same, where a file system counts whole seconds, or two."""

State = tuple[int, ...]
_Rows = dict[str, tuple[State, bytes]]
_DECODER: Final = msgspec.msgpack.Decoder(dict[str, tuple[tuple[int, ...], bytes]])


class FileTable:
    """The digests of files below one folder, as they were when they were last read."""

    def __init__(self, store: Store, folder: str | os.PathLike[str]) -> None:
        """Recall the table of a folder; nothing of it is believed without a look at the file."""
        self._store = store
        self._key = memo_key(FORMAT, str(Path(folder).resolve()))
        self._rows: _Rows = {}
        self._new: _Rows = {}
        self._seen: set[str] = set()
        self.read: list[str] = []
        """Files that had to be read."""
        value = store.memo.get(STEP, self._key)
        if value is not None:
            try:
                self._rows = _DECODER.decode(value)
            except msgspec.DecodeError:
                self._rows = {}

    def digest(self, item: Item) -> Digest:
        """SHA-256 of a file's content.

        Raises:
            InputError: it cannot be read, or changed since it was found.
        """
        self._seen.add(item.source)
        row = self._rows.get(item.source)
        if row is not None and row[0] == item.state:
            return Digest.of_sha256(row[1])
        now = time.time_ns()
        digest, _ = sha256_stream(_Pieces(item))  # type: ignore[arg-type]
        self.read.append(item.source)
        if is_settled(item.state, now):
            self._new[item.source] = (item.state, bytes.fromhex(digest.hex))
        return digest

    def keep(self) -> None:
        """Remember what was read, and forget files that are gone."""
        gone = self._rows.keys() - self._seen
        if not self._new and not gone:
            return
        rows = {path: row for path, row in self._rows.items() if path in self._seen} | self._new
        try:
            value = msgspec.msgpack.encode(rows)
        except UnicodeEncodeError:  # names that are not UTF-8: those are read every time
            return
        self._store.memo.put(STEP, self._key, value)


def is_settled(state: State, now: int) -> bool:
    """Whether a file changed so long before a time (nanoseconds) that its times tell changes."""
    _, _, _, changed, status_changed = state
    latest = max(changed, status_changed)
    is_coarse = changed % 1_000_000_000 == 0 and status_changed % 1_000_000_000 == 0
    return latest + (_COARSE_RACE if is_coarse else _RACE) < now


class _Pieces:
    """A file's content as a stream, which fails if the file changes."""

    def __init__(self, item: Item) -> None:
        self._pieces = read_item(item, CHUNK)

    def read(self, _size: int) -> bytes:
        return next(self._pieces, b"")
