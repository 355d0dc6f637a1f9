"""Reading shared libraries without believing them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.elf import build_library, build_program
from imagist.rootfs import elf
from imagist.rootfs.elf import LibraryScanner, SharedObject, is_library_name, read_shared_object


def make(
    soname: str,
    *,
    bits: int = 64,
    order: str = "<",
    machine: int = 62,
    flags: int = 0,
    gap: int = 0,
    names_first: bool = True,
) -> bytes:
    """A library of headers, string table, `gap` bytes, and dynamic section (in either order)."""
    word = "Q" if bits == 64 else "I"
    header_size, entry_size = (64, 56) if bits == 64 else (52, 32)
    start = header_size + 2 * entry_size
    names = b"\0" + soname.encode() + b"\0"
    pair = struct.Struct(order + ("qQ" if bits == 64 else "iI"))
    dynamic_size = 3 * pair.size
    places = (
        (start, start + len(names) + gap) if names_first else (start + dynamic_size + gap, start)
    )
    base = 0x10000
    dynamic = pair.pack(5, base + places[0]) + pair.pack(14, 1) + pair.pack(0, 0)
    total = start + len(names) + gap + dynamic_size
    data = bytearray(total)
    data[:16] = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2, 1]) + bytes(9)
    struct.pack_into(
        order + "HHI" + word * 3 + "IHHHHHH",
        data,
        16,
        3,
        machine,
        1,
        0,
        header_size,
        0,
        flags,
        header_size,
        entry_size,
        2,
        0,
        0,
        0,
    )
    for number, (kind, offset, size) in enumerate(((1, 0, total), (2, places[1], dynamic_size))):
        row = (kind, 5, offset, base + offset, base + offset, size, size, 8)
        if bits == 32:
            row = (kind, offset, base + offset, base + offset, size, size, 5, 8)
        struct.pack_into(
            order + ("IIQQQQQQ" if bits == 64 else "IIIIIIII"),
            data,
            header_size + number * entry_size,
            *row,
        )
    data[places[0] : places[0] + len(names)] = names
    data[places[1] : places[1] + dynamic_size] = dynamic
    return bytes(data)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("names_first", [True, False])
def test_every_class_and_byte_order_is_read(bits: int, order: str, names_first: bool) -> None:
    data = make(
        "libx.so.1",
        bits=bits,
        order=order,
        machine=40,
        flags=0x5000400,
        gap=99,
        names_first=names_first,
    )
    expected = SharedObject("usr/lib/libx.so.1.2", "libx.so.1", 40, bits, order == "<", 0x5000400)
    assert read_shared_object("usr/lib/libx.so.1.2", data) == expected


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_the_libraries_of_the_demo_are_read(arch: str) -> None:
    found = read_shared_object("lib/libdemo.so.1", build_library(arch, "libdemo.so.1"))
    assert found is not None
    assert (found.soname, found.bits, found.machine) == (
        "libdemo.so.1",
        64,
        {"x86_64": 62, "aarch64": 183}[arch],
    )


def test_a_library_without_soname_goes_by_its_file_name() -> None:
    data = make("")
    found = read_shared_object("lib/libplain.so", data)
    assert found is not None
    assert found.soname == "libplain.so"


def test_what_is_no_library_is_none() -> None:
    assert read_shared_object("libc.so", b"/* GNU ld script */ GROUP ( libc.so.6 )") is None
    assert read_shared_object("libx.so", b"") is None
    assert read_shared_object("libx.so", build_program("x86_64", "hello")) is None
    assert read_shared_object("libx.so", b"\x7fELF\x09\x09" + bytes(100)) is None


@pytest.mark.parametrize("step", [1, 10, 1000, 65536])
@pytest.mark.parametrize("gap", [0, 500, 70_000])
def test_pieces_of_any_size_give_the_same(step: int, gap: int) -> None:
    data = make("libx.so.1", gap=gap)
    scanner = LibraryScanner("libx.so")
    for at in range(0, len(data), step if gap < 1000 or step > 10 else 999):
        size = step if gap < 1000 or step > 10 else 999
        scanner.feed(data[at : at + size])
    assert scanner.finish() == read_shared_object("libx.so", data)


@pytest.mark.parametrize("step", [100, 1000, 4096, 7777])
def test_a_dynamic_section_beyond_what_is_kept_is_found(
    monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(elf, "HEAD", 4000)
    for gap in (3000, 3700, 3790, 9000):
        data = make("libx.so.1", gap=gap) + bytes(5000)
        scanner = LibraryScanner("libx.so")
        for at in range(0, len(data), step):
            scanner.feed(data[at : at + step])
        found = scanner.finish()
        assert found is not None
        assert found.soname == "libx.so.1"
        assert len(scanner._head) + len(scanner._tail) <= max(4000, step) + 48


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("libc.so.6", True), ("libx.so", True), ("ld-linux-x86-64.so.2", True), ("ld.so.1", True),
        ("ld-musl-x86_64.so.1", True), ("libx.a", False), ("x.so", False), ("libx.solid", False), ("lib.txt", False),
    ],
)  # fmt: skip
def test_names_that_ldconfig_looks_at(name: str, is_one: bool) -> None:
    assert is_library_name(name) is is_one


@settings(deadline=None, max_examples=120)
@given(st.data(), st.sampled_from([32, 64]), st.sampled_from(["<", ">"]))
def test_damage_never_raises(data: st.DataObject, bits: int, order: str) -> None:
    library = bytearray(make("libx.so.1", bits=bits, order=order))
    for _ in range(data.draw(st.integers(1, 5))):
        library[data.draw(st.integers(0, len(library) - 1))] = data.draw(
            st.sampled_from([0, 1, 2, 127, 128, 255])
        )
    cut = data.draw(st.integers(0, len(library)))
    found = read_shared_object(
        "libx.so", bytes(library[:cut]) if data.draw(st.booleans()) else bytes(library)
    )
    assert found is None or (found.bits in {32, 64} and "/" not in found.soname)
