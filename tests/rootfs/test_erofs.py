"""EROFS images: what erofs-utils and Linux find in them is the tree that went in."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagist.errors import InputError
from imagist.rootfs.entry import Entry
from imagist.rootfs.erofs import write_erofs
from imagist.rootfs.erofs_format import BLOCK
from support import needs

PINNED = "2055643297920196d1fcc0856eda0ec694e7218a1fada42aa728b63139271be3"
TIME = 1_700_000_000
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
ATTRIBUTES = (("security.capability", CAPABILITY), ("trusted.t", b"t"), ("user.empty", b""))


def file(path: str, data: bytes, mode: int = 0o644, **more: object) -> Entry:
    entry = Entry(path, "file", mode, mtime=TIME, size=len(data), data=data)
    return msgspec.structs.replace(entry, **more)


def pack(entries: Sequence[Entry]) -> bytes:
    out = bytearray()
    write_erofs(entries, [(entry, entry.data) for entry in entries], out.extend)
    assert len(out) % BLOCK == 0
    return bytes(out)


SAMPLE = [
    Entry("usr", "directory", 0o755, mtime=TIME),
    file("usr/setuid", b"hello", 0o4755, uid=3, gid=4),
    file("block", b"x" * BLOCK, uid=70_000, gid=80_000),
    file("more", bytes(range(256)) * 100, mtime=TIME + 7),
    file("empty", b""),
    Entry("link", "symlink", 0o777, mtime=-5, link="usr/setuid"),
    Entry("hard", "hardlink", link="block"),
    Entry("aaa", "hardlink", link="hard"),
    Entry("null", "char", 0o666, mtime=TIME, device=(1, 3)),
    Entry("disk", "block", 0o660, mtime=TIME, device=(259, 70_000)),
    Entry("pipe", "fifo", 0o600, mtime=TIME),
    file("made/up/attributed", b"abc", xattrs=ATTRIBUTES),
    Entry("tmp", "directory", 0o1777, mtime=TIME, xattrs=ATTRIBUTES),
    file("naïve\udcff !", b"bytes"),
    Entry("many", "directory", 0o755, mtime=TIME),
    *(file(f"many/a-rather-long-name-{n:04}", b"%d" % n) for n in range(500)),
]


def test_the_bytes_are_pinned() -> None:
    assert hashlib.sha256(pack(SAMPLE)).hexdigest() == PINNED


def test_pieces_and_other_kinds_in_the_stream_change_nothing() -> None:
    out = bytearray()
    pieces = ((e, [e.data[i : i + 1000] for i in range(0, e.size, 1000)]) for e in SAMPLE)
    write_erofs(SAMPLE, pieces, out.extend)
    assert bytes(out) == pack(SAMPLE)


def test_contents_are_in_the_order_in_which_they_stream() -> None:
    image = pack([file("b", b"first"), file("a", b"second")])
    assert image.endswith(b"first".ljust(BLOCK, b"\0") + b"second".ljust(BLOCK, b"\0"))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([file("a", b""), file("a", b"")], "/a occurs twice"),
        ([file("a", b""), file("a/b", b"")], "/a is not a folder"),
        (
            [file("b", b""), Entry("a", "hardlink", link="b"), file("a/b", b"")],
            "/a is not a folder",
        ),
        ([Entry("a", "hardlink", link="b")], "hardlink to /b"),
        ([Entry("a", "hardlink", link="a")], "hardlink to /a"),
        ([Entry("a", "hardlink", link="d"), Entry("d", "directory")], "hardlink to /d"),
        ([file("n" * 256, b"")], "more than 255 bytes"),
        ([file("a", b"", xattrs=(("system.other", b""),))], "EROFS cannot carry"),
        ([file("a", b"", xattrs=(("user.large", bytes(1 << 16)),))], "EROFS cannot carry"),
    ],
)
def test_what_cannot_be_in_an_image_is_refused(entries: list[Entry], message: str) -> None:
    with pytest.raises(InputError, match=message):
        pack(entries)


@pytest.mark.parametrize("given_", [[], [("a", b"12")], [("b", b"1")], [("a", b"1"), ("a", b"1")]])
def test_contents_that_were_not_announced_are_refused(given_: list[tuple[str, bytes]]) -> None:
    items = [(file(path, b"1"), data) for path, data in given_]
    with pytest.raises(InputError):
        write_erofs([file("a", b"1")], items, lambda _: None)


def test_names_next_to_the_data_never_cross_a_block() -> None:
    """Every length of a target, beside attributes that shift it: none may loop or overlap."""
    for length in (*range(8, 200, 7), *range(BLOCK - 70, BLOCK + 1)):
        link = Entry("l", "symlink", 0o777, link="t" * length, xattrs=(("user.a", b"12345"),))
        image = pack([link, Entry("m", "symlink", 0o777, link="u" * length)])
        assert image.count(b"t" * length) == image.count(b"u" * length) == 1


def extract(image: bytes, folder: Path) -> Path:
    """What fsck.erofs unpacks; owners only where that may be set."""
    (folder / "image").write_bytes(image)
    owner = "--no-preserve-owner" if os.geteuid() else "--preserve-owner"
    args = ["fsck.erofs", f"--extract={folder / 'root'}", owner, "--preserve-perms"]
    done = subprocess.run([*args, str(folder / "image")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "<E>" not in done.stdout + done.stderr
    return folder / "root"


def compare(root: Path, entries: Sequence[Entry], *, mounted: bool) -> None:
    """Every entry against the files; fsck makes copies of hardlinks, and drops special bits."""
    by_path = {entry.path: entry for entry in entries}
    links: dict[str, str] = {}
    for entry in entries:
        target = entry.path
        while by_path[target].kind == "hardlink":
            target = by_path[target].link
        links[entry.path] = target
    for path, target in links.items():
        entry = by_path[target]
        info = (root / path).lstat()
        if mounted:
            assert stat.S_IMODE(info.st_mode) == entry.mode
            assert (info.st_uid, info.st_gid) == (entry.uid, entry.gid)
            assert info.st_mtime == entry.mtime
            assert {
                n: os.getxattr(root / path, n)
                for n in os.listxattr(root / path, follow_symlinks=False)
            } == dict(entry.xattrs)
            if entry.kind == "file":
                assert info.st_nlink == list(links.values()).count(target)
        if entry.kind == "file":
            assert (root / path).read_bytes() == entry.data
        elif entry.kind == "symlink":
            assert os.readlink(root / path) == entry.link
        elif entry.kind in {"char", "block"}:
            assert (os.major(info.st_rdev), os.minor(info.st_rdev)) == entry.device
        else:
            assert (root / path).is_dir() == (entry.kind == "directory")
    found = {str(path.relative_to(root)) for path in root.rglob("*")}
    implied = {str(above) for path in by_path for above in Path(path).parents} - {"."}
    assert found == by_path.keys() | implied


@needs("fsck.erofs")
def test_fsck_finds_and_extracts_the_tree(tmp_path: Path) -> None:
    entries = [e for e in SAMPLE if os.geteuid() == 0 or e.kind not in {"char", "block"}]
    compare(extract(pack(entries), tmp_path), entries, mounted=False)


@needs("dump.erofs")
def test_metadata_are_what_dump_shows(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(pack(SAMPLE))
    args = ["dump.erofs", "--path=/block", str(tmp_path / "image")]
    shown = subprocess.run(args, capture_output=True, text=True, check=True).stdout
    assert "Links: 3" in shown
    assert "Uid: 70000   Gid: 80000" in shown


@contextmanager
def mount(image: bytes, folder: Path) -> Iterator[Path]:
    (folder / "image").write_bytes(image)
    root = folder / "mounted"
    root.mkdir()
    args = ["mount", "-t", "erofs", "-o", "loop,ro", str(folder / "image"), str(root)]
    done = subprocess.run(args, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"needs Linux to mount EROFS here: {done.stderr.strip()}")
    try:
        yield root
    finally:
        subprocess.run(["umount", str(root)], check=True)


@needs("mount")
def test_linux_mounts_the_tree_with_all_metadata(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("needs root, to mount")
    with mount(pack(SAMPLE), tmp_path) as root:
        compare(root, SAMPLE, mounted=True)


NAMES = st.text("ab.!é", min_size=1, max_size=60).filter(lambda name: name not in {".", ".."})
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@st.composite
def trees(draw: st.DrawFn) -> list[Entry]:
    found: dict[str, Entry] = {}
    for path in draw(st.lists(PATHS, unique=True, max_size=25)):
        above = [str(p) for p in Path(path).parents if str(p) != "."]
        if path in found or any(p in found and not found[p].is_directory for p in above):
            continue
        if any(p.startswith(path + "/") for p in found):
            continue
        size = draw(st.sampled_from([0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 10_000]))
        xattrs = draw(st.sampled_from([(), (("user.a", b"1"),), (("user.b", b"2" * 100),)]))
        found[path] = draw(
            st.sampled_from(
                [
                    file(path, b"x" * size, mtime=size, xattrs=xattrs),
                    Entry(path, "directory", 0o755, xattrs=xattrs),
                    Entry(path, "symlink", 0o777, link="t" * (size // 3 + 1), xattrs=xattrs),
                ]
            )
        )
    return list(found.values())


@needs("fsck.erofs")
@settings(max_examples=30, deadline=None)
@given(entries=trees())
def test_any_tree_comes_back(
    entries: list[Entry], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("erofs")
    compare(extract(pack(entries), folder), entries, mounted=False)
    shutil.rmtree(folder)
