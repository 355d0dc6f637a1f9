"""The table of an APKINDEX: packages found by name, read when they are asked for."""

from __future__ import annotations

from typing import ClassVar

from imagist.packages.apk.index import Package, parse_record
from imagist.packages.table import RecordTable, format_name


class IndexTable(RecordTable[Package]):
    """The packages of one APKINDEX; `tablemaker` makes the bytes of one."""

    FORMAT: ClassVar[str] = format_name("apkindex 2")

    def parse(self, record: bytes) -> Package:
        """See `RecordTable.parse`."""
        return parse_record(record)

    def named(self, name: str) -> list[Package]:
        """The packages that have this name themselves."""
        return [package for package in self.providers(name) if package.name == name]

    def install_if(self) -> list[Package]:
        """All packages that install themselves when others are there."""
        return self.waiting()

    def install_if_on(self, name: str) -> list[Package]:
        """Those packages with install_if that wait for this name, among others."""
        return self.waiting_for(name)
