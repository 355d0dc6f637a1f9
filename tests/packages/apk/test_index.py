from __future__ import annotations

import gzip
import tarfile
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.maker import Apk, Item, build_apk, make_index, sign_index, write_tar
from fixtures.maker import gzip as gzip_member
from fixtures.maker import load_key as load_signer
from imagist.errors import InputError, Untrusted
from imagist.packages.apk.dependency import Provide
from imagist.packages.apk.index import (
    IndexArchive,
    Package,
    depends_of,
    format_record,
    install_if_of,
    parse_index,
    parse_record,
    provides_of,
    split_index,
)
from support import TESTDATA, needs

CHECKSUM = "Q1p+yzm3aTQjUnlVQmw2xD/d+LGz0="
RECORD = f"C:{CHECKSUM}\nP:a\nV:1.0-r0\n"


# -- records ---------------------------------------------------------------------------------


def test_every_field_of_a_record() -> None:
    record = (
        f"C:{CHECKSUM}\nP:foo\nV:1.2-r3\nA:aarch64\nS:10\nI:20\nT:A: colon\nU:https://foo.example\n"
        "L:MIT AND BSD\no:source\nm:Ann <ann@foo.example>\nt:1683861708\nc:abc\nk:5\n"
        "D:bar>1 !baz so:libc.so\np:cmd:foo=1.2-r3 virtual\ni:docs foo=1\nr:old<1\nq:7\nX:new"
    )
    assert parse_record(record.encode()) == Package(
        name="foo",
        version="1.2-r3",
        arch="aarch64",
        checksum=CHECKSUM,
        size=10,
        installed_size=20,
        depends=("bar>1", "!baz", "so:libc.so"),
        provides=("cmd:foo=1.2-r3", "virtual"),
        replaces=("old<1",),
        install_if=("docs", "foo=1"),
        origin="source",
        license="MIT AND BSD",
        description="A: colon",
        url="https://foo.example",
        maintainer="Ann <ann@foo.example>",
        commit="abc",
        build_time=1683861708,
        provider_priority=5,
        replaces_priority=7,
    )


def test_absent_and_empty_fields_are_empty() -> None:
    package = parse_record(f"{RECORD}S:\nD:\np:".encode())
    assert package == Package("a", "1.0-r0", checksum=CHECKSUM)


@pytest.mark.parametrize(("value", "expected"), [("[]", ()), ("[docs a=1]", ("docs", "a=1"))])
def test_install_if_as_apko_writes_it(value: str, expected: tuple[str, ...]) -> None:
    assert parse_record(f"{RECORD}i:{value}".encode()).install_if == expected


def test_last_record_needs_no_blank_line() -> None:
    text = f"{RECORD}\n{RECORD.replace('P:a', 'P:b')}"
    for end in ("", "\n", "\n\n", "\n\n\n"):
        packages = parse_index((text.rstrip("\n") + end).encode())
        assert [package.name for package in packages] == ["a", "b"]


def test_empty_index_has_no_packages() -> None:
    assert parse_index(b"") == parse_index(b"\n\n") == []


def test_long_lines_are_read() -> None:
    provides = " ".join(f"ocaml4-intf:Module{number}=abc" for number in range(20_000))
    assert len(parse_record(f"{RECORD}p:{provides}".encode()).provides) == 20_000


