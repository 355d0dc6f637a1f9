"""Verifying packages: what is right goes into the store, what is wrong leaves nothing there."""

from __future__ import annotations

import gzip as stdlib_gzip
import hashlib
import io
import random
import re
import tarfile
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import corrupt
from fixtures.elf import build_library
from fixtures.maker import (
    Apk,
    Built,
    Item,
    build_apk,
    file,
    folder,
    gzip,
    hardlink,
    load_key,
    symlink,
    write_tar,
)
from fixtures.memory import Memory, MemoryWriter, verify
from imagist.digest import Digest, sha256
from imagist.errors import ImagistError, Untrusted
from imagist.packages.apk.archive import PackageLimits, verify_package
from imagist.rootfs.tarread import Limits
from imagist.store.store import Store


def make(*items: Item, **more: object) -> Built:
    return build_apk(Apk("demo", items=items, **more), "x86_64", key=load_key())  # type: ignore[arg-type]


GOOD = [
    file("etc/demo.conf", "x = 1\n", uid=7, gid=8, mode=0o4640),
    symlink("etc/link", "demo.conf"),
    folder("var/empty", 0o1777),
    file(
        "usr/bin/demo",
        b"\x7fELF" + bytes(3000),
        0o755,
        xattrs={"security.capability": b"\1\0\0\2="},
    ),
    hardlink("usr/bin/other", "usr/bin/demo", mode=0o755),
]


def test_a_good_package_is_described_and_stored() -> None:
    memory = Memory()
    built = make(
        *GOOD,
        scripts={"post-install": "#!/bin/sh\n"},
        triggers=["/usr/bin", "/etc/*"],
        depends=["so:x", "y>1"],
    )
    found = verify(built, memory=memory)
    tar = zlib.decompress(built.data, 31)
    assert found.data == "sha256:" + built.datahash
    assert memory.blobs == {found.data: built.data}
    assert (found.diff_id, found.tar_size, found.data_size) == (
        sha256(tar),
        len(tar),
        len(built.data),
    )
    assert found.package.checksum == built.checksum
    assert (found.package.size, found.package.depends) == (len(built.blob), ("so:x", "y>1"))
    assert found.scripts == ((".post-install", 0o755, b"#!/bin/sh\n"),)
    assert found.triggers == ("/usr/bin", "/etc/*")
    assert found.verbatim == ""
    with tarfile.open(fileobj=io.BytesIO(tar)) as expected:
        assert [entry.path for entry in found.entries] == expected.getnames()
        for entry in found.entries:
            member = expected.getmember(entry.path)
            assert (entry.mode, entry.uid, entry.gid) == (member.mode, member.uid, member.gid)
            if entry.kind == "file":
                content = tar[entry.offset : entry.offset + entry.size]
                assert content == expected.extractfile(member).read()  # type: ignore[union-attr]
                assert entry.sha1 == hashlib.sha1(content).digest()
            if entry.kind == "symlink":
                assert entry.sha1 == hashlib.sha1(entry.link.encode()).digest()
    by_path = {entry.path: entry for entry in found.entries}
    assert by_path["usr/bin/demo"].xattrs == (("security.capability", b"\1\0\0\2="),)
    assert by_path["usr/bin/other"].link == "usr/bin/demo"


def test_libraries_are_listed() -> None:
    found = verify(
        make(
            file("usr/lib/libdemo.so.1.2", build_library("x86_64", "libdemo.so.1")),
            file("usr/lib/libc.so", "GROUP ( libc.so.6 )"),
        )
    )
    assert [(lib.path, lib.soname) for lib in found.libraries] == [
        ("usr/lib/libdemo.so.1.2", "libdemo.so.1")
    ]


def test_data_may_be_several_gzip_members() -> None:
    tar = write_tar(GOOD) + bytes(1024)
    data = b"".join(gzip(tar[at : at + 700]) for at in range(0, len(tar), 700))
    found = verify(make(data=data))
    assert found.diff_id == sha256(tar)
    assert found.entries == verify(make(*GOOD, parents=False)).entries


def test_a_package_without_files_is_fine() -> None:
    assert verify(make()).entries == ()


def test_files_without_recorded_checksums_get_their_own() -> None:
    found = verify(make(file("etc/a", "x", checksum=""), symlink("etc/b", "a", checksum="")))
    assert [entry.sha1 for entry in found.entries[1:]] == [
        hashlib.sha1(b"x").digest(),
        hashlib.sha1(b"a").digest(),
    ]


def test_leading_control_files_in_the_data_are_left_out() -> None:
    found = verify(make(file(".PKGINFO", "old"), file("etc/.hidden", "x"), file(".root", "x")))
    assert [entry.path for entry in found.entries] == ["etc", "etc/.hidden", ".root"]
    assert "control files" in found.verbatim


def refused(built: Built, match: str, **changes: Any) -> None:
    memory = Memory()
    with pytest.raises(Untrusted, match=match) as caught:
        verify(built, memory=memory, **changes)
    assert memory.blobs == {}
    assert all(problem.help for problem in caught.value.problems)


