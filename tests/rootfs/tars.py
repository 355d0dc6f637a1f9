"""Tars made by hand: what no writer would write, byte by byte."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator

from imagist.rootfs.entry import Entry
from imagist.rootfs.tarread import Limits, TarReader


def make_tar(
    *items: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes], fmt: int = tarfile.PAX_FORMAT
) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt) as tar:
        for item in items:
            info, content = item if isinstance(item, tuple) else (item, b"")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def info(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type = kind
    for key, value in fields.items():
        setattr(made, key, value)
    return made


def header(
    name: bytes, *, size: int = 0, kind: bytes = b"0", link: bytes = b"", **raw: bytes
) -> bytes:
    """A header made by hand, whose checksum holds whatever it says; `tail` ends it."""
    block = bytearray(
        name.ljust(100, b"\0")
        + raw.get("owner", b"0000644\x000000000\x000000000\x00")
        + raw.get("size", b"%011o\0" % size)
        + raw.get("mtime", b"00000000000\0")
        + b" " * 8
        + kind
        + link.ljust(100, b"\0")
        + raw.get("magic", b"ustar\x0000")
    ).ljust(512, b"\0")
    block[329:345] = raw.get("device", bytes(16))
    if tail := raw.get("tail"):
        block[-len(tail) :] = tail
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax(*records: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    body = b""
    for key, value in records:
        rest = len(key) + len(value) + 3
        length = rest + len(str(rest))
        length = rest + len(str(length))
        body += b"%d %b=%b\n" % (length, key, value)
    return header(b"PaxHeaders/x", size=len(body), kind=kind) + body + bytes(-len(body) % 512)


def long(name: bytes, kind: bytes = b"L") -> bytes:
    """What GNU tar puts before an entry with a long name (L) or link target (K)."""
    return header(b"././@LongLink", size=len(name), kind=kind) + name + bytes(-len(name) % 512)


def pieces(data: bytes, step: int) -> Iterator[bytes]:
    for at in range(0, len(data), step):
        yield data[at : at + step]


def read(
    data: bytes, *, step: int = 1 << 20, limits: Limits | None = None
) -> list[tuple[Entry, bytes]]:
    reader = TarReader(pieces(data, step), what="x.tar", limits=limits)
    return [(entry, b"".join(reader.content())) for entry in reader]


def only(data: bytes) -> Entry:
    [(entry, _)] = read(data)
    return entry


def sized(number: int) -> bytes:
    return resize(header(b"a"), number.to_bytes(12, "big"))


def resize(archive: bytes, field: bytes) -> bytes:
    block = bytearray(archive[:512])
    assert len(field) == 12
    block[124:136] = field
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + archive[512:]


def without_sum() -> bytes:
    """A header whose checksum is no number, and whose signed sum is what -1 once passed for."""
    field = b"xxxxxx\0 "
    block = bytearray(header(b""))
    block[148:156] = field
    missing = -1 - sum(block)
    count = -missing // 128
    block[:count] = b"\x80" * count
    block[count] = (missing + 128 * count) % 256
    return bytes(block)
