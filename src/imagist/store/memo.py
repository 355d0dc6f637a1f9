"""Remembered results of steps: a SQLite table from (step, key) to bytes and the blobs they need.

The memo is never the only place of anything: what it has lost is computed again. So no failure of
it ends a build, and a damaged file is set aside and begun anew. Each row has a checksum, since
SQLite does not notice a value that changed on the disk, and a changed value could be an image.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Final, TypeVar, cast

import msgspec

from imagist.store.blobs import TOUCH_AFTER
from imagist.store.lock import Lock

_VERSION: Final = 2
_BUSY: Final = 10.0
"""Seconds to wait for another process that is writing."""
_PAGES: Final = 100
"""Of the journal, 4 KiB each, before it is written back: whoever comes next reads it whole."""
_SCHEMA: Final = """
DROP TABLE IF EXISTS memo;
CREATE TABLE memo (
    step TEXT NOT NULL, key TEXT NOT NULL, used INTEGER NOT NULL, blobs TEXT NOT NULL,
    value BLOB NOT NULL, checksum INTEGER NOT NULL, PRIMARY KEY (step, key)
);
"""
T = TypeVar("T")


class Remembered(msgspec.Struct, frozen=True):
    """One row without its value, for `prune`."""

    step: str
    key: str
    used: int
    """Seconds since 1970 of the last use, to the day."""
    blobs: tuple[str, ...]
    size: int
    """Bytes of the value."""


class Memo:
    """What steps gave, by step name and key; safe for many threads and processes."""

    def __init__(self, file: Path, has_blob: Callable[[str], bool]) -> None:
        """Nothing is opened before it is needed."""
        self._file = file
        self._has_blob = has_blob
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._users: Lock | None = None
        self._hopeless = False
        self._set_asides = 0

    def get(self, step: str, key: str) -> bytes | None:
        """What `put` was given, or None; also where it was damaged, or a blob it needs is gone."""
        row = self._run(
            lambda memo: memo.execute(
                "SELECT value, blobs, checksum, used FROM memo WHERE step = ? AND key = ?",
                (step, key),
            ).fetchone()
        )
        if row is None:
            return None
        value, blobs, checksum, used = row
        if not _is_whole(step, key, blobs, value, checksum):
            return None
        if not all(map(self._has_blob, blobs.split())):
            return None
        now = int(time.time())
        if not isinstance(used, int) or now - used > TOUCH_AFTER:
            self._run(
                lambda memo: memo.execute(
                    "UPDATE memo SET used = ? WHERE step = ? AND key = ?", (now, step, key)
                )
            )
        return cast("bytes", value)

    def put(self, step: str, key: str, value: bytes, blobs: Iterable[str] = ()) -> None:
        """Remember a value, and the digests of the blobs without which it is of no use."""
        names = " ".join(blobs)
        row = (step, key, int(time.time()), names, value, _checksum(step, key, names, value))
        self._run(lambda memo: memo.execute("REPLACE INTO memo VALUES (?, ?, ?, ?, ?, ?)", row))

    def delete(self, step: str, key: str) -> None:
        """Forget a value; an absent one is no error."""
        self._run(
            lambda memo: memo.execute("DELETE FROM memo WHERE step = ? AND key = ?", (step, key))
        )

    def rows(self) -> list[Remembered]:
        """Everything that is remembered, least recently used first."""
        rows = self._run(
            lambda memo: memo.execute(
                "SELECT step, key, CAST(used AS INTEGER), CAST(blobs AS TEXT), length(value)"
                " FROM memo ORDER BY used, step, key"
            ).fetchall()
        )
        return [
            Remembered(step, key, used, tuple(blobs.split()), size)
            for step, key, used, blobs, size in rows or ()
        ]

    def delete_all(self, rows: Iterable[Remembered]) -> None:
        """Forget many values at once and give their space back."""
        keys = [(row.step, row.key) for row in rows]
        if not keys:
            return
        self._run(
            lambda memo: (
                memo.execute("BEGIN"),
                memo.executemany("DELETE FROM memo WHERE step = ? AND key = ?", keys),
                memo.execute("COMMIT"),
                memo.execute("VACUUM"),
            )
        )

    def remove_damaged(self) -> int:
        """Read everything and forget what changed on the disk; return how many results that was.

        A file that is no whole database counts as one.
        """
        before = self._set_asides
        damaged = self._run(_find_damaged) or []
        self._run(lambda memo: memo.executemany("DELETE FROM memo WHERE rowid = ?", damaged))
        return len(damaged) + self._set_asides - before

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            self._close()

    def _run(self, action: Callable[[sqlite3.Connection], T]) -> T | None:
        """Do something with the table; None where it cannot be done now.

        A damaged file is set aside, and the action tried once more on an empty one.
        """
        with self._lock:
            for _ in range(2):
                if self._hopeless:
                    break
                try:
                    return action(self._open())
                except (sqlite3.OperationalError, OSError):
                    # A full disk, a read-only folder, or a writer that takes too long.
                    self._roll_back()
                    return None
                except sqlite3.DatabaseError:
                    self._set_aside()
        return None

    def _open(self) -> sqlite3.Connection:
        if self._users is None:
            self._users = Lock(self._file.with_name("memo.lock"))
        if self._connection is None:
            self._connection = _connect(self._file)
        return self._connection

    def _roll_back(self) -> None:
        """Leave no transaction half-way: later actions would be part of it and never be kept."""
        if self._connection is not None and self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._users is not None:
            self._users.close()
            self._users = None

    def _set_aside(self) -> None:
        """Keep one damaged file under another name, for whoever wants to know why.

        Not while other processes have it open: SQLite finds the files that belong to a database
        by name, and theirs would be mistaken for those of the new one. Until they have finished,
        nothing is remembered.
        """
        self._set_asides += 1
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._users is None or not self._users.try_alone():
            self._hopeless = True
            return
        with contextlib.suppress(OSError):
            os.replace(self._file, self._file.with_name(self._file.name + ".damaged"))  # noqa: PTH105
        for rest in ("-wal", "-shm", "-journal"):
            self._file.with_name(self._file.name + rest).unlink(missing_ok=True)
        self._users.share()


def memo_key(*parts: object) -> str:
    """The key of a step: SHA-256 (hex) over its inputs.

    Parts are str, bytes, int, bool, float, None, and tuples, lists, sets, dicts and structs of
    these. Different parts never give the same bytes (MessagePack tells types and lengths); a
    struct counts by its class name, its field names and its values other than the defaults.
    """
    named = [_named(part) for part in parts]
    try:
        encoded = _ENCODER.encode(named)
    except UnicodeEncodeError:  # file names that are not UTF-8, which MessagePack cannot carry
        encoded = ascii(named).encode()
    return hashlib.sha256(encoded).hexdigest()


def _named(part: object) -> object:
    return (type(part).__name__, part) if isinstance(part, msgspec.Struct) else part


def _plain(value: object) -> object:
    if isinstance(value, str):
        return str(value)  # msgspec takes no subclasses of str, such as Digest
    raise TypeError(f"a {type(value).__name__} cannot be part of a memo key")


_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=_plain, order="deterministic")


def _connect(file: Path) -> sqlite3.Connection:
    memo = sqlite3.connect(file, timeout=_BUSY, isolation_level=None, check_same_thread=False)
    try:
        # Where write-ahead logging is not possible (network file systems), SQLite keeps to a
        # rollback journal by itself. NORMAL never damages the file, at most forgets the last rows.
        memo.text_factory = partial(str, encoding="utf-8", errors="replace")  # damaged rows, too
        memo.execute("PRAGMA journal_mode = WAL")
        memo.execute("PRAGMA synchronous = NORMAL")
        memo.execute(f"PRAGMA wal_autocheckpoint = {_PAGES}")
        if memo.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            _make_tables(memo)
    except BaseException:
        memo.close()
        raise
    return memo


def _make_tables(memo: sqlite3.Connection) -> None:
    memo.execute("BEGIN IMMEDIATE")
    # Another process may have made them while this one waited.
    if memo.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
        for statement in _SCHEMA.split(";"):
            memo.execute(statement)
        memo.execute(f"PRAGMA user_version = {_VERSION}")
    memo.execute("COMMIT")


def _find_damaged(memo: sqlite3.Connection) -> list[tuple[int]]:
    """The `rowid` of each row that changed.

    Raises:
        DatabaseError: the file itself is damaged.
    """
    if memo.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
        raise sqlite3.DatabaseError("damaged")
    rows = memo.execute("SELECT rowid, step, key, blobs, value, checksum FROM memo")
    return [(number,) for number, *row in rows if not _is_whole(*row)]


def _is_whole(step: str, key: str, blobs: object, value: object, checksum: object) -> bool:
    """Whether a row is what was written; a damaged one may have values of any type."""
    if not (isinstance(blobs, str) and isinstance(value, bytes)):
        return False
    return checksum == _checksum(step, key, blobs, value)


def _checksum(step: str, key: str, blobs: str, value: bytes) -> int:
    """CRC-32 of a row: against accidents, not against malice."""
    return zlib.crc32(value, zlib.crc32(f"{step}\n{key}\n{blobs}\n".encode()))