def test_text_that_is_no_utf8_does_not_matter_in_a_description() -> None:
    assert parse_record(RECORD.encode() + b"T:caf\xe9").description == "caf\ufffd"


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (f"{RECORD}nonsense", "record of a has a line that is no field: `nonsense`"),
        ("x", "line that is no field: `x`"),
        (RECORD.replace("P:a\n", ""), "names no package"),
        (RECORD.replace("P:a", "P:"), "names no package"),
        (RECORD.replace("P:a", "P:../../etc/passwd"), "names no package: `../../etc"),
        (RECORD.replace("P:a", "P:a b"), "names no package"),
        (RECORD.replace("P:a", "P:a=1"), "names no package"),
        (RECORD.replace("V:1.0-r0", "V:"), "record of a has no version"),
        (RECORD.replace("V:1.0-r0", "V:1/../../2"), "record of a has no version"),
        (RECORD.replace("C:Q1", "C:Q2"), "a-1.0-r0 has no SHA-1 checksum"),
        (RECORD.replace(f"C:{CHECKSUM}\n", ""), "a-1.0-r0 has no SHA-1 checksum"),
        (f"{RECORD}S:many", "a-1.0-r0 has a number that is none"),
        (f"{RECORD}t:-1", "a number that is none"),
        (f"{RECORD}k:1_0", "a number that is none"),
        (f"{RECORD}I:{'9' * 5000}", "a number that is none"),
    ],
)
def test_malformed_record_is_refused_by_name(record: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_index(f"{RECORD.replace('P:a', 'P:before')}\n{record}".encode())
    assert sentence in str(caught.value)


words = st.text("abz019.+-_:", min_size=1, max_size=8)
numbers = st.integers(0, 10**17)
lists = st.lists(words, max_size=3).map(tuple)
lines = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=12)
packages = st.builds(
    Package,
    name=words,
    version=words,
    arch=words,
    checksum=st.just(CHECKSUM),
    size=numbers,
    installed_size=numbers,
    depends=lists,
    provides=lists,
    replaces=lists,
    install_if=lists,
    origin=lines,
    license=lines,
    description=lines,
    url=lines,
    maintainer=lines,
    commit=lines,
    build_time=numbers,
    provider_priority=numbers,
    replaces_priority=numbers,
)


@given(st.lists(packages, max_size=3))
def test_parsing_what_was_formatted_gives_the_same_packages(some: list[Package]) -> None:
    assert parse_index("\n".join(map(format_record, some)).encode()) == some


@needs("shared")
@pytest.mark.parametrize(("folder", "count"), [("alpine-3.16", 4929), ("alpine-3.17", 5004)])
def test_index_of_alpine(folder: str, count: int) -> None:
    archive = split_index((TESTDATA / "apk" / folder / "APKINDEX.tar.gz").read_bytes())
    found = parse_index(read_text(archive))
    assert len(found) == count == read_text(archive).count(b"\nP:")
    assert all(package.checksum and package.size and package.arch for package in found)


@needs("shared")
def test_formatting_gives_the_text_of_alpine() -> None:
    archive = split_index((TESTDATA / "apk" / "alpine-3.17" / "APKINDEX.tar.gz").read_bytes())
    records = read_text(archive).decode().rstrip("\n").split("\n\n")
    ours = [format_record(parse_record(record.encode())).rstrip("\n") for record in records]
    assert ours == records


# -- what packages say -----------------------------------------------------------------------


def test_package_provides_itself_first() -> None:
    package = Package("a", "1-r0", provides=("cmd:a=1-r0", "so:l=1"), depends=("b", "!c"))
    expected = (Provide("a", "1-r0"), Provide("cmd:a", "1-r0"), Provide("so:l", "0.1"))
    assert provides_of(package) == expected
    assert [each.conflict for each in depends_of(package)] == [False, True]
    assert package.file_name == "a-1-r0.apk"


def test_install_if_is_read_as_dependencies() -> None:
    wanted = install_if_of(Package("a", "1", install_if=("docs", "b=1")))
    assert [(each.name, each.version) for each in wanted] == [("docs", ""), ("b", "1")]


@pytest.mark.parametrize(
    ("replaces", "expected"),
    [((), False), (("b",), True), (("x", "b<2"), True), (("b<1",), False), (("virtual",), False)],
)
def test_replaces_names_a_package_and_its_version(
    replaces: tuple[str, ...], *, expected: bool
) -> None:
    other = Package("b", "1.0-r0", provides=("virtual",))
    assert Package("a", "1", replaces=replaces).replaces_files_of(other) is expected


# -- the archive -----------------------------------------------------------------------------

SEGMENT = make_index([build_apk(Apk("hello"), "x86_64")])


def read_text(archive: IndexArchive) -> bytes:
    return b"".join(archive.read_text())


TEXT = read_text(split_index(SEGMENT))


def test_signed_index() -> None:
    blob = sign_index(SEGMENT, load_signer())
    archive = split_index(blob)
    [(name, signature)] = archive.signatures
    assert name == ".SIGN.RSA256.demo-test-only.rsa.pub"
    assert len(signature) * 8 == load_signer().private.key_size
    assert archive.signed == SEGMENT
    assert [package.name for package in parse_index(read_text(archive))] == ["hello"]


def test_unsigned_index_in_several_members() -> None:
    content = gzip.decompress(SEGMENT)
    blob = gzip_member(content[:700]) + gzip_member(content[700:])
    archive = split_index(blob)
    assert archive.signatures == ()
    assert archive.signed == blob
    assert read_text(archive) == TEXT


