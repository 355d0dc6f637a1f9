"""What the dynamic loader's cache must know of a shared library, read from its ELF headers.

Follows the System V ABI (gabi 4.1, chapters 4 and 5). Nothing in a file is believed: what does
not lie within its bytes is no shared object.
"""

from __future__ import annotations

import re
import struct
from typing import Final

import msgspec

HEAD: Final = 8 << 20
"""Bytes from the start of a library that are kept while it streams by; the string table of its
dynamic section lies there in all but the very largest."""

_LIBRARY: Final = re.compile(r"(?:lib|ld-).*\.so(?:\..*)?|ld\.so.*", re.DOTALL)
SHARED_OBJECTS: Final = frozenset({3})  # ET_DYN
PROGRAMS: Final = frozenset({2, 3})  # ET_EXEC; position-independent programs are ET_DYN, too
_LOAD, _DYNAMIC = 1, 2  # PT_LOAD, PT_DYNAMIC
_STRTAB, _SONAME = 5, 14  # DT_STRTAB, DT_SONAME
_MAX_HEADERS: Final = 512
_MAX_DYNAMIC: Final = 1 << 20
_MAX_NAME: Final = 255


class SharedObject(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A shared library: what it is called and which machines load it."""

    path: str
    """Where it is in its package or tree."""
    soname: str
    """DT_SONAME; the base name of `path` where the library states none, as ldconfig does."""
    machine: int
    """`e_machine`: 62 is x86-64, 183 AArch64 ..."""
    bits: int
    """32 or 64."""
    little_endian: bool
    flags: int
    """`e_flags`, which tell ABIs of one machine apart."""


class Segment(msgspec.Struct, frozen=True):
    """A program header: bytes of the file, and the address they are loaded at."""

    kind: int
    offset: int
    address: int
    size: int


class Header(msgspec.Struct, frozen=True):
    """What the ELF header and the program headers say."""

    order: str
    """`<` or `>`, as `struct` writes it."""
    bits: int
    machine: int
    flags: int
    segments: tuple[Segment, ...]

    def dynamic(self) -> Segment | None:
        """The segment with the dynamic section, if there is one."""
        return next((s for s in self.segments if s.kind == _DYNAMIC), None)


def is_library_name(name: str) -> bool:
    """Whether a base name is one ldconfig looks at: `lib*.so*`, `ld-*.so*` or `ld.so*`."""
    return ".so" in name and name[0] == "l" and _LIBRARY.fullmatch(name) is not None


def read_shared_object(path: str, data: bytes | memoryview) -> SharedObject | None:
    """Read a library that is whole in memory; None where it is none (a linker script, say)."""
    scanner = LibraryScanner(path)
    scanner.feed(data)
    return scanner.finish()


class LibraryScanner:
    """Reads a library while it streams by, keeping its first 8 MiB and its dynamic section."""

    def __init__(self, path: str) -> None:
        """Begin with a library at `path`."""
        self._path = path
        self._head: bytes | bytearray | memoryview = b""
        self._size = 0
        self._tail = bytearray()  # what of the dynamic section lies after the head
        self._header: Header | None = None

    def feed(self, piece: bytes | memoryview) -> None:
        """Take the next bytes of the file."""
        if not self._size:
            self._head = piece  # often all of it, and then nothing is copied
        elif len(self._head) < HEAD and bytes(self._head[:1]) == b"\x7f":
            if not isinstance(self._head, bytearray):
                self._head = bytearray(self._head)
            self._head += piece[: HEAD - len(self._head)]
        if self._size + len(piece) > len(self._head):
            self._keep_tail(piece)
        self._size += len(piece)

    def finish(self) -> SharedObject | None:
        """What was found at the end of the file; None where it is no shared object."""
        head = memoryview(self._head)
        header = self._header or read_header(head)
        dynamic = header.dynamic() if header else None
        if header is None or dynamic is None or dynamic.size > _MAX_DYNAMIC:
            return None
        if dynamic.offset + dynamic.size > self._size:
            return None
        table = bytes(head[dynamic.offset : dynamic.offset + dynamic.size]) + self._tail
        name = _read_soname(header, head, table)
        return SharedObject(
            self._path,
            name or self._path.rpartition("/")[2],
            header.machine,
            header.bits,
            header.order == "<",
            header.flags,
        )

    def _keep_tail(self, piece: bytes | memoryview) -> None:
        if self._header is None:
            self._header = read_header(memoryview(self._head))
        dynamic = self._header.dynamic() if self._header else None
        if dynamic and dynamic.size <= _MAX_DYNAMIC:
            first = max(dynamic.offset, len(self._head), self._size) - self._size
            last = dynamic.offset + dynamic.size - self._size
            self._tail += piece[first : max(first, last)]


def read_header(data: memoryview, kinds: frozenset[int] = SHARED_OBJECTS) -> Header | None:
    """The ELF header and program headers (gabi: Elf32_Ehdr, Elf64_Ehdr, Elf32_Phdr ...).

    None where it is no ELF file, none of these kinds (`e_type`), or damaged.
    """
    if (
        len(data) < 16
        or bytes(data[:4]) != b"\x7fELF"
        or data[4] not in {1, 2}
        or data[5] not in {1, 2}
    ):
        return None
    bits = 32 * data[4]
    order = "<" if data[5] == 1 else ">"
    fields = struct.Struct(order + ("HHIIIIIHHH" if bits == 32 else "HHIQQQIHHH"))
    if len(data) < 16 + fields.size:
        return None
    kind, machine, _, _, start, _, flags, _, entry_size, count = fields.unpack_from(data, 16)
    entry = struct.Struct(order + ("IIIIIIII" if bits == 32 else "IIQQQQQQ"))
    if kind not in kinds or entry_size < entry.size or not 0 < count <= _MAX_HEADERS:
        return None
    if start + count * entry_size > len(data):
        return None
    segments = []
    for number in range(count):
        row = entry.unpack_from(data, start + number * entry_size)
        if bits == 32:
            segment = Segment(row[0], row[1], row[2], row[4])
        else:
            segment = Segment(row[0], row[2], row[3], row[5])
        segments.append(segment)
    return Header(order, bits, machine, flags, tuple(segments))


def _read_soname(header: Header, head: memoryview, dynamic: bytes) -> str:
    """DT_SONAME in the string table that DT_STRTAB gives the address of; `""` where unknown."""
    pair = struct.Struct(header.order + ("iI" if header.bits == 32 else "qQ"))
    found: dict[int, int] = {}
    for tag, value in pair.iter_unpack(dynamic[: len(dynamic) // pair.size * pair.size]):
        if tag == 0:
            break
        found.setdefault(tag, value)
    if _STRTAB not in found or _SONAME not in found:
        return ""
    address = found[_STRTAB]
    for segment in header.segments:
        if segment.kind == _LOAD and 0 <= address - segment.address < segment.size:
            start = segment.offset + address - segment.address + found[_SONAME]
            name, end, _ = bytes(head[start : start + _MAX_NAME + 1]).partition(b"\0")
            return name.decode("utf-8", "surrogateescape") if end and b"/" not in name else ""
    return ""
