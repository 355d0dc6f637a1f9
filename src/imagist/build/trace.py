"""What a build read of the world, so that the next can tell whether it would read the same.

A trace is a list of notes: this file had this digest, that address answered so. A build whose
command line and notes are the same gives the same answer, so nothing of it need be done: no
declaration is parsed, no index opened. This is all that a warm build does, so this module imports
little.
"""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from imagist.digest import sha256, sha256_stream
from imagist.store.store import Store

STEP: Final = "build"
FORMAT: Final = 5
"""Raise it whenever the same inputs give another image, or another answer."""

Kind = Literal["file", "source", "document", "tag", "day", "until"]
_REMOTE: Final = frozenset({"document", "tag"})


class Note(msgspec.Struct, frozen=True, array_like=True):
    """One thing that was read."""

    kind: Kind
    name: str
    digest: str
    """Of its bytes, or what else tells it apart; empty where it was not there."""
    limit: int = 0
    """Of a document: bytes it may have."""
    max_age: float | None = None
    """Of a document: seconds for which an answer of its server will do."""


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What a build found, and what it had read."""

    digest: str
    """Of the image or index."""
    notes: tuple[Note, ...]
    warnings: tuple[str, ...]


class Trace:
    """Takes notes while a build reads; safe for threads, since a dictionary is."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._notes: dict[tuple[Kind, str], Note] = {}
        self.warnings: list[str] = []

    def note(self, note: Note) -> None:
        """Something was read."""
        self._notes.setdefault((note.kind, note.name), note)

    def note_file(self, path: str, data: bytes | None = None) -> None:
        """A local file was read; with these bytes, where they are at hand."""
        digest = file_digest(path) if data is None else sha256(data)
        self.note(Note("file", path, digest))

    def note_absent(self, path: str) -> None:
        """A local file was looked for, and not there."""
        self.note(Note("file", path, ""))

    def notes(self) -> tuple[Note, ...]:
        """Everything that was read."""
        return tuple(self._notes.values())


def recall_answer(
    store: Store, key: str, find_documents: Callable[[Sequence[Note]], Sequence[str]]
) -> Answer | None:
    """What a build with this command line found, if everything it read is as it was.

    Args:
        store: where answers are remembered; one whose blobs are gone is none.
        key: of the command line, see `memo_key`.
        find_documents: gives the digests of documents of servers, and of what tags name; asked
            only where all else is as it was.
    """
    value = store.memo.get(STEP, key)
    if value is None:
        return None
    try:
        answer = msgspec.msgpack.decode(value, type=Answer)
    except msgspec.DecodeError:
        return None
    remote = [note for note in answer.notes if note.kind in _REMOTE]
    if all(map(_holds, answer.notes)) and (
        not remote or find_documents(remote) == [note.digest for note in remote]
    ):
        return answer
    return None


def remember_answer(
    store: Store, key: str, digest: str, blobs: Iterable[str], trace: Trace
) -> None:
    """Keep what a build found, and the blobs without which it is of no use."""
    answer = Answer(digest, trace.notes(), tuple(trace.warnings))
    try:
        value = msgspec.msgpack.encode(answer, enc_hook=str)
    except UnicodeEncodeError:  # a name that is not UTF-8: such a build is not remembered
        return
    store.memo.put(STEP, key, value, blobs)


def _holds(note: Note) -> bool:
    """Whether something local is as it was."""
    match note.kind:
        case "file":
            return file_digest(note.name) == note.digest
        case "source":
            from imagist.build.sources import source_digest  # noqa: PLC0415 - few have any

            return source_digest(note.name) == note.digest
        case "day":
            return today() == note.name
        case "until":
            return time.time() <= float(note.name)
        case "document" | "tag":
            return True  # servers are asked when all else is as it was


def today() -> str:
    """The day as an ISO date, UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime())


def file_digest(path: str) -> str:
    """SHA-256 of a regular file; empty where there is none that can be read."""
    try:
        # A pipe would be emptied by a look at it, or keep the look waiting for ever.
        if not stat.S_ISREG(Path(path).stat().st_mode):
            return ""
        with Path(path).open("rb", buffering=0) as file:
            return sha256_stream(file)[0]
    except OSError:
        return ""