def test_signed_part_in_several_members() -> None:
    content = gzip.decompress(SEGMENT)
    segment = gzip_member(content[:700]) + gzip_member(content[700:])
    archive = split_index(sign_index(segment, load_signer()))
    assert archive.signed == segment
    assert read_text(archive) == TEXT


def test_order_of_the_entries_does_not_matter() -> None:
    items = [Item("APKINDEX", content=RECORD.encode()), Item("DESCRIPTION", content=b"d")]
    archive = split_index(gzip_member(write_tar(items) + bytes(1024)))
    assert read_text(archive) == RECORD.encode()


def test_text_beside_the_signatures_is_not_signed() -> None:
    """Or an index could be put in front of a rightly signed one."""
    evil = Item("APKINDEX", content=RECORD.encode())
    sign = Item(".SIGN.RSA256.k.rsa.pub", content=b"s")
    blob = gzip_member(write_tar([sign, evil])) + SEGMENT
    assert len(split_index(blob).signed) == 0


def test_old_index_in_a_single_member_has_nothing_signed() -> None:
    items = [Item(".SIGN.RSA.k.rsa.pub", content=b"s"), Item("APKINDEX", content=RECORD.encode())]
    archive = split_index(gzip_member(write_tar(items) + bytes(1024)))
    assert [name for name, _ in archive.signatures] == [".SIGN.RSA.k.rsa.pub"]
    assert len(archive.signed) == 0
    assert read_text(archive) == RECORD.encode()


def test_index_twice_is_refused() -> None:
    items = [Item("APKINDEX", content=b"x"), Item("APKINDEX", content=b"y")]
    with pytest.raises(Untrusted, match="more than one APKINDEX"):
        read_text(split_index(gzip_member(write_tar(items))))


def test_archive_without_an_index_is_refused() -> None:
    with pytest.raises(InputError, match=r"the index of /repo has no APKINDEX"):
        read_text(split_index(gzip_member(write_tar([])), what="the index of /repo"))


@pytest.mark.parametrize("signer", [None, load_signer()])
def test_bomb_is_refused_at_the_limit(signer: None) -> None:
    bomb = gzip_member(write_tar([Item("APKINDEX", content=bytes(4 << 20))]), 9)
    blob = sign_index(bomb, signer)
    assert len(blob) < 10_000
    with pytest.raises(Untrusted, match="more than"):
        read_text(split_index(blob, limit=1 << 20))


def test_limit_counts_all_members() -> None:
    items = write_tar([Item("APKINDEX", content=bytes(90_000))])
    blob = gzip_member(items[:60_000]) + gzip_member(items[60_000:])
    assert len(read_text(split_index(blob, limit=100_000))) == 90_000
    with pytest.raises(Untrusted, match="more than"):
        read_text(split_index(blob, limit=80_000))


def test_sparse_bomb_is_not_blown_up() -> None:
    info = tarfile.TarInfo("APKINDEX")
    info.type = tarfile.GNUTYPE_SPARSE
    info.size = 0
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(info)
    with pytest.raises(InputError):
        read_text(split_index(gzip_member(out.getvalue())))


@pytest.mark.parametrize("blob", [b"", b"<html>not found</html>", b"\x1f\x8b"])
def test_what_is_no_gzip_is_refused(blob: bytes) -> None:
    with pytest.raises(InputError, match="the package index"):
        read_text(split_index(blob))


@given(st.data())
def test_damage_is_always_an_input_error(data: st.DataObject) -> None:
    blob = bytearray(sign_index(SEGMENT, load_signer()))
    place = data.draw(st.integers(0, len(blob) - 1))
    if data.draw(st.booleans()):
        del blob[place:]
    else:
        blob[place] ^= data.draw(st.integers(1, 255))
    try:
        archive = split_index(bytes(blob))
        text = read_text(archive)
    except InputError:
        return
    # Headers of gzip hold bytes that mean nothing: then all is as it was, or the signature tells.
    assert text == TEXT or archive.signed != SEGMENT


@pytest.mark.parametrize("bad", ["\0", "\x1b[2J", "\x7f", "\x9b", "a" * 300])
@pytest.mark.parametrize("field", ["P:a", "V:1.0-r0"])
def test_control_characters_and_endless_texts_are_no_names_or_versions(
    field: str, bad: str
) -> None:
    with pytest.raises(InputError):
        parse_record(RECORD.replace(field, field + bad).encode())
