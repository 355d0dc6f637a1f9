"""Entries of tar headers: PAX and GNU names are understood, what is hostile is refused."""

from __future__ import annotations

import base64
import hashlib
import struct

import pytest

from imagist.errors import Untrusted
from imagist.rootfs.tarread import TarReader
from rootfs.tars import (
    header,
    long,
    only,
    pax,
    read,
    resize,
    sized,
    without_sum,
)


def test_the_checksum_of_an_apk_is_read_in_both_spellings() -> None:
    sha1 = hashlib.sha1(b"x").digest()
    quoted = b"Q1" + base64.b64encode(sha1)
    for value in (sha1.hex().encode(), quoted):
        data = pax((b"APK-TOOLS.checksum.SHA1", value)) + header(b"a") + bytes(1024)
        assert only(data).sha1 == sha1
    with pytest.raises(Untrusted, match="no SHA-1"):
        read(pax((b"APK-TOOLS.checksum.SHA1", b"zz" * 20)) + header(b"a") + bytes(1024))


def test_a_checksum_holds_for_one_entry_only() -> None:
    sha1 = b"11" * 20
    data = pax((b"APK-TOOLS.checksum.SHA1", sha1)) + header(b"a") + header(b"b") + bytes(1024)
    assert [entry.sha1 for entry, _ in read(data)] == [bytes.fromhex("11" * 20), b""]


def test_attributes_keep_their_bytes_and_are_sorted() -> None:
    capability = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0) + b"\n=\0"
    data = pax(
        (b"SCHILY.xattr.user.z", b""), (b"SCHILY.xattr.security.capability", capability)
    ) + header(b"a")
    assert only(data + bytes(1024)).xattrs == (
        ("security.capability", capability),
        ("user.z", b""),
    )


def test_global_headers_hold_until_the_end_and_are_noted() -> None:
    data = pax((b"uid", b"7"), kind=b"g") + header(b"a")
    data += pax((b"uid", b"8")) + header(b"b") + header(b"c") + bytes(1024)
    reader = TarReader([data], what="x")
    assert [entry.uid for entry in reader] == [7, 8, 7]
    assert "has global PAX headers" in reader.oddities


def test_times_are_floored() -> None:
    for text, seconds in ((b"1.9", 1), (b"-1.5", -2), (b"-1.0", -1), (b"0", 0)):
        assert only(pax((b"mtime", text)) + header(b"a") + bytes(1024)).mtime == seconds


def test_numbers_in_base_256_are_read() -> None:
    big = (1 << 95) | (8 << 30)
    owner = b"0000644\0" + ((1 << 63) | 3_000_000).to_bytes(8, "big") + b"0000000\0"
    data = header(b"a", owner=owner, mtime=((1 << 96) - 5).to_bytes(12, "big"))
    entry = only(data + bytes(1024))
    assert (entry.uid, entry.mtime) == (3_000_000, -5)
    with pytest.raises(Untrusted, match="cut off"):
        read(sized(big))


def test_old_archives_say_directory_by_a_slash() -> None:
    assert only(header(b"d/", kind=b"\0", magic=bytes(8)) + bytes(1024)).kind == "directory"


def test_bytes_that_are_no_text_survive_in_names() -> None:
    entry = only(header(b"caf\xe9") + bytes(1024))
    assert entry.path.encode("utf-8", "surrogateescape") == b"caf\xe9"


@pytest.mark.parametrize(
    ("name", "path", "oddity"),
    [
        (b"/etc/x", "etc/x", "has absolute names"),
        (b"./etc/x", "etc/x", "has names that begin with ./ or hold empty parts"),
        (b"etc//x", "etc/x", "has names that begin with ./ or hold empty parts"),
        (b"etc/./x", "etc/x", "has names that begin with ./ or hold empty parts"),
        (b"etc/.x", "etc/.x", None),
        (b"..x", "..x", None),
    ],
)
def test_names_land_inside(name: bytes, path: str, oddity: str | None) -> None:
    reader = TarReader([header(name) + bytes(1024)], what="x")
    assert [entry.path for entry in reader] == [path]
    assert list(reader.oddities) == ([oddity] if oddity else [])


