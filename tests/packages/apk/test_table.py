from __future__ import annotations

import os
import random
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagist.errors import InputError
from imagist.packages import tablemaker
from imagist.packages.apk.index import Package, format_record, parse_index, split_index
from imagist.packages.apk.table import IndexTable
from imagist.packages.apk.tablemaker import make_table, tabulate, write_table
from imagist.packages.apk.universe import PackageList
from imagist.packages.table import BLOCK
from support import TESTDATA, needs

CHECKSUM = "Q1p+yzm3aTQjUnlVQmw2xD/d+LGz0="


def package(name: str, version: str = "1-r0", *provides: str, **more: tuple[str, ...]) -> Package:
    return Package(name, version, checksum=CHECKSUM, provides=provides, **more)  # type: ignore[arg-type]


def table_of(*packages: Package) -> IndexTable:
    return IndexTable.open(tabulate(packages))


BASH = package("bash", "5-r0", "cmd:bash=5-r0", "/bin/sh")
DASH = package("dash", "1-r0", "/bin/sh")
DASH_OLD = package("dash", "0-r0", "/bin/sh")
DASH_DOC = package("dash-doc", install_if=("docs", "dash=1-r0"))


def test_packages_are_found_by_own_and_provided_names() -> None:
    table = table_of(BASH, DASH, DASH_OLD, DASH_DOC)
    assert len(table) == 4
    assert table.providers("dash") == [DASH, DASH_OLD]
    assert table.providers("/bin/sh") == [BASH, DASH, DASH_OLD]
    assert table.providers("cmd:bash") == [BASH]
    assert table.named("/bin/sh") == []
    assert table.named("bash") == [BASH]
    assert table.names() == ["/bin/sh", "bash", "cmd:bash", "dash", "dash-doc"]


@pytest.mark.parametrize("name", ["", "a", "bas", "bashh", "zsh", "\U0001f41a"])
def test_unknown_names_have_no_providers(name: str) -> None:
    assert table_of(BASH, DASH).providers(name) == []
    assert table_of().providers(name) == []


def test_install_if_is_found_by_what_it_waits_for() -> None:
    table = table_of(BASH, DASH, DASH_DOC)
    assert table.install_if() == [DASH_DOC]
    assert table.install_if_on("docs") == table.install_if_on("dash") == [DASH_DOC]
    assert table.install_if_on("bash") == []


def test_brackets_of_apko_around_install_if() -> None:
    record = f"C:{CHECKSUM}\nP:a\nV:1\ni:"
    text = f"{record}[docs b=1]\n\n{record.replace('P:a', 'P:c')}[]\n\n"
    table = IndexTable.open(make_table(text.encode()))
    assert [each.name for each in table.install_if()] == ["a"]
    assert [each.name for each in table.install_if_on("docs")] == ["a"]
    assert table.install_if_on("[docs") == []


def test_package_that_provides_its_own_name_is_found_once() -> None:
    own = package("a", "1", "a=1", "b", "b=2")
    table = table_of(own)
    assert table.providers("a") == [own]
    assert table.providers("b") == [own]


def test_same_record_is_the_same_object() -> None:
    table = table_of(BASH, DASH)
    assert table.providers("bash")[0] is table.providers("cmd:bash")[0]


def test_records_are_read_only_when_asked_for() -> None:
    broken = f"C:{CHECKSUM}\nP:broken\nV:1\nS:many\n"
    text = f"C:{CHECKSUM}\nP:good\nV:1\n\n{broken}"
    table = IndexTable.open(make_table(text.encode()))
    assert [each.name for each in table.providers("good")] == ["good"]
    with pytest.raises(InputError, match="broken-1 has a number that is none"):
        table.providers("broken")


@pytest.mark.parametrize("space", ["\n", "\n\n", "\n\n\n\n"])
def test_blank_lines_around_records(space: str) -> None:
    records = [f"P:{name}\nC:{CHECKSUM}\nV:1" for name in "abc"]
    text = space + "\n\n\n".join(records) + space
    table = IndexTable.open(make_table(text.encode()))
    assert [table[number].name for number in range(len(table))] == ["a", "b", "c"]


def test_record_without_name_is_refused() -> None:
    with pytest.raises(InputError, match="names no package: `V:1`"):
        make_table(b"P:a\nV:1\n\nV:1\nS:1\n\n")
    with pytest.raises(InputError, match="names no package: `C:1`"):
        make_table(b"C:1\n\nC:2\nP:a\n\n")


def test_record_with_two_names_is_refused_when_it_is_read() -> None:
    for record in (b"P:a\nV:1\nP:b\n", b"C:1\nP:a\nP:b\n"):
        with pytest.raises(InputError, match="two names, the second `b`"):
            IndexTable.open(make_table(record)).providers("a")


def test_table_in_a_file_is_closed_with_the_table(tmp_path: Path) -> None:
    file = tmp_path / "table"
    file.write_bytes(tabulate([BASH, DASH]))
    table = IndexTable.open_file(file)
    assert str(file) in open_files()
    file.unlink()
    assert table.providers("/bin/sh") == [BASH, DASH]
    del table
    assert not [name for name in open_files() if name.startswith(str(file))]


