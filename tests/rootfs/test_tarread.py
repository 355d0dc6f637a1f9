"""Reading tar: what others write is understood, and an archive ends where all readers agree."""

from __future__ import annotations

import contextlib
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagist.errors import ImagistError, Untrusted
from imagist.rootfs.tarread import Limits, TarReader
from rootfs.tars import header, info, make_tar, pax, pieces, read

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
