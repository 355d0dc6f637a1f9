"""What a program or shared object needs to be loaded, read from its ELF headers (gabi, ch. 5).

Nothing in a file is believed: what does not lie within its bytes is taken as absent.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from imagist.rootfs.elf import Header

MAGIC: Final = b"\x7fELF"
WHOLE: Final = 64 << 20
"""Bytes of a file that is kept whole while it streams by."""
_END: Final = 16 << 20
"""Bytes kept of both ends of a larger one: tools that change names put the new ones at the end."""

_LOAD, _DYNAMIC, _INTERP = 1, 2, 3
_NEEDED, _STRTAB, _SONAME, _RPATH, _RUNPATH = 1, 5, 14, 15, 29
_MAX_DYNAMIC: Final = 1 << 20
_MAX_NAME: Final = 4096
_MAX_NAMES: Final = 512
"""Of one kind; the largest programs need a fifth of it."""

MACHINES: Final = {
    "386": (3, 32, True),
    "amd64": (62, 64, True),
    "arm": (40, 32, True),
    "arm64": (183, 64, True),
    "loong64": (258, 64, True),
    "ppc64le": (21, 64, True),
    "riscv64": (243, 64, True),
    "s390x": (22, 64, False),
}
"""Architecture of OCI -> `e_machine`, bits, and whether it is little-endian."""


class Linkage(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a loader reads of an ELF file."""

    machine: int
    """`e_machine`."""
    bits: int
    """32 or 64."""
    little_endian: bool
    soname: str = ""
    needed: tuple[str, ...] = ()
    """DT_NEEDED: names of libraries, in the order in which they are searched."""
    runpath: tuple[str, ...] = ()
    """DT_RUNPATH, or DT_RPATH: folders to search first; `$ORIGIN` is the file's own."""
    interpreter: str = ""
    """The loader that a program asks for (PT_INTERP); empty of libraries and static programs."""

    @property
    def architecture(self) -> str:
        """What it is for, as OCI names it; `machine 8` of one that has no name there."""
        found = (self.machine, self.bits, self.little_endian)
        names = (name for name, machine in MACHINES.items() if machine == found)
        return next(names, f"machine {self.machine}")

    def runs_on(self, architecture: str) -> bool:
        """Whether a machine of an architecture, as OCI names it, can load it."""
        return MACHINES.get(architecture) == (self.machine, self.bits, self.little_endian)


class LinkageScanner:
    """Reads an ELF file while it streams by; of a very large one both ends are kept."""

    def __init__(self) -> None:
        self._parts: list[bytes | memoryview] = []
        self._tail = bytearray()
        self._size = 0

    def feed(self, piece: bytes | memoryview) -> None:
        """Take the next bytes."""
        if self._size < WHOLE:
            self._parts.append(piece)
        else:
            self._tail += piece
            if len(self._tail) > 4 * _END:
                del self._tail[: -2 * _END]
        self._size += len(piece)

    def finish(self) -> Linkage | None:
        """What was found at the end of the file; None where it is no program or library."""
        head = b"".join(self._parts)
        tail = bytes(self._tail)
        return _read(_Bytes(head, tail, self._size - len(tail)))


def read_linkage(data: bytes | memoryview) -> Linkage | None:
    """Read a file that is whole in memory; None where it is no program or shared object."""
    return _read(_Bytes(data, b"", len(data)))


class _Bytes:
    """A file, or its two ends."""

    def __init__(self, head: bytes | memoryview, tail: bytes, tail_at: int) -> None:
        self.head = memoryview(head)
        self._tail = tail
        self._tail_at = tail_at

    def read(self, start: int, size: int) -> bytes:
        """Bytes from somewhere; fewer or none where they are not here."""
        if start + size <= len(self.head):
            return bytes(self.head[start : start + size])
        if start >= self._tail_at:
            start -= self._tail_at
            return self._tail[start : start + size]
        return bytes(self.head[start:])


def _read(file: _Bytes) -> Linkage | None:
    from imagist.rootfs.elf import PROGRAMS, read_header  # noqa: PLC0415 - most files are none

    header = read_header(file.head, PROGRAMS)
    if header is None:
        return None
    found: dict[int, list[int]] = {}
    for tag, value in _dynamic(header, file):
        found.setdefault(tag, []).append(value)
    strings = _place(header, found[_STRTAB][0]) if _STRTAB in found else -1

    def names(tag: int) -> list[str]:
        offsets = dict.fromkeys(found.get(tag, ())) if strings >= 0 else {}
        texts = (_name(file.read(strings + at, _MAX_NAME)) for at in islice(offsets, _MAX_NAMES))
        return list(filter(None, texts))

    paths = (names(_RUNPATH) or names(_RPATH))[:1]
    return Linkage(
        header.machine,
        header.bits,
        header.order == "<",
        next(iter(names(_SONAME)), ""),
        tuple(names(_NEEDED)),
        tuple(path for text in paths for path in text.split(":") if path),
        _interpreter(header, file),
    )


def _dynamic(header: Header, file: _Bytes) -> Iterator[tuple[int, int]]:
    segment = header.dynamic()
    if segment is None or segment.size > _MAX_DYNAMIC:
        return
    pair = struct.Struct(header.order + ("iI" if header.bits == 32 else "qQ"))
    data = file.read(segment.offset, segment.size)
    for tag, value in pair.iter_unpack(data[: len(data) // pair.size * pair.size]):
        if tag == 0:
            return
        yield tag, value


def _place(header: Header, address: int) -> int:
    """Where in the file an address is; -1 where it is not."""
    for segment in header.segments:
        if segment.kind == _LOAD and 0 <= address - segment.address < segment.size:
            return segment.offset + address - segment.address
    return -1


def _interpreter(header: Header, file: _Bytes) -> str:
    for segment in header.segments:
        if segment.kind == _INTERP and segment.size <= _MAX_NAME:
            return _name(file.read(segment.offset, segment.size) + b"\0")
    return ""


def _name(data: bytes) -> str:
    name, end, _ = data.partition(b"\0")
    return name.decode("utf-8", "backslashreplace") if end else ""