def open_files() -> list[str]:
    links = [Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd")]
    return [str(link.readlink()) for link in links if link.is_symlink()]


@pytest.mark.parametrize("content", [None, b"", b"P:a\n" * 100])
def test_file_that_is_no_table_is_refused(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "table"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError):
        IndexTable.open_file(file)


def test_file_that_lost_its_end_later_is_damaged(tmp_path: Path) -> None:
    """Not a signal, as it would be if the text were mapped."""
    file = tmp_path / "table"
    file.write_bytes(tabulate([BASH, package("long", "1", *[f"p{n}" for n in range(3000)])]))
    table = IndexTable.open_file(file)
    os.truncate(file, 6000)
    with pytest.raises(InputError, match="it changed on the disk"):
        table[1]


def test_what_is_no_table_is_refused() -> None:
    data = tabulate([BASH, DASH])
    for other in (b"", b"P:a\n" * 100, data[1:], data[:-8], data + b"1234"):
        with pytest.raises(InputError, match="index table"):
            IndexTable.open(other)


words = st.text("abc:.é", min_size=1, max_size=3)
packages = st.builds(
    lambda name, provides, install_if: package(name, "1", *provides, install_if=tuple(install_if)),
    words,
    st.lists(st.builds(str.__add__, words, st.sampled_from(["", "=1-r0", "=2"])), max_size=4),
    st.lists(st.builds(str.__add__, words, st.sampled_from(["", ">1"])), max_size=2),
)


@given(st.lists(packages, max_size=8), words)
def test_table_finds_what_a_plain_list_finds(some: list[Package], unknown: str) -> None:
    table, plain = table_of(*some), PackageList(some)
    assert [table[number] for number in range(len(table))] == some
    assert table.names() == sorted(plain.names(), key=str.encode)
    assert table.install_if() == plain.install_if()
    for name in {unknown, *plain.names(), *(n for each in some for n in each.install_if)}:
        assert table.providers(name) == list(plain.providers(name))
        assert table.install_if_on(name) == list(plain.install_if_on(name))


@given(st.lists(packages, max_size=5))
def test_same_packages_make_the_same_table(some: list[Package]) -> None:
    assert tabulate(some) == tabulate(list(some))


LARGE = [
    package(f"name-{number}", "1", f"so:{number % 7}=1", "x" * 90, install_if=(f"w{number % 3}",))
    for number in range(40)
]


def answers(data: bytes) -> object:
    table = IndexTable.open(data)
    return (
        table.names(),
        [table[number] for number in range(len(table))],
        table.install_if(),
        [table.providers(name) for name in table.names()],
        [table.install_if_on(f"w{number}") for number in range(4)],
    )


@given(st.data())
def test_damage_is_found_or_makes_no_difference(data: st.DataObject) -> None:
    table = tabulate(LARGE)
    assert len(table) > 2 * BLOCK
    damaged = bytearray(table)
    damaged[data.draw(st.integers(0, len(table) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = answers(bytes(damaged))
    except InputError:
        return
    assert found == answers(table)


@given(st.lists(packages, max_size=12), st.lists(st.integers(0, 400)), st.integers(1, 200))
def test_pieces_make_no_difference(some: list[Package], cuts: list[int], gathered: int) -> None:
    text = "\n".join(map(format_record, some)).encode()
    places = sorted({0, *(cut for cut in cuts if cut < len(text)), len(text)})
    parts: list[bytes] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tablemaker, "_PIECE", gathered)
        pieces = (memoryview(text)[start:end] for start, end in pairwise(places))
        write_table(pieces, lambda part: parts.append(bytes(part)))
    assert b"".join(parts) == tabulate(some)


@given(st.lists(packages, max_size=5), st.randoms(use_true_random=False))
def test_order_of_the_fields_makes_no_difference(
    some: list[Package], random: random.Random
) -> None:
    records = [format_record(each).splitlines(keepends=True) for each in some]
    for record in records:
        random.shuffle(record)
    space = "\n" * random.randint(1, 4)
    text = space[1:] + space.join(map("".join, records))
    table, plain = IndexTable.open(make_table(text.encode())), table_of(*some)
    assert [table[number] for number in range(len(table))] == some
    assert table.names() == plain.names()
    for name in plain.names():
        assert table.providers(name) == plain.providers(name)
    assert table.install_if() == plain.install_if()


@needs("shared")
def test_table_of_alpine_holds_its_index() -> None:
    blob = (TESTDATA / "apk" / "alpine-3.17" / "APKINDEX.tar.gz").read_bytes()
    text = b"".join(split_index(blob).read_text())
    table = IndexTable.open(make_table(text))
    plain = parse_index(text)
    assert [table[number] for number in range(len(table))] == plain
    listed = PackageList(plain)
    assert table.names() == sorted(listed.names())
    assert all(table.providers(name) == list(listed.providers(name)) for name in table.names())
    assert table.install_if() == listed.install_if()
    assert len(table.install_if()) == 1553
    awaited = {name.split("=")[0] for each in plain for name in each.install_if}
    assert all(table.install_if_on(name) == list(listed.install_if_on(name)) for name in awaited)


def test_opening_does_not_read_the_records() -> None:
    """A quarter of a million records take under a millisecond; generous against busy machines."""
    record = f"C:{CHECKSUM}\nP:name-%d\nV:1.0-r0\nT:{'text ' * 20}\nD:name-1\n\n"
    data = make_table("".join(record % number for number in range(20_000)).encode())
    start = time.perf_counter()
    table = IndexTable.open(data)
    found = table.providers("name-19999")
    assert time.perf_counter() - start < 0.02
    assert [each.name for each in found] == ["name-19999"]
    assert len(table) == 20_000
