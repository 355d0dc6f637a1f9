"""Packages files: what a record says, what is refused, and how records are found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagist.errors import InputError
from imagist.packages.deb.index import Package, parse_installed, parse_record
from imagist.packages.deb.table import IndexTable
from imagist.packages.deb.tablemaker import make_table, write_table
from imagist.packages.deb.universe import PackageList

HASH = "ab" * 32
RECORD = f"""\
Package: base-files
Version: 13.8+deb13u8
Essential: yes
Installed-Size: 500
Architecture: amd64
Source: base (13.8)
Replaces: base, dpkg (<= 1.15.0),
 miscutils
Provides: base, usr-is-merged (= 1)
Pre-Depends: awk
Multi-Arch: foreign
Tag: admin::configuring,
 role::app-data
Priority: required
Filename: pool/main/b/base-files.deb
Size: 88324
SHA256: {HASH}
"""


def record(name: str, *lines: str) -> str:
    more = "".join(f"{line}\n" for line in lines)
    return f"Package: {name}\nVersion: 1\nArchitecture: amd64\n{more}Filename: {name}.deb\nSize: 1\nSHA256: {HASH}\n"


def test_a_record() -> None:
    package = parse_record(RECORD.encode())
    assert package == Package(
        "base-files", "13.8+deb13u8", "amd64", "foreign", essential=True, priority="required",
        source="base", source_version="13.8", size=88324, installed_size=500 * 1024, sha256=HASH,
        filename="pool/main/b/base-files.deb", pre_depends="awk",
        replaces="base, dpkg (<= 1.15.0), miscutils", provides="base, usr-is-merged (= 1)",
    )  # fmt: skip
    assert (package.origin, package.rank) == ("base", 1)
    assert [offer.name for offer in package.offers] == ["base", "usr-is-merged"]
    assert [str(c) for c in package.clauses("replaces", "amd64")][2] == "miscutils"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("Package: base-files", "Package: ../x"), "names no package"),
        (("13.8+deb13u8", "1 2"), "has no version: `1 2`"),
        (("Architecture: amd64", "Architecture: A/B"), "has no architecture"),
        (("foreign", "sometimes"), "has an unknown Multi-Arch: `sometimes`"),
        ((HASH, HASH[:-1]), "has no SHA-256"),
        (("Size: 88324", "Size: many"), "has a Size that is no number"),
        (("Size: 88324", "Size: 0"), "has no size"),
        (("pool/main", "../main"), "has no usable place"),
        (("pool/main", "/pool/main"), "has no usable place"),
        (("Version:", "version:"), "writes Version as `version`"),
        (("Priority: required", "Pre-Depends: x"), "has the field Pre-Depends twice"),
        (("Priority: required", "nonsense"), "has a line that is no field: `nonsense`"),
        (("Priority: required", "Priority: a\x1bb"), "has a control character"),
        ((" role::app-data", " "), "has a line of blanks"),
    ],
)
def test_bad_records(change: tuple[str, str], says: str) -> None:
    with pytest.raises(InputError, match=r"index record|architecture|Multi-Arch") as error:
        parse_record(RECORD.replace(*change, 1).encode())
    assert says in str(error.value)
    assert "\x1b" not in str(error.value)


def test_records_of_a_database_of_installed_packages() -> None:
    def status(text: str) -> bytes:
        return f"Package: a\nStatus: {text}\nVersion: 1\nArchitecture: all\n".encode()

    found = parse_installed(status("install ok installed"))
    assert found is not None
    assert found.architecture == "all"
    assert parse_installed(b"Package: a\nVersion: 1\nArchitecture: all\n") is not None
    assert parse_installed(status("deinstall ok config-files")) is None
    assert parse_installed(status("install ok unpacked")) is None
    # dpkg keeps what it knows of packages that never were there: no version.
    assert parse_installed(b"Package: a\nStatus: purge ok not-installed\n") is None


# -- tables ----------------------------------------------------------------------------------

INDEX = "\n".join(
    [
        record("gawk", "Provides: awk"),
        record("mawk", "Essential: yes", "Provides: awk (= 1), awk (= 2),", " posix-awk"),
        record("awk"),
        f"Version: 2\nPackage: late\nArchitecture: amd64\nFilename: l\nSize: 1\nSHA256: {HASH}\n",
    ]
)


def test_packages_are_found_by_own_and_provided_names() -> None:
    table = IndexTable.open(make_table(INDEX.encode()))
    assert len(table) == 4
    assert [p.name for p in table.providers("awk")] == ["gawk", "mawk", "awk"]
    assert [p.name for p in table.providers("posix-awk")] == ["mawk"]
    assert [p.name for p in table.providers("late")] == ["late"]
    assert table.names() == ["awk", "gawk", "late", "mawk", "posix-awk"]
    assert [p.name for p in table.waiting()] == ["mawk"]
    assert table.providers("mawk")[0] is table.waiting()[0]


@given(st.lists(st.integers(1, 400), max_size=30))
def test_an_index_may_come_in_any_pieces(sizes: list[int]) -> None:
    text, pieces = INDEX.encode(), []
    for size in sizes:
        pieces.append(text[:size])
        text = text[size:]
    parts: list[bytes | memoryview] = []
    write_table([*pieces, text], parts.append)
    assert b"".join(parts) == make_table(INDEX.encode())


@given(st.lists(st.sampled_from("abcdefg"), max_size=12), st.data())
def test_a_table_finds_what_a_list_finds(names: list[str], data: st.DataObject) -> None:
    records = [
        record(name, f"Provides: {', '.join(provided)}") if provided else record(name)
        for name in names
        for provided in [data.draw(st.lists(st.sampled_from("abcdwxyz"), max_size=3))]
    ]
    table = IndexTable.open(make_table("\n".join(records).encode()))
    listed = PackageList(parse_record(each.encode()) for each in records)
    assert table.names() == listed.names()
    for name in "abcdefgwxyz":
        assert table.providers(name) == list(listed.providers(name))


def test_a_record_without_a_name_is_refused_when_the_table_is_made() -> None:
    with pytest.raises(InputError, match="names no package: `Version: 1`"):
        make_table(b"Version: 1\n\nPackage: a\n")


def test_what_no_index_has_is_refused_when_the_table_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for more in ("Depends: " + "a, " * 2_000_000, "X: y\n" * 1_000_000):
        with pytest.raises(InputError, match="index record has more than"):
            make_table(record("a", more).encode())
    monkeypatch.setattr("imagist.packages.tablemaker._MOST", 100)
    provided = ", ".join(f"b{number}" for number in range(101))
    for text in ("\n" * 300, "\n".join([record("a")] * 101), record("a", f"Provides: {provided}")):
        with pytest.raises(InputError, match="more records or names than any"):
            make_table(text.encode())


def test_a_long_value_takes_no_more_time_than_it_is_long() -> None:
    package = parse_record(record("a", "Depends: a" + "\n , a" * 200_000).encode())
    assert package.depends == "a" + " , a" * 200_000


def test_an_empty_index() -> None:
    assert len(IndexTable.open(make_table(b""))) == 0
