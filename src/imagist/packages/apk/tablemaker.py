"""Making the table of an index in one pass, while its text arrives: `table` has the layout.

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
from typing import Final

from isal import isal_zlib

from imagist.errors import InputError
from imagist.packages.apk.index import Package, format_record
from imagist.packages.apk.table import BLOCK, MAGIC

_Write = Callable[[bytes | memoryview], object]
_Postings = defaultdict[bytes, list[int]]

_LIMIT: Final = (1 << 32) - 1
_PIECE: Final = 1 << 20
_BLANK: Final = b"\n\n"
# A blank line, with the name of its record where that stands in its usual place. A quarter of a
# million of these are found in the time that a look at each line would take many times over.
_HEADS: Final = re.compile(rb"\n\n(?:C:[^\n]*+\nP:([^\n]*))?")
_NAME: Final = re.compile(rb"\nP:([^\n]*)")
_LISTS: Final = re.compile(rb"\n([pi]):([^\n]*)")
# The name in each word, empty where there is none.
_NAMES: Final = re.compile(rb"!?([^\s!@=<>~]+)\S*|\S+")


def write_table(text: Iterable[bytes | memoryview], write: _Write, what: str = "") -> None:
    """Make the table of an APKINDEX text.

    Args:
        text: in pieces of any size.
        write: takes the bytes of the table, one piece after the other.
        what: names the index in errors.

    Raises:
        InputError: a record has no name. Other mistakes show when the record is read.
    """
    directory = _DirectoryMaker(what)
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
            raise InputError("an index of more than 4 GiB cannot be read", where=what or None)
        if gathered >= due:
            joined = b"".join(waiting)
            end = joined.rfind(_BLANK)
            directory.add(joined, end)
            waiting = [joined[end:]]
            gathered -= end
            due = max(_PIECE, 2 * gathered)  # a record without end is not joined again and again
    joined = b"".join(waiting)
    directory.add(joined, len(joined))
    write(bytes(-size % 4))
    _write_sections(size, [*directory.sections(), checksums.finish()], write)


def make_table(text: bytes) -> bytes:
    """The table of an APKINDEX text in memory: bytes for `IndexTable.open`.

    Raises:
        InputError: as `write_table`.
    """
    parts: list[bytes | memoryview] = []
    write_table([text], parts.append)
    return b"".join(parts)


def tabulate(packages: Iterable[Package]) -> bytes:
    """The table of some packages in memory: bytes for `IndexTable.open`."""
    return make_table("\n".join(map(format_record, packages)).encode())


class _DirectoryMaker:
    """Gathers where records start, and which names they have or wait for."""

    def __init__(self, what: str) -> None:
        self._where = what or None
        self._starts = array("I")
        self._named: _Postings = defaultdict(list)
        self._provided: _Postings = defaultdict(list)
        self._awaited: _Postings = defaultdict(list)
        self._install_if = array("I")
        self._size = 0

    def add(self, text: bytes, end: int) -> None:
        """Take the next records, each with the blank line before it, as far as `end`."""
        first = len(self._starts)
        starts, names = self._find_records(text, end)
        self._starts.extend([self._size + start for start in starts])
        named = self._named
        for number, name in enumerate(names, first):
            named[name].append(number)
        for line in _LISTS.finditer(text, 0, end):
            number = first + bisect_right(starts, line.start()) - 1
            if line[1] == b"p":
                _post(self._provided, line[2], number)
            elif _post(self._awaited, line[2].strip(b"[]"), number):
                self._install_if.append(number)
        self._size += end

    def _find_records(self, text: bytes, end: int) -> tuple[list[int], list[bytes]]:
        """Where records start, and their names; `parse_record` refuses one that has two."""
        heads = list(_HEADS.finditer(text, 0, end))
        starts = [head.start() for head in heads]
        names = [head[1] for head in heads]
        if None not in names:
            return starts, names
        found = []
        for start, stop in pairwise([*starts, end]):
            record = text[start:stop]
            if name := _NAME.search(record):
                found.append((start, name[1]))
            elif shown := record.strip(b"\n")[:60].decode("utf-8", "replace"):
                message = f"an index record names no package: `{shown.splitlines()[0]}`"
                raise InputError(message, where=self._where)
        return [start for start, _ in found], [name for _, name in found]

    def sections(self) -> Iterator[bytes | array[int]]:
        """All sections but the checksums."""
        yield self._starts
        yield from _pack(_merge(self._named, self._provided))
        yield from _pack(_merge(defaultdict(list), self._awaited))
        yield self._install_if


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


def _post(directory: _Postings, words: bytes, number: int) -> bool:
    """Note a record under the name in each word; whether there is any."""
    found = False
    for name in _NAMES.findall(words):
        if name:
            directory[name].append(number)
            found = True
    return found


def _merge(directory: _Postings, other: _Postings) -> _Postings:
    """Add the records of another directory, lowest first and each once; takes both over."""
    for name, numbers in other.items():
        # Several words of a record may have one name, which may be the package's own.
        directory[name] = sorted({*directory.get(name, ()), *numbers})
    return directory


def _pack(directory: _Postings) -> tuple[bytes, array[int], array[int], array[int]]:
    """The four sections of a directory."""
    names = sorted(directory)
    postings = [directory[name] for name in names]
    return (
        b"".join(names),
        array("I", accumulate(map(len, names), initial=0)),
        array("I", accumulate(map(len, postings), initial=0)),
        array("I", chain.from_iterable(postings)),
    )


def _write_sections(size: int, sections: Sequence[bytes | array[int]], write: _Write) -> None:
    """Write all that comes after the text of this size."""
    views = [memoryview(section).cast("B") for section in sections]
    lengths = array("I", [size, *map(len, views)])
    checksum = 0
    for view in (*views, memoryview(lengths.tobytes())):
        for part in (view, memoryview(bytes(-len(view) % 4))):
            checksum = isal_zlib.crc32(part, checksum)
            write(part)
    write(array("I", [checksum]).tobytes())
    write(MAGIC)
