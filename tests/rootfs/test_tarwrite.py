"""Tar headers: every metadata comes back out of the tars that other programs read."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from imagist.errors import InputError
from imagist.rootfs.batch import Content
from imagist.rootfs.entry import Entry
from imagist.rootfs.tarwrite import END, padding, tar_header, write_tar
from support import needs

KINDS = {
    "file": tarfile.REGTYPE,
    "hardlink": tarfile.LNKTYPE,
    "symlink": tarfile.SYMTYPE,
    "char": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE,
    "directory": tarfile.DIRTYPE,
    "fifo": tarfile.FIFOTYPE,
}
LINKS = {"symlink", "hardlink"}
DEVICES = {"char", "block"}

# Names of any bytes but NUL and slash: what is not UTF-8 comes as surrogate escapes.
RAW = st.binary(min_size=1, max_size=120).map(
    lambda raw: raw.replace(b"\0", b"x").replace(b"/", b"y")
)
NAMES = st.one_of(st.text("ab.-_é漢", min_size=1, max_size=110).map(str.encode), RAW).map(
    lambda raw: raw.decode("utf-8", "surrogateescape")
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
IDS = st.one_of(st.integers(0, 3000), st.integers(0o7777777 - 1, 2**32 - 1))
TIMES = st.one_of(st.integers(-5, 2**31), st.integers(0o77777777777 - 1, 2**36))
XATTRS = st.dictionaries(
    st.text("abc.é", min_size=1, max_size=8).map("user.{}".format),
    st.binary(max_size=300),
    max_size=3,
).map(lambda found: tuple(sorted(found.items())))


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    kind = draw(st.sampled_from(sorted(KINDS)))
    return Entry(
        draw(PATHS),
        kind,  # type: ignore[arg-type]
        draw(st.integers(0, 0o7777)),
        draw(IDS),
        draw(IDS),
        draw(TIMES),
        link=draw(PATHS) if kind in LINKS else "",
        xattrs=draw(XATTRS),
        device=(draw(st.integers(0, 4095)), draw(st.integers(0, 1 << 20)))
        if kind in DEVICES
        else (0, 0),
    )


def pack(items: Iterable[tuple[Entry, Content]]) -> bytes:
    out = bytearray()
    write_tar(items, out.extend)
    return bytes(out)


def read_back(data: bytes) -> list[Entry]:
    """What Python's tarfile finds, as entries."""
    found = []
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        for info in tar:
            kind = next(kind for kind, flag in KINDS.items() if flag == info.type)
            xattrs = {
                key.removeprefix("SCHILY.xattr."): value.encode("utf-8", "surrogateescape")
                for key, value in info.pax_headers.items()
                if key.startswith("SCHILY.xattr.")
            }
            found.append(
                Entry(
                    info.name,
                    kind,  # type: ignore[arg-type]
                    info.mode,
                    info.uid,
                    info.gid,
                    int(info.mtime),
                    info.size,
                    info.linkname,
                    xattrs=tuple(sorted(xattrs.items())),
                    device=(info.devmajor, info.devminor) if kind in DEVICES else (0, 0),
                )
            )
    return found


@settings(max_examples=150, deadline=None)
@given(entries())
def test_tarfile_reads_back_what_was_written(entry: Entry) -> None:
    # tarfile strips trailing slashes, and knows no name of nothing else.
    assume(not entry.path.endswith("/") and not entry.link.endswith("/"))
    assert read_back(tar_header(entry) + END) == [entry]


@settings(max_examples=100, deadline=None)
@given(entries())
def test_headers_are_whole_blocks_with_a_right_checksum(entry: Entry) -> None:
    header = tar_header(entry)
    assert len(header) % 512 == 0
    for block in (header[:512], header[-512:]):
        total = sum(block[:148]) + 8 * 0x20 + sum(block[156:])
        assert block[148:156] == b"%06o\0 " % total
        assert block[257:265] == b"ustar\x0000"


def test_a_plain_entry_is_one_block_without_names_of_users() -> None:
    header = tar_header(Entry("bin/busybox", mode=0o4755, uid=12, gid=34, mtime=56, size=78))
    assert len(header) == 512
    assert header[:11] == b"bin/busybox"
    assert header[100:136] == b"0004755\x000000014\x000000042\x0000000000116\x00"
    assert header[265:329] == bytes(64)


