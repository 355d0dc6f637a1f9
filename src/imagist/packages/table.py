"""An index as a table in one file: opened at once, read where it is looked at.

A format says how a record is read (`RecordTable`), and which names one has (`tablemaker`).

A solver touches a few hundred of the quarter of a million records of a large repository. So an
index is kept as its own text, with a directory of names behind it: opening it reads the directory,
a twentieth of the whole, finding a name is a binary search, and a record is read and becomes a
package when it is asked for. Nothing is mapped: the pages around each record would count as
memory, nearly all of them in the end, and a failing disk would be a signal instead of an error.

Layout: the text, with two line feeds before it; the sections; the length in bytes of the text and
of each section; a checksum of the sections and lengths; magic. The text and each section are
padded to four bytes. Numbers are unsigned, of 32 bits, in the byte order of the machine that wrote
them, which the magic names.

    0    where each record starts in the text, its blank line included
    1-4  directory of the names offered: package names and provides
    5-8  directory of the names that a record waits for, in formats that have such a thing
    9    numbers of the records that wait
    10   a checksum of each block of the text

A directory is four sections: the sorted names one after another; where each name starts, and
where the last one ends; where the postings of each name start, and where the last ones end; the
postings, which are numbers of records.

Checksums are CRC-32: against accidents, not against malice, since SHA-256 over a whole table would
cost more than all that is read of it.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Final, Generic, Self, TypeVar

import msgspec
from isal import isal_zlib

from imagist.errors import InputError

SECTIONS: Final = 11
BLOCK: Final = 1 << 12
"""Bytes of the text under one checksum."""
MAGIC_SIZE: Final = 20
_TRAILER: Final = 4 * (1 + SECTIONS) + 4 + MAGIC_SIZE
_Read = Callable[[int, int], bytes]
Record = TypeVar("Record")


def format_name(kind: str) -> str:
    """What a kind of table is called in memo keys and in its magic: a version, the byte order."""
    return f"{kind} {sys.byteorder}"


def magic_of(format_: str) -> bytes:
    """The last bytes of a table."""
    return f"{format_:{MAGIC_SIZE - 1}}\n".encode()


class _Directory(msgspec.Struct, frozen=True):
    """Sorted names, each with the numbers of some records."""

    names: memoryview
    name_starts: memoryview
    posting_starts: memoryview
    postings: memoryview

    def __len__(self) -> int:
        return len(self.name_starts) - 1

    def name(self, place: int) -> bytes:
        return bytes(self.names[self.name_starts[place] : self.name_starts[place + 1]])

    def find(self, name: bytes) -> Sequence[int]:
        """The records of a name, lowest first; none for an unknown name."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self.name(middle) < name:
                low = middle + 1
            else:
                high = middle
        if low == len(self) or self.name(low) != name:
            return ()
        return self.postings[self.posting_starts[low] : self.posting_starts[low + 1]]


class RecordTable(Generic[Record]):
    """The packages of one index, found by name and read when asked for.

    The same record is always the same object. Safe to share between threads. Whatever finds
    packages raises `InputError` where a record is malformed, or was damaged on the disk.
    """

    FORMAT: ClassVar[str]
    """Names the layout (`format_name`), and so belongs into the memo key of a stored table."""

    def __init__(self, size: int, read: _Read) -> None:
        """Use `open` or `open_file`; `read` gives so many of the `size` bytes from a place on."""
        self._text_size, sections = _read_sections(size, read, magic_of(self.FORMAT))
        self._starts = sections[0].cast("I")
        self._offered = _open_directory(sections[1:5])
        self._awaited = _open_directory(sections[5:9])
        self._waiting = sections[9].cast("I")
        self._checksums = sections[10].cast("I")
        self._read = read
        self._records: dict[int, Record] = {}

    @classmethod
    def open(cls, data: bytes) -> Self:
        """Use a table in memory.

        Raises:
            InputError: these bytes are no table, one of another version, or damaged.
        """
        return cls(len(data), lambda size, start: data[start : start + size])

    @classmethod
    def open_file(cls, path: Path) -> Self:
        """Use a table in a file, which is open as long as the table lives.

        Raises:
            InputError: the file cannot be read, is no table, one of another version, or damaged.
        """
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _tell_of_damage(error.strerror or str(error)) from error

        def read(size: int, start: int) -> bytes:
            try:
                return os.pread(file, size, start)
            except OSError as error:
                raise _tell_of_damage(error.strerror or str(error)) from error

        try:
            table = cls(os.fstat(file).st_size, read)
        except BaseException:
            os.close(file)
            raise
        weakref.finalize(table, os.close, file)
        return table

    def parse(self, record: bytes) -> Record:
        """Read one record.

        Raises:
            InputError: it is malformed.
        """
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, number: int) -> Record:
        """One record, by its place in the index."""
        found = self._records.get(number)
        if found is None:
            # setdefault: when two threads read the same record, both get the same object.
            found = self._records.setdefault(number, self.parse(self._text(number)))
        return found

    def providers(self, name: str) -> list[Record]:
        """The packages that have this name or provide it, in the order of the index."""
        return [self[number] for number in self._offered.find(name.encode())]

    def names(self) -> list[str]:
        """All names that `providers` finds something for, sorted by their UTF-8."""
        offered = self._offered
        return [offered.name(place).decode("utf-8", "replace") for place in range(len(offered))]

    def waiting(self) -> list[Record]:
        """All packages that wait for others."""
        return [self[number] for number in self._waiting]

    def waiting_for(self, name: str) -> list[Record]:
        """Those that wait for this name, among others."""
        return [self[number] for number in self._awaited.find(name.encode())]

    def _text(self, number: int) -> bytes:
        """The lines of a record, out of blocks whose checksums are right."""
        start = self._starts[number]
        end = self._starts[number + 1] if number + 1 < len(self._starts) else self._text_size
        first = start // BLOCK
        origin = first * BLOCK
        blocks = self._read(min(-(-end // BLOCK) * BLOCK, self._text_size) - origin, origin)
        for place in range(0, end - origin, BLOCK):
            if isal_zlib.crc32(blocks[place : place + BLOCK]) != self._checksums[first]:
                raise _tell_of_damage("it changed on the disk")
            first += 1
        return blocks[start - origin : end - origin]


def _read_sections(size: int, read: _Read, magic: bytes) -> tuple[int, list[memoryview]]:
    """The size of the text, and the sections of a table of this size."""
    trailer = read(_TRAILER, max(0, size - _TRAILER))
    if len(trailer) < _TRAILER or not trailer.endswith(magic):
        raise InputError("this is no index table that this version of imagist can read")
    text_size, *lengths, checksum = memoryview(trailer)[:-MAGIC_SIZE].cast("I")
    start = text_size + -text_size % 4
    if start + sum(length + -length % 4 for length in lengths) + _TRAILER != size:
        raise InputError("an index table is incomplete")
    directory = memoryview(read(size - start - MAGIC_SIZE - 4, start))
    if isal_zlib.crc32(directory) != checksum:
        raise InputError("an index table was damaged")
    sections = []
    start = 0
    for length in lengths:
        sections.append(directory[start : start + length])
        start += length + -length % 4
    return text_size, sections


def _open_directory(sections: Sequence[memoryview]) -> _Directory:
    names, name_starts, posting_starts, postings = sections
    return _Directory(names, name_starts.cast("I"), posting_starts.cast("I"), postings.cast("I"))


def _tell_of_damage(what: str) -> InputError:
    return InputError(
        f"what the store keeps of a package index cannot be used: {what}",
        help="remove what is damaged with `imagist cache verify`, then try again",
    )
