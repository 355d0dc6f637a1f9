"""Making the table of an index in one pass, while its text arrives: `table` has the layout.

A format says, with a `DirectoryMaker`, where its records begin and which names they have.

The text of a large index has more than 100 MB. It is passed on as it comes; what stays in memory
is a piece of it and the directory of its names.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, chain, pairwise
from typing import ClassVar, Final

from isal import isal_zlib

from imagist.errors import InputError
from imagist.packages.table import BLOCK, magic_of

Write = Callable[[bytes | memoryview], object]
Postings = defaultdict[bytes, list[int]]

_LIMIT: Final = (1 << 32) - 1
_PIECE: Final = 1 << 20
_LONGEST: Final = 4 << 20
"""Bytes of a record; the longest of Debian have some hundred kilobytes."""
_MOST: Final = 4_000_000
"""Records, and names; Debian's main component has 70,000 and 100,000."""
_BLANK: Final = b"\n\n"


def write_table_with(
    directory: DirectoryMaker, format_: str, text: Iterable[bytes | memoryview], write: Write
) -> None:
    """Make the table of a text whose records have blank lines between them.

    Args:
        directory: finds the records and their names; a fresh one.
        format_: the table's `RecordTable.FORMAT`.
        text: in pieces of any size.
        write: takes the bytes of the table, one piece after the other.

    Raises:
        InputError: a record has no name. Other mistakes show when the record is read.
    """
    checksums = _Checksums()
    size = gathered = 0
    due = _PIECE
    waiting: list[bytes | memoryview] = []
    # A record begins with a blank line, the first one with these.
    for piece in chain([_BLANK], text):
        write(piece)
        checksums.add(piece)
        waiting.append(piece)
        gathered += len(piece)
        size += len(piece)
        if size > _LIMIT:
            raise InputError("an index of more than 4 GiB cannot be read", where=directory.where)
        if gathered >= due:
            joined = b"".join(waiting)
            end = joined.rfind(_BLANK)
            directory.add(joined, end)
            waiting = [joined[end:]]
            gathered -= end
            directory.check_length(gathered)
            due = max(_PIECE, 2 * gathered)  # a record without end is not joined again and again
    joined = b"".join(waiting)
    directory.add(joined, len(joined))
    write(bytes(-size % 4))
    sections = [*directory.sections(), checksums.finish()]
    _write_sections(size, sections, write, magic_of(format_))


class DirectoryMaker:
    """Gathers where records start, and which names they have or wait for."""

    HEADS: ClassVar[re.Pattern[bytes]]
    """A blank line, with a record's name as group 1 where that stands in its usual place."""
    NAME: ClassVar[re.Pattern[bytes]]
    """The line that names a record, wherever it stands; the name is group 1."""

    def __init__(self, what: str = "") -> None:
        """`what` names the index in errors."""
        self.where = what or None
        self.provided: Postings = defaultdict(list)
        self.awaited: Postings = defaultdict(list)
        self.waiting = array("I")
        self._starts = array("I")
        self._named: Postings = defaultdict(list)
        self._size = 0
        self._blanks = 0

    def find_names(self, text: bytes, end: int, record_at: Callable[[int], int]) -> None:
        """Note in `provided`, `awaited` and `waiting` what records say of names.

        Args:
            text: some records.
            end: where they end.
            record_at: the number of the record that holds a place of the text.
        """
        raise NotImplementedError

    def check_length(self, length: int) -> None:
        """Refuse a record that is longer than any."""
        if length > _LONGEST:
            raise InputError(f"an index record has more than {_LONGEST} bytes", where=self.where)

    def add(self, text: bytes, end: int) -> None:
        """Take the next records, each with the blank line before it, as far as `end`."""
        first = len(self._starts)
        starts, names = self._find_records(text, end)
        self._starts.extend([self._size + start for start in starts])
        named = self._named
        for number, name in enumerate(names, first):
            named[name].append(number)
        self.find_names(text, end, lambda place: first + bisect_right(starts, place) - 1)
        self._size += end
        self.check_length(
            max((stop - start for start, stop in pairwise([*starts, end])), default=0)
        )
        if max(self._blanks, len(named), len(self.provided), len(self.awaited)) > _MOST:
            raise InputError("an index has more records or names than any", where=self.where)

    def _find_records(self, text: bytes, end: int) -> tuple[list[int], list[bytes]]:
        """Where records start, and their names; reading a record refuses one that has two."""
        heads = list(self.HEADS.finditer(text, 0, end))
        self._blanks += len(heads)
        starts = [head.start() for head in heads]
        names = [head[1] for head in heads]
        if None not in names:
            return starts, names
        found = []
        for start, stop in pairwise([*starts, end]):
            record = text[start:stop]
            if name := self.NAME.search(record):
                found.append((start, name[1]))
            elif shown := record.strip(b"\n")[:60].decode("utf-8", "replace"):
                message = f"an index record names no package: `{shown.splitlines()[0]}`"
                raise InputError(message, where=self.where)
        return [start for start, _ in found], [name for _, name in found]

    def sections(self) -> Iterator[bytes | array[int]]:
        """All sections but the checksums."""
        yield self._starts
        yield from _pack(_merge(self._named, self.provided))
        yield from _pack(_merge(defaultdict(list), self.awaited))
        yield self.waiting


class _Checksums:
    """The checksums of the blocks of a text that comes in pieces."""

    def __init__(self) -> None:
        self._done = array("I")
        self._last = 0
        self._filled = 0

    def add(self, piece: bytes | memoryview) -> None:
        view = memoryview(piece)
        start = BLOCK - self._filled
        self._last = isal_zlib.crc32(view[:start], self._last)
        self._filled += len(view[:start])
        if self._filled < BLOCK:
            return
        self._done.append(self._last)
        whole = range(start, len(view) - BLOCK + 1, BLOCK)
        self._done.extend(isal_zlib.crc32(view[at : at + BLOCK]) for at in whole)
        rest = view[start + len(whole) * BLOCK :]
        self._last, self._filled = isal_zlib.crc32(rest), len(rest)

    def finish(self) -> array[int]:
        if self._filled:
            self._done.append(self._last)
        return self._done


def _merge(directory: Postings, other: Postings) -> Postings:
    """Add the records of another directory, lowest first and each once; takes both over."""
    for name, numbers in other.items():
        # Several words of a record may have one name, which may be the package's own.
        known = directory.get(name)
        every = numbers if known is None else known + numbers
        directory[name] = sorted(set(every)) if len(every) > 1 else every
    return directory


def _pack(directory: Postings) -> tuple[bytes, array[int], array[int], array[int]]:
    """The four sections of a directory."""
    names = sorted(directory)
    postings = [directory[name] for name in names]
    return (
        b"".join(names),
        array("I", accumulate(map(len, names), initial=0)),
        array("I", accumulate(map(len, postings), initial=0)),
        array("I", chain.from_iterable(postings)),
    )


def _write_sections(
    size: int, sections: Sequence[bytes | array[int]], write: Write, magic: bytes
) -> None:
    """Write all that comes after the text of this size."""
    views = [memoryview(section).cast("B") for section in sections]
    lengths = array("I", [size, *map(len, views)])
    checksum = 0
    for view in (*views, memoryview(lengths.tobytes())):
        for part in (view, memoryview(bytes(-len(view) % 4))):
            checksum = isal_zlib.crc32(part, checksum)
            write(part)
    write(array("I", [checksum]).tobytes())
    write(magic)