@pytest.mark.parametrize(
    ("change", "blocks"),
    [
        ({"path": "p" * 155 + "/" + "n" * 100}, 1),
        ({"path": "p" * 156 + "/" + "n" * 100}, 3),
        ({"path": "p" * 155 + "/" + "n" * 101}, 3),
        ({"path": "n" * 101}, 3),
        ({"path": "d" * 99, "kind": "directory"}, 1),
        ({"path": "d" * 100, "kind": "directory"}, 3),
        ({"path": "p/" + "d" * 99, "kind": "directory"}, 1),
        ({"kind": "symlink", "link": "l" * 100}, 1),
        ({"kind": "symlink", "link": "l" * 101}, 3),
        ({"path": "é"}, 3),
        ({"path": "\udcff"}, 1),
        ({"uid": 0o7777777}, 1),
        ({"gid": 0o7777777 + 1}, 3),
        ({"mtime": -1}, 3),
        ({"size": 0o77777777777}, 1),
        ({"size": 0o77777777777 + 1}, 3),
        ({"xattrs": (("user.a", b""),)}, 3),
    ],
)
def test_pax_is_used_only_where_ustar_has_no_room(change: dict[str, object], blocks: int) -> None:
    entry = msgspec.structs.replace(Entry("name"), **change)
    header = tar_header(entry)
    assert len(header) == 512 * blocks
    if not entry.size:
        assert read_back(header + END) == [entry]


def test_the_length_of_a_pax_record_counts_its_own_digits() -> None:
    """Around 99/100 and 999/1000 the digits themselves change the length."""
    for size in (*range(60, 110), *range(960, 1010)):
        entry = Entry("name", xattrs=(("user.a", b"v" * size),))
        assert read_back(tar_header(entry) + END) == [entry], size


def test_binary_attributes_stay_bytes() -> None:
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    entry = Entry(
        "bin/ping", xattrs=(("security.capability", capability), ("user.n", b"a\nb\0\xff"))
    )
    header = tar_header(entry)
    assert b"SCHILY.xattr.security.capability=" + capability + b"\n" in header
    assert read_back(header + END) == [entry]


def test_the_root_is_written_as_dot() -> None:
    assert tar_header(Entry("", "directory", 0o755)).startswith(b"./\0")


@pytest.mark.parametrize(
    "entry",
    [Entry("a\0b"), Entry("a", "symlink", link="b\0"), Entry("a", xattrs=(("user.a=b", b""),))],
)
def test_names_that_tar_cannot_carry_are_refused(entry: Entry) -> None:
    with pytest.raises(InputError):
        tar_header(entry)


def test_contents_are_padded_and_the_end_is_two_blocks() -> None:
    sizes = [0, 1, 511, 512, 513, 200_000]
    data = pack((Entry(f"f{size}", size=size), b"x" * size) for size in sizes)
    assert len(data) == sum(512 + size + len(padding(size)) for size in sizes) + 1024
    assert data.endswith(END)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert [len(tar.extractfile(info).read()) for info in tar] == sizes  # type: ignore[union-attr]


def test_pieces_give_the_same_bytes_and_writes_are_large() -> None:
    whole = b"0123456789" * 40_000
    pieces = [whole[i : i + 7_000] for i in range(0, len(whole), 7_000)]
    written: list[bytes] = []
    write_tar([(Entry("f", size=len(whole)), pieces)], written.append)
    assert b"".join(written) == pack([(Entry("f", size=len(whole)), whole)])
    assert min(map(len, written[:-1])) >= 1 << 16


@pytest.mark.parametrize("content", [b"12", b"1234", [b"12", b"34"]])
def test_a_content_of_another_size_is_refused(content: Content) -> None:
    with pytest.raises(InputError, match=r"/f has . bytes, but 3 were announced"):
        pack([(Entry("f", size=3), content)])


SAMPLE = [
    (Entry("dir", "directory", 0o1777, 3, 4, 1_600_000_000), b""),
    (
        Entry("dir/" + "long" * 60, mode=0o4755, uid=3_000_000, mtime=1_600_000_000, size=5),
        b"hello",
    ),
    (Entry("dir/é", "symlink", 0o777, link="t" * 130), b""),
    (Entry("dir/hard", "hardlink", link="dir/" + "long" * 60), b""),
    (Entry("dir/fifo", "fifo", 0o600), b""),
    (Entry("p" * 60 + "/" + "n" * 90, size=3), b"abc"),
]


@needs("tar")
def test_gnu_tar_lists_the_same(tmp_path: Path) -> None:
    (tmp_path / "t.tar").write_bytes(pack(SAMPLE))
    done = subprocess.run(
        ["tar", "--quoting-style=literal", "--numeric-owner", "--utc", "-tvf", "t.tar"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
        env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    )
    assert not done.stderr
    lines = done.stdout.decode().splitlines()
    assert lines[0].split()[:2] == ["drwxrwxrwt", "3/4"]
    assert lines[1].split()[:3] == ["-rwsr-xr-x", "3000000/0", "5"]
    assert lines[1].endswith("dir/" + "long" * 60)
    assert lines[2].endswith("dir/é -> " + "t" * 130)
    assert lines[3].endswith("dir/hard link to dir/" + "long" * 60)
    assert len(lines) == len(SAMPLE)


@needs("bsdtar")
def test_bsdtar_lists_the_same(tmp_path: Path) -> None:
    (tmp_path / "t.tar").write_bytes(pack(SAMPLE))
    done = subprocess.run(
        ["bsdtar", "-tf", "t.tar"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
        env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    )
    assert not done.stderr
    names = [entry.path + "/" * entry.is_directory for entry, _ in SAMPLE]
    assert done.stdout.decode().splitlines() == names
