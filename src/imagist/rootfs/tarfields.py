"""Fields of tar headers. Numbers repeat from header to header, hence the caches.

Readers of tar fill what the format leaves open in different ways. Here a field says what all of
them understand alike, or is refused; `find_oddity` names what may still be read in two ways.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from zlib import adler32

from imagist.rootfs.entry import MODE_BITS

_OCTAL: Final = re.compile(rb" *([0-7]*)[ \0]*")
_BASE_256: Final = frozenset({0x80, 0xFF})
"""First bytes of positive and negative numbers: the fields are wide enough for no others."""

_USTAR: Final = b"ustar\x0000"
_GNU: Final = b"ustar  \0"
_V7: Final = bytes(8)
_NO_PAD: Final = bytes(12)
_NO_PREFIX: Final = bytes(512 - 345)
_USUAL_DEVICES: Final = frozenset({bytes(16), b"0000000\0" * 2})


@lru_cache(4096)
def parse_number(field: bytes) -> int:
    """A number field: octal digits between padding, or base 256 where the first bit is set (GNU).

    Some readers take what stands before the first NUL, others strip NULs at both ends first, and
    others stop at the first byte that is no digit: only where all find the same is it a number.

    Raises:
        ValueError: the field is neither.
    """
    if field[0] & 0x80:
        if field[0] not in _BASE_256:
            raise ValueError(field)
        # Two's complement, of which the first bit only marks the encoding.
        bits = 8 * len(field) - 1
        value = int.from_bytes(field, "big") & ((1 << bits) - 1)
        return value - (1 << bits) if field[0] & 0x40 else value
    match = _OCTAL.fullmatch(field)
    if match is None:
        raise ValueError(field)
    return int(match[1], 8) if match[1] else 0


@lru_cache(4096)
def parse_owner(fields: bytes) -> tuple[int, int, int, bool]:
    """Mode, owner and group, which lie side by side.

    Last, whether the mode says more than permissions: some readers believe it over the type.
    """
    mode, uid, gid = (parse_number(fields[at : at + 8]) for at in (0, 8, 16))
    return mode & MODE_BITS, uid, gid, mode & ~MODE_BITS != 0


@lru_cache(4096)
def parse_sum(field: bytes) -> int:
    """The plain sum of all bytes of a header whose checksum field is this; -1 where it is none."""
    try:
        return parse_number(field) - 8 * 0x20 + sum(field)
    except ValueError:
        return -1


def check_sum(header: bytes) -> str:
    """Compare a header's checksum: the sum of its bytes, the field itself as eight spaces.

    Returns:
        What is odd about it, or `""`.

    Raises:
        ValueError: the checksum is wrong.
    """
    # The low half of Adler-32 is that sum plus one, modulo 65521; 512 bytes of ASCII stay below.
    field = header[148:156]
    stated = parse_sum(field)
    if adler32(header) & 0xFFFF == stated + 1 and header.isascii():
        return ""
    if stated < 0:
        raise ValueError(field)
    stated -= sum(field)
    rest = header[:148] + header[156:]
    if stated == sum(rest):
        return ""
    # Some old writers added up signed bytes.
    if stated == sum(byte - 256 if byte > 127 else byte for byte in rest):
        return "has checksums of signed bytes"
    raise ValueError(field)


def find_oddity(header: bytes, flag: int) -> str:
    """What of an entry's header readers take differently, though it is legal or harmless.

    Raises:
        ValueError: the device fields are no numbers, which some readers mind of any entry.
    """
    if flag == 0x37:
        return "has contiguous files"
    if not flag:
        return "has files of the type before ustar"
    if parse_number(header[100:108]) & ~MODE_BITS:
        return "has modes with more than permissions"
    magic = header[257:265]
    if magic == _USTAR:
        if header[500:] != _NO_PAD:
            return "has headers that hold more than ustar has"  # as star writes them
    elif magic not in {_GNU, _V7}:
        return "has headers of an unknown format"
    elif header[345:] != _NO_PREFIX:
        return "has name prefixes where only some readers look for them"
    devices = header[329:345]
    if devices not in _USUAL_DEVICES:
        parse_number(devices[:8])
        parse_number(devices[8:])
    return ""