def test_another_package_under_this_name_is_refused() -> None:
    demo = make(*GOOD)
    other = build_apk(Apk("other", items=GOOD), "x86_64", key=load_key())
    refused(
        demo, r"demo-1\.0\.0-r0\.apk is not the package of the index", blob=other.blob, size=None
    )
    # Even where the index vouches for those bytes, the name must be the one asked for.
    refused(other, "calls itself other-1.0.0-r0", name="demo")
    refused(demo, "the version is not 2", version="2")
    refused(demo, "built for x86_64, not for aarch64", arch="aarch64")


def test_noarch_fits_every_architecture() -> None:
    built = build_apk(Apk("demo", items=GOOD), "noarch")
    assert verify(built, arch="riscv64").package.arch == "noarch"


def test_the_data_of_another_package_is_refused() -> None:
    demo, other = make(*GOOD), make(file("etc/other", "x"))
    refused(demo, "does not have the datahash", blob=corrupt.swap_data(demo, other), size=None)


def test_a_file_that_is_not_the_recorded_one_is_refused() -> None:
    refused(
        corrupt.lie_about_content("x86_64"),
        "/etc/liar in liar-1.0.0-r0.apk does not have the SHA-1",
    )
    refused(make(symlink("etc/a", "b", checksum="11" * 20)), "/etc/a .* does not have the SHA-1")
    big = make(file("usr/lib/libx.so", bytes(700_000), checksum="11" * 20))
    refused(big, "/usr/lib/libx.so .* does not have the SHA-1")


def test_a_package_of_another_size_is_refused() -> None:
    demo = make(*GOOD)
    refused(demo, "has [0-9]+ bytes, but the index has", size=len(demo.blob) + 1)
    refused(demo, "is larger than", size=len(demo.blob) - 1)


def test_a_package_without_datahash_is_refused() -> None:
    info = b"pkgname = demo\npkgver = 1.0.0-r0\narch = x86_64\n"
    demo = replace(
        make(*GOOD), control=gzip(write_tar([Item(".PKGINFO", content=info, checksum="")]))
    )
    refused(demo, "has no datahash")


def test_without_index_the_packages_own_signature_decides() -> None:
    demo = make(*GOOD)
    refused(demo, "nothing vouches for demo", checksum="")
    seen = []
    found = verify(
        demo,
        checksum="",
        authenticate=lambda signatures, control: seen.append((signatures, control)),
    )
    [(signatures, control)] = seen
    assert control == demo.control
    assert [name for name, _ in signatures] == [".SIGN.RSA256.demo-test-only.rsa.pub"]
    assert found.package.checksum == demo.checksum

    def refuse(*_: object) -> None:
        raise Untrusted("no key of yours has signed it", help="x")

    refused(demo, "no key of yours", checksum="", authenticate=refuse)


@pytest.mark.parametrize("apk", list(corrupt.hostile_packages()), ids=lambda apk: apk.name)
def test_hostile_packages_are_refused_or_stay_inside(apk: Apk) -> None:
    built = build_apk(apk, "x86_64")
    if apk.name in {"absolute", "follower", "looper"}:
        # These are for the tree to resolve, within its root.
        found = verify(built)
        assert found.verbatim
        assert not any(entry.path.startswith(("/", "..")) for entry in found.entries)
    else:
        refused(built, apk.name)


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ([hardlink("b", "z"), file("z", "x")], "hard links before"),
        ([file("/etc/x", "x")], "absolute names"),
        ([file("./etc/x", "x")], r"begin with \./"),
        ([folder("etc"), folder("etc")], "lists a path twice"),
        ([file("etc/x", "x"), file("etc/x", "x")], "lists a path twice"),
        ([symlink("lib", "usr/lib"), file("lib/x", "x")], "below its own symlinks"),
        ([folder("."), file("x", "x")], "root folder"),
    ],
)
def test_what_no_layer_should_hold_is_not_verbatim(items: list[Item], reason: str) -> None:
    found = verify(make(*items, parents=False))
    assert re.search(reason, found.verbatim)
    paths = [entry.path for entry in found.entries]
    assert len(set(paths)) == len(paths)
    assert all(paths)


@pytest.mark.parametrize(
    ("items", "match"),
    [
        ([hardlink("a", "a")], "not in the package"),
        ([hardlink("a", "b"), hardlink("b", "a")], "is no file"),
        ([folder("a"), hardlink("b", "a")], "is no file"),
        ([hardlink("b", "a"), folder("a")], "is no file"),
        ([file("a/b", "x"), file("a", "x")], "files below /a"),
        ([file("a", "x"), folder("a")], "two different"),
        ([folder(".wh.etc")], "removes other files"),
        ([file("etc/.wh..wh..opq", "")], "removes other files"),
        ([Item("etc/secret", "char", device=(0, 0))], "device 0:0"),
        ([folder("etc", xattrs={"trusted.overlay.opaque": b"y"})], "trusted.overlay.opaque"),
        ([folder("etc", xattrs={"user.overlay.opaque": b"y"})], "user.overlay.opaque"),
        ([folder("etc", xattrs={"user.fuseoverlayfs.opaque": b"y"})], "user.fuseoverlayfs"),
        ([folder(".", xattrs={"trusted.overlay.opaque": b"y"})], "trusted.overlay.opaque"),
        ([file("a", "x", xattrs={"": b"y"})], "attribute without a name"),
        ([file("x" * 256, "x")], "more than 255 bytes"),
    ],
)
def test_entries_that_contradict_each_other_are_refused(items: list[Item], match: str) -> None:
    refused(make(*items, parents=False), match)


