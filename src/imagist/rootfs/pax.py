"""The records of PAX headers: `length key=value newline` (POSIX pax, "Extended Header")."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final

import msgspec

from imagist.errors import Untrusted

CHECKSUM: Final = b"APK-TOOLS.checksum.SHA1"
"""What APK packages record of every file and symlink."""

_OF_APK: Final = b"APK-TOOLS."
_CHECKSUM_ONLY: Final = b"68 " + CHECKSUM + b"="
_XATTR: Final = b"SCHILY.xattr."
_SPARSE: Final = b"GNU.sparse."
_XATTR_NAME_MAX: Final = 255
_PLAIN: Final = frozenset(
    {b"atime", b"ctime", b"uname", b"gname", b"comment"}
    | {b"SCHILY.dev", b"SCHILY.ino", b"SCHILY.nlink"}
)
"""Records without a meaning for layers; others there are that some readers act on (ACLs ...)."""
_TIME: Final = re.compile(rb"(-?)0*(\d{1,19})(?:\.(\d*))?")
_NUMBER: Final = re.compile(rb"\d{1,19}")
_MAX_DIGITS: Final = 10


class Records(msgspec.Struct):
    """What a PAX header says of an entry; `None` and `b""` where it says nothing."""

    sha1: bytes = b""
    path: bytes | None = None
    link: bytes | None = None
    size: int | None = None
    uid: int | None = None
    gid: int | None = None
    mtime: int | None = None
    xattrs: dict[str, bytes] = {}
    oddity: str = ""
    """What in the header not everyone reads alike; `""`: nothing."""


def read_checksum(body: bytes) -> bytes:
    """The SHA-1 in a header that holds nothing else, as APK packages have; `b""` otherwise."""
    if len(body) != 68 or body[:27] != _CHECKSUM_ONLY or body[67] != 0x0A:
        return b""
    try:
        return binascii.unhexlify(body[27:67])
    except ValueError:
        return b""


def copy_records(records: Records) -> Records:
    """An independent copy, as the base of what one entry's header adds."""
    return msgspec.structs.replace(records, xattrs=dict(records.xattrs))


def parse_records(body: bytes, what: str, into: Records | None = None) -> Records:
    """Read a PAX header's data, over what `into` already says; keys without meaning are left.

    Raises:
        Untrusted: the records are malformed, or describe a sparse file; `what` is the archive.
    """
    found = into or Records()
    seen: set[bytes] = set()
    for key, value in _split_records(body, what):
        if key in seen:
            found.oddity = "has PAX headers that say a thing twice"
        seen.add(key)
        if key == CHECKSUM:
            found.sha1 = _parse_checksum(value, what)
        elif key.startswith(_XATTR):
            found.xattrs[_parse_attribute(key[len(_XATTR) :], what)] = value
            continue
        elif key == b"path":
            found.path = value or None
        elif key == b"linkpath":
            found.link = value or None
        elif key == b"size":
            found.size = _parse_number(value, what)
        elif key == b"uid":
            found.uid = _parse_number(value, what)
        elif key == b"gid":
            found.gid = _parse_number(value, what)
        elif key == b"mtime":
            found.mtime = _parse_time(value, what)
            if b"." in value:
                found.oddity = "has times with fractions of seconds"
        elif key.startswith(_SPARSE):
            raise Untrusted(f"{what} has a sparse file, which images do not carry")
        elif key not in _PLAIN and not key.startswith(_OF_APK):
            found.oddity = "has PAX records that only some readers understand"
        if not value:
            found.oddity = "has PAX records without a value"
    return found


def _parse_attribute(name: bytes, what: str) -> str:
    if not name or len(name) > _XATTR_NAME_MAX or b"\0" in name:
        raise Untrusted(
            f"{what} has an extended attribute without a name, or with one that cannot be",
            help="the archive was damaged, or made to mislead; do not use it",
        )
    return name.decode("utf-8", "surrogateescape")


def _split_records(body: bytes, what: str) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(body):
        space = body.find(b" ", at, at + _MAX_DIGITS)
        digits = body[at:space] if space > at else b""
        if not digits.isdigit():
            raise _malformed(what)
        end = at + int(digits)
        key, equals, value = body[space + 1 : end].partition(b"=")
        if end > len(body) or not key or not equals or value[-1:] != b"\n":
            raise _malformed(what)
        yield key, value[:-1]
        at = end


def _parse_checksum(value: bytes, what: str) -> bytes:
    """Lowercase hex; some old packages have `Q1` and base64 as the index does."""
    try:
        if value[:2] == b"Q1":
            digest = base64.b64decode(value[2:], validate=True)
        else:
            digest = binascii.unhexlify(value)
    except ValueError:
        digest = b""
    if len(digest) != 20:
        raise Untrusted(f"{what} has a checksum record that is no SHA-1")
    return digest


def _parse_number(value: bytes, what: str) -> int | None:
    if not value:
        return None  # an empty value takes the record back
    if not _NUMBER.fullmatch(value):
        raise _malformed(what)
    return int(value)


def _parse_time(value: bytes, what: str) -> int | None:
    """Seconds with a fraction, of which layers keep the whole second at or before it."""
    if not value:
        return None
    match = _TIME.fullmatch(value)
    if match is None:
        raise _malformed(what)
    seconds = int(match[2])
    if not match[1]:
        return seconds
    return -seconds - bool((match[3] or b"").strip(b"0"))


def _malformed(what: str) -> Untrusted:
    return Untrusted(
        f"{what} has a malformed PAX header",
        help="the archive was damaged, or made to mislead; do not use it",
    )
