"""The table of a Packages file: packages found by name, read when they are asked for."""

from __future__ import annotations

from typing import ClassVar

from imagist.packages.deb.index import Package, parse_record
from imagist.packages.table import RecordTable, format_name


class IndexTable(RecordTable[Package]):
    """The packages of one Packages file; `tablemaker` makes the bytes of one."""

    FORMAT: ClassVar[str] = format_name("debindex 1")

    def parse(self, record: bytes) -> Package:
        """See `RecordTable.parse`."""
        return parse_record(record)