def test_the_root_itself_has_the_empty_path() -> None:
    for name in (b"./", b"/", b"."):
        assert only(header(name, kind=b"5") + bytes(1024)).path == ""


HOSTILE = {
    "climbs": header(b"../x"),
    "climbs in the middle": header(b"a/../../x"),
    "climbs at the end": header(b"a/..", kind=b"5"),
    "hard link climbs": header(b"x", kind=b"1", link=b"../../etc/passwd"),
    "no name": header(b""),
    "file as the root": header(b"."),
    "file with a slash": header(b"x/"),
    "file named as a folder": header(b"x/", kind=b"2", link=b"y"),
    "nul in a path": pax((b"path", b"a\0b")) + header(b"a"),
    "nul in a target": pax((b"linkpath", b"a\0b")) + header(b"a", kind=b"2"),
    "symlink to nothing": header(b"x", kind=b"2"),
    "hard link to nothing": header(b"x", kind=b"1"),
    "path too long": pax((b"path", b"x" * 5000)) + header(b"a"),
    "target too long": pax((b"linkpath", b"x" * 5000)) + header(b"a", kind=b"2"),
    "sparse": header(b"x", kind=b"S"),
    "sparse by pax": pax((b"GNU.sparse.major", b"1")) + header(b"a"),
    "unknown type": header(b"x", kind=b"V"),
    "negative size": sized((1 << 96) - 512),
    "negative owner": header(b"a", owner=b"0000644\0" + b"\xff" * 8 + b"0000000\0"),
    "no number": header(b"a", mtime=b"0000000000x\0"),
    "underscore in a number": header(b"a", mtime=b"1_0\0".ljust(12, b"\0")),
    "pax without a value": header(b"p", size=9, kind=b"x") + b"9 broken\n".ljust(512, b"\0") + header(b"a"),
    "pax with a wrong length": header(b"p", size=9, kind=b"x") + b"99 ab=cd\n".ljust(512, b"\0") + header(b"a"),
    "pax size that is no number": pax((b"size", b"-1")) + header(b"a"),
    "two pax headers": pax((b"uid", b"1")) + pax((b"uid", b"2")) + header(b"a"),
    "pax header for nothing": pax((b"uid", b"1")),
    "huge pax header": header(b"p", size=1 << 30, kind=b"x"),
    "huge long name": header(b"p", size=1 << 30, kind=b"L"),
    "wrong checksum": bytes(header(b"a"))[:-1] + b"\1",
    "goes on after an empty block": header(b"a") + bytes(512) + header(b"b"),
    "cut off in a file": header(b"a", size=5000) + bytes(512),
    "long name and pax path": long(b"etc/secret\0") + pax((b"path", b"etc/b")) + header(b"a"),
    "pax path and long name": pax((b"path", b"etc/b")) + long(b"etc/secret\0") + header(b"a"),
    "long link and pax link": long(b"x\0", b"K") + pax((b"linkpath", b"y")) + header(b"a", kind=b"2", link=b"z"),
    "long name and global path": pax((b"path", b"b"), kind=b"g") + long(b"c\0") + header(b"a"),
    "empty long name": long(b"\0") + header(b"a"),
    "two long names": long(b"b\0") + long(b"c\0") + header(b"a"),
    "time after a NUL": header(b"a", mtime=b"\0" + b"00000002000"),
    "time after padding": header(b"a", mtime=b"  \0" + b"000002000"),
    "time in two parts": header(b"a", mtime=b"0000000\x00200\0"),
    "text after a number": header(b"a", mtime=b"0000000\x00abc\0"),
    "mode after a NUL": header(b"a", owner=b"\0" + b"0000644" + b"0000000\0" * 2),
    "size of a pax header after a NUL": resize(header(b"p", kind=b"x"), b"\0" + b"00000000000") + header(b"a"),
    "size after a NUL": resize(header(b"a"), b"\0" + b"00000002000") + header(b"b") * 2,
    "base 256 of a third kind": header(b"a", owner=b"\xc0".ljust(8, b"\0") + b"0000000\0" * 2),
    "device of a file that is no number": header(b"a", device=b"x".ljust(16, b"\0")),
    "checksum that is no number": without_sum(),
    "attribute without a name": pax((b"SCHILY.xattr.", b"y")) + header(b"a"),
    "attribute with a long name": pax((b"SCHILY.xattr." + b"x" * 256, b"y")) + header(b"a"),
    "name too long": pax((b"path", b"d/" + b"x" * 256 + b"/y")) + header(b"a"),
    "hard link to a name too long": pax((b"linkpath", b"x" * 256)) + header(b"a", kind=b"1"),
}  # fmt: skip


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_archives_are_refused_by_name(data: bytes) -> None:
    end = (
        b""
        if data in (HOSTILE["goes on after an empty block"], HOSTILE["cut off in a file"])
        else bytes(1024)
    )
    with pytest.raises(Untrusted, match=r"x\.tar"):
        read(data + end)


