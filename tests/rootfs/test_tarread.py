"""Reading tar: what others write is understood, what is hostile is refused."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import struct
import tarfile
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagist.errors import ImagistError, Untrusted
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


names = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60
).filter(lambda name: name not in {".", ".."})
paths = (
    st.lists(names, min_size=1, max_size=4)
    .map("/".join)
    .filter(lambda path: len(path.encode()) < 900)
)


@st.composite
def infos(draw: st.DrawFn) -> tuple[tarfile.TarInfo, bytes]:
    kind = draw(
        st.sampled_from(
            [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE]
        )
    )
    made = info(
        draw(paths),
        kind,
        mode=draw(st.integers(0, 0o7777)),
        uid=draw(st.integers(0, 1 << 31)),
        gid=draw(st.integers(0, 1 << 22)),
        mtime=draw(st.integers(-(1 << 40), 1 << 40)),
    )
    if kind in {tarfile.SYMTYPE, tarfile.LNKTYPE}:
        made.linkname = draw(paths)
    if kind == tarfile.CHRTYPE:
        made.devmajor, made.devminor = draw(st.integers(0, 255)), draw(st.integers(0, 255))
    return made, draw(st.binary(max_size=1500)) if kind == tarfile.REGTYPE else b""


KINDS = {
    tarfile.REGTYPE: "file", tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink", tarfile.CHRTYPE: "char",
}  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(
    st.lists(infos(), max_size=6),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    st.sampled_from([1 << 20, 512, 333, 4096]),
)
def test_what_tarfile_writes_is_read(
    items: list[tuple[tarfile.TarInfo, bytes]], fmt: int, step: int
) -> None:
    data = make_tar(*items, fmt=fmt)
    found = read(data, step=step)
    assert len(found) == len(items)
    for (entry, content), (made, written) in zip(found, items, strict=True):
        assert (entry.path, entry.kind, entry.mode) == (made.name, KINDS[made.type], made.mode)
        assert (entry.uid, entry.gid, entry.mtime) == (made.uid, made.gid, made.mtime)
        assert (entry.link, content, entry.size) == (made.linkname, written, len(written))
        assert entry.device == (made.devmajor, made.devminor)
        if entry.kind == "file":
            assert data[entry.offset : entry.offset + entry.size] == written


@settings(deadline=None, max_examples=60)
@given(st.lists(infos(), min_size=1, max_size=3), st.data())
def test_damage_raises_nothing_but_our_errors(
    items: list[tuple[tarfile.TarInfo, bytes]], data: st.DataObject
) -> None:
    fmt = data.draw(st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
    archive = bytearray(make_tar(*items, fmt=fmt))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, min(len(archive), 3000) - 1))
        archive[at] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        # With checksums that hold again, more of the reader is reached.
        for at in range(0, len(archive), 512):
            block = archive[at : at + 512]
            if block[257:262] == b"ustar":
                block[148:156] = b" " * 8
                archive[at + 148 : at + 156] = b"%06o\0 " % sum(block)
    with contextlib.suppress(ImagistError):
        read(bytes(archive), limits=Limits(total=1 << 20, entries=50))


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=1600))
def test_noise_raises_nothing_but_our_errors(noise: bytes) -> None:
    with contextlib.suppress(ImagistError):
        read(noise)


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
        read(_sized(big))


def _sized(number: int) -> bytes:
    return _resize(header(b"a"), number.to_bytes(12, "big"))


def _resize(archive: bytes, field: bytes) -> bytes:
    block = bytearray(archive[:512])
    assert len(field) == 12
    block[124:136] = field
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + archive[512:]


def _without_sum() -> bytes:
    """A header whose checksum is no number, and whose signed sum is what -1 once passed for."""
    field = b"xxxxxx\0 "
    block = bytearray(header(b""))
    block[148:156] = field
    missing = -1 - sum(block)
    count = -missing // 128
    block[:count] = b"\x80" * count
    block[count] = (missing + 128 * count) % 256
    return bytes(block)


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
    "negative size": _sized((1 << 96) - 512),
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
    "size of a pax header after a NUL": _resize(header(b"p", kind=b"x"), b"\0" + b"00000000000") + header(b"a"),
    "size after a NUL": _resize(header(b"a"), b"\0" + b"00000002000") + header(b"b") * 2,
    "base 256 of a third kind": header(b"a", owner=b"\xc0".ljust(8, b"\0") + b"0000000\0" * 2),
    "device of a file that is no number": header(b"a", device=b"x".ljust(16, b"\0")),
    "checksum that is no number": _without_sum(),
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
    "two sizes": pax((b"size", b"0")) + _resize(header(b"a"), b"00000001000\0"),
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


def test_too_many_entries_or_bytes_are_refused() -> None:
    data = b"".join(header(b"%d" % n) for n in range(20)) + bytes(1024)
    assert len(read(data, limits=Limits(entries=20))) == 20
    with pytest.raises(Untrusted, match="more than 19 entries"):
        read(data, limits=Limits(entries=19))
    with pytest.raises(Untrusted, match="larger than 2000 bytes"):
        read(data, step=100, limits=Limits(total=2000))
    many = b"".join(pax((b"comment", b"x" * 900)) + header(b"%d" % n) for n in range(20))
    with pytest.raises(Untrusted, match="bytes in PAX headers"):
        read(many + bytes(1024), limits=Limits(extensions=5000))


@pytest.mark.parametrize(
    ("tail", "oddity"),
    [
        (b"", "has no end-of-archive blocks"),
        (bytes(512), "has one end-of-archive block instead of two"),
        (bytes(1024) + b"hidden", "has bytes after its end"),
        (bytes(10240), None),
    ],
)
def test_how_an_archive_ends_is_noted(tail: bytes, oddity: str | None) -> None:
    data = header(b"a") + tail
    for step in (64, 512, 1 << 20):
        reader = TarReader(pieces(data, step), what="x")
        assert len(list(reader)) == 1
        assert reader.size == len(data)
        assert list(reader.oddities) == ([oddity] if oddity else [])


def test_content_that_is_not_asked_for_is_skipped() -> None:
    data = make_tar((info("a"), b"a" * 2000), (info("b"), b"b" * 700))
    for step in (100, 512, 1 << 20):
        reader = TarReader(pieces(data, step), what="x")
        assert [reader.read(9999) if entry.path == "b" else b"" for entry in reader] == [
            b"",
            b"b" * 700,
        ]


def test_a_file_larger_than_the_caller_wants_is_refused() -> None:
    reader = TarReader([make_tar((info("a"), b"a" * 2000))], what="x")
    assert next(iter(reader)).size == 2000
    with pytest.raises(Untrusted, match="more than 1999 bytes"):
        reader.read(1999)
