"""Making the table of an APKINDEX in one pass, while its text arrives."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import ClassVar, Final

from imagist.packages.apk.index import Package, format_record
from imagist.packages.apk.table import IndexTable
from imagist.packages.tablemaker import DirectoryMaker, Postings, Write, write_table_with

_LISTS: Final = re.compile(rb"\n([pi]):([^\n]*)")
# The name in each word, empty where there is none.
_NAMES: Final = re.compile(rb"!?([^\s!@=<>~]+)\S*|\S+")


class _ApkDirectory(DirectoryMaker):
    # A quarter of a million of these are found in the time that a look at each line would take
    # many times over.
    HEADS: ClassVar = re.compile(rb"\n\n(?:C:[^\n]*+\nP:([^\n]*))?")
    NAME: ClassVar = re.compile(rb"\nP:([^\n]*)")

    def find_names(self, text: bytes, end: int, record_at: Callable[[int], int]) -> None:
        for line in _LISTS.finditer(text, 0, end):
            number = record_at(line.start())
            if line[1] == b"p":
                _post(self.provided, line[2], number)
            elif _post(self.awaited, line[2].strip(b"[]"), number):
                self.waiting.append(number)


def write_table(text: Iterable[bytes | memoryview], write: Write, what: str = "") -> None:
    """Make the table of an APKINDEX text.

    Args:
        text: in pieces of any size.
        write: takes the bytes of the table, one piece after the other.
        what: names the index in errors.

    Raises:
        InputError: a record has no name. Other mistakes show when the record is read.
    """
    write_table_with(_ApkDirectory(what), IndexTable.FORMAT, text, write)


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


def _post(directory: Postings, words: bytes, number: int) -> bool:
    """Note a record under the name in each word; whether there is any."""
    found = False
    for name in _NAMES.findall(words):
        if name:
            directory[name].append(number)
            found = True
    return found