def test_names_of_255_bytes_and_numbers_between_padding_are_read() -> None:
    name = b"d/" + b"x" * 255
    owner = b"   644 \0" + bytes(8) + b" " * 8
    entry = only(pax((b"path", name)) + header(b"a", owner=owner) + bytes(1024))
    assert (entry.path, entry.mode, entry.uid) == (name.decode(), 0o644, 0)


DOUBTFUL = {
    "contiguous files": header(b"a", kind=b"7"),
    "the type before ustar": header(b"a", kind=b"\0"),
    "more than permissions": header(b"a", owner=b"0100644\0" + b"0000000\0" * 2),
    "hold more than ustar": header(b"a", tail=b"tar\0"),
    "an unknown format": header(b"a", magic=b"ustar\0xx"),
    "name prefixes where only some": header(b"a", magic=b"ustar  \0", tail=b"etc".ljust(167, b"\0")),
    "fractions of seconds": pax((b"mtime", b"1700000000.5")) + header(b"a"),
    "two sizes": pax((b"size", b"0")) + resize(header(b"a"), b"00000001000\0"),
    "say a thing twice": pax((b"uid", b"1"), (b"uid", b"2")) + header(b"a"),
    "only some readers understand": pax((b"SCHILY.acl.access", b"user::rwx")) + header(b"a"),
    "without a value": pax((b"path", b"")) + header(b"a"),
    "mixes GNU": long(b"b\0") + pax((b"uid", b"1")) + header(b"a"),
    "after the end of a GNU long name": long(b"b\0c") + header(b"a"),
}  # fmt: skip


@pytest.mark.parametrize(("oddity", "data"), DOUBTFUL.items(), ids=DOUBTFUL.keys())
def test_what_readers_take_differently_is_noted(oddity: str, data: bytes) -> None:
    reader = TarReader([data + bytes(1024)], what="x")
    assert len(list(reader)) == 1
    [noted] = reader.oddities
    assert oddity in noted


@pytest.mark.parametrize(("oddity", "data"), DOUBTFUL.items(), ids=DOUBTFUL.keys())
def test_it_is_noted_among_usual_headers_too(oddity: str, data: bytes) -> None:
    usual = header(b"0")
    reader = TarReader([usual + usual + data + usual + bytes(1024)], what="x")
    assert len(list(reader)) == 4
    [noted] = reader.oddities
    assert oddity in noted


def test_checksums_of_signed_bytes_are_noted() -> None:
    block = bytearray(header(b"caf\xe9"))
    block[148:156] = b"%06o\0 " % (int(block[148:154], 8) - 256)
    reader = TarReader([bytes(block) + bytes(1024)], what="x")
    assert len(list(reader)) == 1
    assert list(reader.oddities) == ["has checksums of signed bytes"]


def test_what_usual_tools_write_is_not_odd() -> None:
    usual = pax(
        (b"mtime", b"1700000000"), (b"uname", b"root"), (b"SCHILY.xattr.user.a", b""),
        (b"APK-TOOLS.checksum.SHA1", b"11" * 20),
    ) + header(b"a")  # fmt: skip
    for data in (usual, long(b"b\0") + header(b"a", magic=b"ustar  \0")):
        reader = TarReader([data + bytes(1024)], what="x")
        assert len(list(reader)) == 1
        assert reader.oddities == {}
