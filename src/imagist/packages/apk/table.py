"""An index as a table in one piece of memory: opened at once, read where it is looked at.

A solver touches a few hundred of the quarter of a million records of a large repository. So an
index is kept as its own text behind a directory of names: opening it reads a dozen numbers,
finding a name is a binary search, and a record becomes a `Package` when it is asked for.

Layout: magic; the length in bytes of each section; the sections, each padded to four bytes.
Numbers are unsigned, of 32 bits, in the byte order of the machine that wrote them, which the magic
names.

    0    where each record starts in the text, and where the text ends
    1-4  directory of the names offered: package names and provides
    5-8  directory of the names that some install_if asks for
    9    numbers of the records that have install_if
    10   the text, with one line feed before it

A directory is four sections: the sorted names one after another; where each name starts, and
where the last one ends; where the postings of each name start, and where the last ones end; the
postings, which are numbers of records.
"""

from __future__ import annotations

import re
import sys
from array import array
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from imagist.errors import InputError
from imagist.packages.apk.index import Package, format_record, parse_record

FORMAT: Final = f"apkindex 1 {sys.byteorder}"
"""Names the layout, and so belongs into the memo key of a stored table."""
_MAGIC: Final = f"{FORMAT:17}\n".encode()
_SECTIONS: Final = 11
_LIMIT: Final = (1 << 32) - 1
# What matters after a line feed: a name, provides, install_if, or the end of the record.
_LINES: Final = re.compile(rb"\n(?:P:([^\n]*)|p:([^\n]*)|i:([^\n]*)|(?=\n))")
_NAMES: Final = re.compile(rb"(?:^|\s)!?([^\s!@=<>~]+)")


class _Directory(NamedTuple):
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


class IndexTable:
    """The packages of one index, found by name and read when asked for.

    The same record is always the same `Package` object. Safe to share between threads.
    """

    def __init__(self, sections: Sequence[memoryview]) -> None:
        self._starts = sections[0].cast("I")
        self._offered = _open_directory(sections[1:5])
        self._awaited = _open_directory(sections[5:9])
        self._install_if = sections[9].cast("I")
        self._text = sections[10]
        self._packages: dict[int, Package] = {}

    @staticmethod
    def from_text(text: bytes | memoryview) -> bytes:
        """Make the table of an APKINDEX text: bytes for `open`.

        Raises:
            InputError: a record has no name, or two. Other mistakes show when the record is read.
        """
        return _build(text)

    @staticmethod
    def from_packages(packages: Iterable[Package]) -> bytes:
        """Make the table of some packages: bytes for `open`."""
        return _build("\n".join(map(format_record, packages)).encode())

    @classmethod
    def open(cls, data: bytes | memoryview) -> IndexTable:
        """Use what `from_text` or `from_packages` made; the bytes are kept, not copied.

        Raises:
            InputError: these bytes are no table, or one of another version or byte order.
        """
        view = memoryview(data)
        header = len(_MAGIC) + 4 * _SECTIONS
        if len(view) < header or bytes(view[: len(_MAGIC)]) != _MAGIC:
            raise InputError("this is no index table that this version of imagist can read")
        sections = []
        start = header
        for length in view[len(_MAGIC) : header].cast("I"):
            sections.append(view[start : start + length])
            start += length + -length % 4
        if start != len(view):
            raise InputError("an index table is incomplete")
        return cls(sections)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, number: int) -> Package:
        """One record, by its place in the index."""
        package = self._packages.get(number)
        if package is None:
            record = bytes(self._text[self._starts[number] : self._starts[number + 1]])
            # setdefault: when two threads read the same record, both get the same package.
            package = self._packages.setdefault(number, parse_record(record))
        return package

    def providers(self, name: str) -> list[Package]:
        """The packages that have this name or provide it, in the order of the index."""
        return [self[number] for number in self._offered.find(name.encode())]

    def named(self, name: str) -> list[Package]:
        """The packages that have this name themselves."""
        return [package for package in self.providers(name) if package.name == name]

    def names(self) -> list[str]:
        """All names offered, of packages and provided ones, sorted."""
        return [self._offered.name(place).decode() for place in range(len(self._offered))]

    def install_if(self) -> list[Package]:
        """All packages that install themselves when others are there."""
        return [self[number] for number in self._install_if]

    def install_if_on(self, name: str) -> list[Package]:
        """Those packages with install_if that wait for this name, among others."""
        return [self[number] for number in self._awaited.find(name.encode())]


def _build(text: bytes | memoryview) -> bytes:
    body = b"".join((b"\n", text, b"\n\n"))
    if len(body) > _LIMIT:
        raise InputError("an index of more than 4 GiB cannot be read")
    starts = array("I")
    offered: dict[bytes, list[int]] = {}
    awaited: dict[bytes, list[int]] = {}
    waiting = array("I")
    begin, named = 1, False
    for line in _LINES.finditer(body):
        number = len(starts)
        match line.lastindex:
            case 1:
                if named:
                    raise InputError(f"an index record has two names, the second {_show(line[1])}")
                named = True
                offered.setdefault(line[1], []).append(number)
            case 2:
                for name in _NAMES.findall(line[2]):
                    offered.setdefault(name, []).append(number)
            case 3:
                names = _NAMES.findall(line[3].strip(b"[]"))
                if names:
                    waiting.append(number)
                for name in names:
                    awaited.setdefault(name, []).append(number)
            case _:
                if named:
                    starts.append(begin)
                elif record := body[begin : line.start()].strip(b"\n"):
                    raise InputError(f"an index record names no package: {_show(record)}")
                begin, named = line.end(), False
    starts.append(begin)
    return _join([starts, *_pack(offered), *_pack(awaited), waiting, body])


def _show(text: bytes) -> str:
    return f"`{text[:60].decode('utf-8', 'replace').splitlines()[0]}`"


def _pack(directory: dict[bytes, list[int]]) -> tuple[bytes, array[int], array[int], array[int]]:
    """The four sections of a directory."""
    names = sorted(directory)
    name_starts, posting_starts, postings = array("I", [0]), array("I", [0]), array("I")
    length = 0
    for name in names:
        # A package may provide its own name; dict.fromkeys keeps the order and one of each.
        postings.extend(dict.fromkeys(directory[name]))
        length += len(name)
        name_starts.append(length)
        posting_starts.append(len(postings))
    return b"".join(names), name_starts, posting_starts, postings


def _join(sections: Sequence[bytes | array[int]]) -> bytes:
    views = [memoryview(section).cast("B") for section in sections]
    lengths = array("I", [len(view) for view in views])
    parts: list[bytes | memoryview] = [_MAGIC, lengths.tobytes()]
    for view in views:
        parts += (view, bytes(-len(view) % 4))
    return b"".join(parts)


def _open_directory(sections: Sequence[memoryview]) -> _Directory:
    names, name_starts, posting_starts, postings = sections
    return _Directory(names, name_starts.cast("I"), posting_starts.cast("I"), postings.cast("I"))
