"""Remembered results of steps: a SQLite table from (step, key) to bytes and the blobs they need.

The memo is never the only place of anything: what it has lost is computed again. So no failure of
it ends a build, and a damaged file is set aside and begun anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec

from imagist.store.blobs import TOUCH_AFTER

_VERSION: Final = 1
_BUSY: Final = 10.0
"""Seconds to wait for another process that is writing."""
_SCHEMA: Final = """
DROP TABLE IF EXISTS memo;
CREATE TABLE memo (
    step TEXT NOT NULL, key TEXT NOT NULL, used INTEGER NOT NULL, blobs TEXT NOT NULL,
    value BLOB NOT NULL, PRIMARY KEY (step, key)
);
"""
T = TypeVar("T")


class Remembered(NamedTuple):
    """One row without its value, for `prune`."""

    step: str
    key: str
    used: int
    """Seconds since 1970 of the last use, to the day."""
    blobs: tuple[str, ...]


class Memo:
    """What steps gave, by step name and key; safe for many threads and processes."""

    def __init__(self, file: Path, has_blob: Callable[[str], bool]) -> None:
        """Nothing is opened before it is needed."""
        self._file = file
        self._has_blob = has_blob
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def get(self, step: str, key: str) -> bytes | None:
        """What `put` was given, or None; also None where a blob it needs is gone."""
        row = self._run(
            lambda memo: memo.execute(
                "SELECT value, blobs, used FROM memo WHERE step = ? AND key = ?", (step, key)
            ).fetchone()
        )
        if row is None:
            return None
        value, blobs, used = row
        if not all(map(self._has_blob, blobs.split())):
            return None
        now = int(time.time())
        if now - used > TOUCH_AFTER:
            self._run(
                lambda memo: memo.execute(
                    "UPDATE memo SET used = ? WHERE step = ? AND key = ?", (now, step, key)
                )
            )
        return bytes(value)

    def put(self, step: str, key: str, value: bytes, blobs: Iterable[str] = ()) -> None:
        """Remember a value, and the digests of the blobs without which it is of no use."""
        row = (step, key, int(time.time()), " ".join(blobs), value)
        self._run(lambda memo: memo.execute("REPLACE INTO memo VALUES (?, ?, ?, ?, ?)", row))

    def delete(self, step: str, key: str) -> None:
        """Forget a value; an absent one is no error."""
        self._run(
            lambda memo: memo.execute("DELETE FROM memo WHERE step = ? AND key = ?", (step, key))
        )

    def rows(self) -> list[Remembered]:
        """Everything that is remembered, least recently used first."""
        rows = self._run(
            lambda memo: memo.execute(
                "SELECT step, key, used, blobs FROM memo ORDER BY used, step, key"
            ).fetchall()
        )
        return [
            Remembered(step, key, used, tuple(blobs.split()))
            for step, key, used, blobs in rows or ()
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

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _run(self, action: Callable[[sqlite3.Connection], T]) -> T | None:
        """Do something with the table; None where it cannot be done now.

        A damaged file is set aside, and the action tried once more on an empty one.
        """
        with self._lock:
            for _ in range(2):
                try:
                    if self._connection is None:
                        self._connection = _connect(self._file)
                    return action(self._connection)
                except sqlite3.OperationalError:
                    return None  # full disk, read-only folder, or a writer that takes too long
                except sqlite3.DatabaseError:
                    if self._connection is not None:
                        self._connection.close()
                        self._connection = None
                    _set_aside(self._file)
        return None


def memo_key(*parts: object) -> str:
    """The key of a step: SHA-256 (hex) over its inputs.

    Parts are str, bytes, int, bool, float, None, and tuples, lists, sets, dicts and structs of
    these. Different parts never give the same bytes (MessagePack tells types and lengths); a
    struct counts by its class name, its field names and its values other than the defaults.
    """
    return hashlib.sha256(_ENCODER.encode([_named(part) for part in parts])).hexdigest()


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
        memo.execute("PRAGMA journal_mode = WAL")
        memo.execute("PRAGMA synchronous = NORMAL")
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


def _set_aside(file: Path) -> None:
    """Keep one damaged file under another name, for whoever wants to know why."""
    with contextlib.suppress(OSError):
        os.replace(file, file.with_name(file.name + ".damaged"))  # noqa: PTH105
    for rest in ("-wal", "-shm", "-journal"):
        file.with_name(file.name + rest).unlink(missing_ok=True)
