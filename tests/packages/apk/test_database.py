"""The installed database, as apk-tools writes it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import tarfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagist.digest import sha256
from imagist.errors import InputError
from imagist.packages.apk.archive import ApkFiles
from imagist.packages.apk.database import (
    InstalledPackage,
    describe_installed,
    format_installed,
    format_scripts,
    format_triggers,
    parse_installed,
)
from imagist.packages.apk.index import Package
from imagist.rootfs.entry import Entry
from support import TESTDATA, needs

DEMO = Package("demo", "1.0-r0", "x86_64", "Q1Meo+LHGPSi3uY9gIouEVb9z8Fbo=", 10, 20)
SHA1 = hashlib.sha1(b"x").digest()
Z = "Z:Q1EfatjsUqKYSrqv18O1FlA3hcIHI=\n"


def lines(*entries: Entry, **more: Any) -> str:
    """The part of a record that lists files."""
    text = format_installed([InstalledPackage(DEMO, entries, **more)]).decode(
        "utf-8", "surrogateescape"
    )
    assert text.endswith("\n\n")
    return text[text.index("\nI:20\n") + 6 : -1]


def a_file(path: str, **more: Any) -> Entry:
    return Entry(path, sha1=SHA1, **more)


@needs("shared")
def test_the_database_of_apk_tools_is_written_byte_for_byte() -> None:
    text = (TESTDATA / "apk" / "installed-db" / "installed").read_bytes()
    records = parse_installed(text)
    assert format_installed(records) == text
    assert [record.package.name for record in records][:3] == [
        "alpine-baselayout-data",
        "musl",
        "busybox",
    ]
    shadow = next(entry for entry in records[0].entries if entry.path == "etc/shadow")
    assert (shadow.gid, shadow.mode) == (42, 0o640)


@needs("shared")
def test_triggers_are_those_of_apk_tools() -> None:
    text = (TESTDATA / "apk" / "installed-db" / "triggers").read_bytes()
    patterns = ("/bin", "/usr/bin", "/sbin", "/usr/sbin", "/lib/modules/*")
    record = InstalledPackage(DEMO, triggers=patterns)
    assert format_triggers([InstalledPackage(DEMO), record]) == text


@needs("shared")
def test_scripts_have_the_names_apk_tools_gives_them() -> None:
    with tarfile.open(TESTDATA / "apk" / "installed-db" / "scripts.tar") as tar:
        real = {m.name: (m.mode, tar.extractfile(m).read()) for m in tar}  # type: ignore[union-attr]
    records = []
    for record in parse_installed((TESTDATA / "apk" / "installed-db" / "installed").read_bytes()):
        prefix = f"{record.package.name}-{record.package.version}.{record.package.checksum}"
        scripts = tuple(
            (n[len(prefix) :], 0o755, text)
            for n, (_, text) in real.items()
            if n.startswith(prefix)
        )
        records.append(InstalledPackage(record.package, scripts=scripts))
    ours = format_scripts(records, 7)
    assert ours.endswith(bytes(1024))
    with tarfile.open(fileobj=io.BytesIO(ours)) as tar:
        assert {m.name: (m.mode, tar.extractfile(m).read()) for m in tar} == real  # type: ignore[union-attr]
        assert {m.mtime for m in tar} == {7}


def test_no_scripts_are_an_empty_archive() -> None:
    assert format_scripts([InstalledPackage(DEMO)]) == bytes(1024)


def test_files_stand_under_their_folders_whatever_the_order() -> None:
    entries = [
        Entry("usr/bin", "directory", 0o755), a_file("usr/bin/b", mode=0o755), a_file("usr/a"),
        Entry("usr", "directory", 0o755), a_file("usr/bin/a"), a_file("usr/z"),
        Entry("usr-x", "directory", 0o700),
    ]  # fmt: skip
    expected = f"F:usr\nR:a\n{Z}R:z\n{Z}F:usr/bin\nR:a\n{Z}R:b\na:0:0:755\n{Z}F:usr-x\nM:0:0:700\n"
    assert lines(*entries) == expected
    assert lines(*entries[::-1]) == expected


def test_files_in_the_root_are_listed() -> None:
    assert lines(Entry("etc", "directory", 0o755), a_file("init", mode=0o755)) == (
        f"F:\nR:init\na:0:0:755\n{Z}F:etc\n"
    )


def test_folders_that_no_entry_names_are_listed_for_their_files() -> None:
    assert lines(a_file("opt/x/y")) == f"F:opt/x\nR:y\n{Z}"


def test_owners_special_bits_and_links_are_kept() -> None:
    assert lines(
        Entry("tmp", "directory", 0o1777), a_file("tmp/su", mode=0o4755, uid=3, gid=4),
        a_file("tmp/to", kind="symlink", mode=0o777, link="su"),
        Entry("tmp/zh", "hardlink", 0o4755, link="tmp/su"),
        Entry("tmp/zn", "char", 0o666, device=(1, 3)),
    ) == (
        f"F:tmp\nM:0:0:1777\nR:su\na:3:4:4755\n{Z}R:to\na:0:0:777\n{Z}R:zh\na:0:0:4755\n{Z}R:zn\na:0:0:666\n"
    )  # fmt: skip


def test_attributes_are_recorded_by_their_hash() -> None:
    capability = (("security.capability", b"\1\2"),)
    # SHA-1 of 00000013 "security.capability" 00000002 0102
    data = (19).to_bytes(4, "big") + b"security.capability" + (2).to_bytes(4, "big") + b"\1\2"

    expected = "Q1" + base64.b64encode(hashlib.sha1(data).digest()).decode()
    text = lines(a_file("ping", xattrs=capability))
    assert text == f"F:\nR:ping\na:0:0:644:{expected}\n{Z}"
    whole = format_installed([InstalledPackage(DEMO, (a_file("ping", xattrs=capability),))])
    assert format_installed(parse_installed(whole)) == whole


def test_tags_and_unknown_lines_survive() -> None:
    record = InstalledPackage(DEMO, (a_file("etc/x"),), tag="edge", other=("f:b", "X:future"))
    text = format_installed([record])
    assert b"\ns:edge\nf:b\nX:future\nF:etc\n" in text
    [again] = parse_installed(text)
    assert (again.tag, again.other) == ("edge", ("f:b", "X:future"))
    assert format_installed([again]) == text


def test_the_database_of_apko_is_read() -> None:
    text = (
        "P:demo\nV:1.0-r0\nA:x86_64\nL:\nT:words\no:demo\nm:\nU:\nD:\np:\nc:\ni:[]\nt:0\nS:10\nI:20\nk:0\n"
        f"C:{DEMO.checksum}\nF:\nM:0:0:0755\nR:top\na:0:0:0644\n{Z}F:etc\nM:0:0:0755\nR:x\na:501:20:0644\n{Z}\n"
    )
    [record] = parse_installed(text.encode())
    assert (record.package.name, record.package.install_if) == ("demo", ())
    assert [(e.path, e.kind, e.uid, e.gid, e.mode) for e in record.entries] == [
        ("top", "file", 0, 0, 0o644), ("etc", "directory", 0, 0, 0o755), ("etc/x", "file", 501, 20, 0o644),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "bad",
    ["a:0:0:644\n", "F:etc\nM:0:0\n", "F:etc\nM:x:0:755\n", "F:e\nR:x\na:0:0:9\n", "Z:Q1x\n"],
)
def test_malformed_lines_are_our_error(bad: str) -> None:
    head = format_installed([InstalledPackage(DEMO)]).decode().rstrip("\n")
    with pytest.raises(InputError, match=r"demo-1.0-r0"):
        parse_installed(f"{head}\n{bad}\n".encode())


def test_a_line_break_in_a_name_cannot_forge_a_record() -> None:
    with pytest.raises(InputError, match="line break"):
        format_installed([InstalledPackage(DEMO, (a_file("etc/x\nP:forged"),))])


def test_a_verified_package_is_described_with_what_the_index_says() -> None:
    files = ApkFiles(
        DEMO, sha256(b""), 0, sha256(b""), 0, (a_file("a"),),
        scripts=((".trigger", 0o755, b"x"),), triggers=("/usr",),
    )  # fmt: skip
    index = Package("demo", "1.0-r0", description="from the index")
    record = describe_installed(files, package=index, entries=(), tag="edge")
    assert (record.package, record.entries, record.tag) == (index, (), "edge")
    assert describe_installed(files).entries == files.entries
    assert format_triggers([record]) == b" /usr\n"
    assert format_scripts([files]) == format_scripts([describe_installed(files)])


letters = st.text("abZ.-_ é", min_size=1, max_size=4).filter(lambda name: name not in {".", ".."})
paths = st.lists(letters, min_size=1, max_size=3).map("/".join)


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(
        paths, st.tuples(st.booleans(), st.integers(0, 0o7777), st.integers(0, 99)), max_size=8
    ),
    st.randoms(),
)
def test_reading_gives_what_was_written_in_one_order(
    found: dict[str, tuple[bool, int, int]], random: object
) -> None:
    entries = [
        Entry(path, "directory", mode, uid) if is_folder else a_file(path, mode=mode, uid=uid)
        for path, (is_folder, mode, uid) in found.items()
    ]
    text = format_installed([InstalledPackage(DEMO, tuple(entries))])
    random.shuffle(entries)  # type: ignore[attr-defined]
    assert format_installed([InstalledPackage(DEMO, tuple(entries))]) == text
    [again] = parse_installed(text)
    assert format_installed([again]) == text
    assert set(entries) <= set(again.entries)


def test_noise_is_our_error_or_nothing() -> None:
    for text in (b"", b"\n\n", b"noise", b"P:\n", b"F:etc\n", b"C:Q1\nP:x\nV:1\n"):
        with contextlib.suppress(InputError):
            assert parse_installed(text) == []
