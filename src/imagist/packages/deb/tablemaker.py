"""Making the table of a Packages file in one pass, while its text arrives.

Beside the names it is also noted which packages are essential: what waits for the name
`essential`, in the words of `tablemaker.DirectoryMaker`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import ClassVar, Final

from imagist.packages.deb.table import IndexTable
from imagist.packages.tablemaker import DirectoryMaker, Write, write_table_with

_PROVIDES: Final = re.compile(rb"\nProvides:([^\n]*+(?:\n[ \t][^\n]*+)*+)")
_ESSENTIAL: Final = b"\nEssential: yes\n"
# The name of each provide; what follows it up to the comma does not matter here.
_NAMES: Final = re.compile(rb"([^\s,:(]+)[^,]*")


class _DebDirectory(DirectoryMaker):
    HEADS: ClassVar = re.compile(rb"\n\n(?:Package: ([^\n]*))?")
    NAME: ClassVar = re.compile(rb"\nPackage:[ \t]*([^\s]*)")

    def find_names(self, text: bytes, end: int, record_at: Callable[[int], int]) -> None:
        provided, find_all = self.provided, _NAMES.findall
        for line in _PROVIDES.finditer(text, 0, end):
            number = record_at(line.start())
            for name in find_all(line[1]):
                provided[name].append(number)
        place = text.find(_ESSENTIAL, 0, end)
        while place >= 0:
            self.waiting.append(record_at(place))
            place = text.find(_ESSENTIAL, place + 1, end)


def write_table(text: Iterable[bytes | memoryview], write: Write, what: str = "") -> None:
    """Make the table of a Packages file.

    Args:
        text: in pieces of any size.
        write: takes the bytes of the table, one piece after the other.
        what: names the index in errors.

    Raises:
        InputError: a record has no name. Other mistakes show when the record is read.
    """
    write_table_with(_DebDirectory(what), IndexTable.FORMAT, text, write)


def make_table(text: bytes) -> bytes:
    """The table of a Packages file in memory: bytes for `IndexTable.open`.

    Raises:
        InputError: as `write_table`.
    """
    parts: list[bytes | memoryview] = []
    write_table([text], parts.append)
    return b"".join(parts)
