"""Number fields of tar headers. They repeat from header to header, hence the caches."""

from __future__ import annotations

from functools import lru_cache

from imagist.rootfs.entry import MODE_BITS


@lru_cache(4096)
def parse_number(field: bytes) -> int:
    """A number field: octal digits, or base 256 where the first bit is set (GNU).

    Raises:
        ValueError: the field is neither.
    """
    if field[0] & 0x80:
        # Two's complement, of which the first bit only marks the encoding.
        bits = 8 * len(field) - 1
        value = int.from_bytes(field, "big") & ((1 << bits) - 1)
        return value - (1 << bits) if field[0] & 0x40 else value
    text = field.partition(b"\0")[0].strip(b" ")
    if text.strip(b"01234567"):
        raise ValueError(field)
    return int(text, 8) if text else 0


@lru_cache(4096)
def parse_owner(fields: bytes) -> tuple[int, int, int]:
    """Mode, owner and group, which lie side by side."""
    mode, uid, gid = fields[:8], fields[8:16], fields[16:]
    return parse_number(mode) & MODE_BITS, parse_number(uid), parse_number(gid)


@lru_cache(4096)
def parse_sum(field: bytes) -> int:
    """The plain sum of all bytes of a header whose checksum field is this; -1 where it is none."""
    try:
        return parse_number(field) - 8 * 0x20 + sum(field)
    except ValueError:
        return -1