def test_devices_that_mark_nothing_are_kept() -> None:
    found = verify(
        make(Item("dev/null", "char", device=(1, 3)), file("a", "x", xattrs={"user.a": b"y"}))
    )
    assert [entry.device for entry in found.entries if entry.kind == "char"] == [(1, 3)]
    assert found.verbatim == ""


def test_a_package_with_headers_that_readers_take_differently_is_not_verbatim() -> None:
    tar = bytearray(write_tar([file("cont", "x", checksum="")]))
    tar[156:157] = b"7"
    tar[148:156] = b" " * 8
    tar[148:156] = b"%06o\0 " % sum(tar[:512])
    found = verify(make(data=gzip(bytes(tar) + bytes(1024))))
    assert [entry.path for entry in found.entries] == ["cont"]
    assert "contiguous" in found.verbatim


def test_damaged_packages_are_refused_at_every_place() -> None:
    blob = make(*GOOD).blob
    for keep in range(0, len(blob), 37):
        refused(make(*GOOD), "demo", blob=blob[:keep])


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_no_flipped_byte_goes_unnoticed(data: st.DataObject) -> None:
    built = make(*GOOD)
    start = len(built.signature)  # the signature is not needed where an index vouches
    blob = bytearray(built.blob)
    blob[data.draw(st.integers(start, len(blob) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ImagistError, match="demo"):
        verify(built, blob=bytes(blob))


def test_bombs_are_refused_in_little_memory() -> None:
    bomb = corrupt.bomb_apk("x86_64", 64 << 20)
    limits = PackageLimits(tar=Limits(total=16 << 20))
    tracemalloc.start()
    refused(bomb, "bomb", limits=limits)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20
    refused(corrupt.pax_bomb("x86_64", 4 << 20), "header of more than")
    head = corrupt.gzip_bomb(4 << 20)
    refused(
        make(),
        "bytes content",
        blob=head,
        size=None,
        limits=PackageLimits(segment_content=1 << 20),
    )
    refused(make(file("x", "x")), "larger than 10 bytes", limits=PackageLimits(file=10))


def test_memory_does_not_grow_with_the_package() -> None:
    class Sink(Memory):
        def writer(self) -> MemoryWriter:
            return Discard(self)

    class Discard(MemoryWriter):
        def write(self, data: bytes | memoryview, /) -> int:
            self.state = getattr(self, "state", hashlib.sha256())
            self.state.update(data)
            return len(data)

        def commit(self, expected: str | None = None) -> Digest:
            return Digest("sha256:" + self.state.hexdigest())

    content = random.Random(1).randbytes(24 << 20)
    built = make(file("usr/lib/libbig.so", content))
    blob = built.blob
    del content
    stream = io.BytesIO(blob)
    tracemalloc.start()
    verify_package(cast("BinaryIO", stream), Sink(), name="demo", checksum=built.checksum)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20


@pytest.mark.parametrize(
    "control",
    [
        [Item("other", content=b"x")],
        [Item(".PKGINFO", content=b"pkgname = demo\nnonsense\n")],
        [Item(".PKGINFO", content=b"pkgver = 1\n")],
        [Item(".PKGINFO", content=b"pkgname = demo\npkgver = 1.0.0-r0\nsize = many\n")],
        [Item(".PKGINFO", content=b"a = b\n"), Item(".PKGINFO", content=b"a = b\n")],
        [symlink(".PKGINFO", "x")],
    ],
)
def test_control_segments_that_say_nothing_clear_are_refused(control: list[Item]) -> None:
    built = replace(make(*GOOD), control=gzip(write_tar(control)))
    memory = Memory()
    with pytest.raises(Untrusted, match="demo"):
        verify(built, memory=memory)
    assert memory.blobs == {}


def test_what_is_no_package_at_all_is_refused() -> None:
    for blob in (b"", b"<html>not found</html>", stdlib_gzip.compress(b"x"), bytes(2000)):
        refused(make(*GOOD), "demo", blob=blob)


def test_the_real_store_keeps_the_data_segment_and_nothing_of_what_is_refused(
    tmp_path: Path,
) -> None:
    store = Store.open(tmp_path / "store")
    built = make(*GOOD)
    found = verify(built, memory=cast("Memory", store))
    assert store.path(found.data).read_bytes() == built.data
    before = sorted(path for path in (tmp_path / "store").rglob("*") if path.is_file())
    other = make(file("etc/other", "x"))
    with pytest.raises(Untrusted):
        verify(
            built, memory=cast("Memory", store), blob=corrupt.swap_data(built, other), size=None
        )
    assert sorted(path for path in (tmp_path / "store").rglob("*") if path.is_file()) == before
