"""Wheels in one plain form, in which equal contents are equal bytes, whoever made them.

A wheel that is built here has nobody's hash to keep, and how its backend compressed it, in which
order and when, should make no other image. So it is written again: nothing compressed (its layer
is), names in order, one time. It can be written once more with other contents as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec

from imagist.packages.wheel.archive import WheelArchive
from imagist.packages.wheel.record import format_record
from imagist.rootfs.zipwrite import ZipFile, write_zip

FORMAT: Final = 1
"""Raise it whenever the same contents would become other bytes."""
MOST: Final = 64 << 20
"""Bytes of contents up to which a wheel is written again, in memory; others stay as they are."""


class Content(msgspec.Struct, frozen=True):
    """A file of a wheel."""

    data: bytes
    is_executable: bool = False


def read_contents(archive: WheelArchive) -> dict[str, Content] | None:
    """The files of a wheel but its RECORD and what signs that; None where they are too much.

    Raises:
        Untrusted: it is damaged.
    """
    if sum(member.size for member in archive.members.values()) > MOST:
        return None
    records = tuple(f"{archive.dist_info}/RECORD{end}" for end in ("", ".jws", ".p7s"))
    return {
        name: Content(
            b"".join(content for _, content in archive.pieces(name)), bool(member.mode & 0o111)
        )
        for name, member in archive.members.items()
        if name not in records
    }


def write_plain(contents: Mapping[str, Content], dist_info: str) -> bytes:
    """A wheel of these files, with its RECORD."""
    record = f"{dist_info}/RECORD"
    rows = [
        (name, hashlib.sha256(content.data).digest(), len(content.data))
        for name, content in contents.items()
    ]
    files = {**contents, record: Content(format_record(rows, record))}
    return write_zip(
        ZipFile(name, files[name].data, 0o755 if files[name].is_executable else 0o644)
        for name in sorted(files)
    )
