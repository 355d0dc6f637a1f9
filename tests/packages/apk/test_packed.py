"""Packages survive the memo unchanged."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagist.digest import sha256
from imagist.errors import InputError
from imagist.packages.apk.archive import ApkFiles
from imagist.packages.apk.index import Package
from imagist.packages.apk.packed import decode_package_files, encode_package_files
from imagist.rootfs.elf import SharedObject
from imagist.rootfs.entry import Entry

names = (
    st.binary(min_size=1, max_size=12)
    .filter(lambda name: b"\0" not in name)
    .map(lambda name: name.decode("utf-8", "surrogateescape"))
)
whole = st.integers(0, (1 << 63) - 1)
entries = st.builds(
    Entry,
    path=names,
    kind=st.sampled_from(["file", "directory", "symlink", "hardlink", "char", "block", "fifo"]),
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, (1 << 32) - 2),
    gid=st.integers(0, (1 << 32) - 2),
    mtime=st.integers(-(1 << 62), 1 << 62),
    size=whole,
    link=st.just("") | names,
    offset=st.integers(-1, 1 << 50),
    sha1=st.just(b"") | st.binary(min_size=20, max_size=20).filter(any),
    xattrs=st.just(()) | st.tuples(st.tuples(names, st.binary(max_size=9))),
    device=st.just((0, 0)) | st.tuples(st.integers(0, 999), st.integers(0, 999)),
)


@settings(deadline=None, max_examples=40)
@given(st.lists(entries, max_size=8), names, st.booleans())
def test_what_is_packed_is_unpacked_the_same(
    found: list[Entry], text: str, with_library: bool
) -> None:
    libraries: tuple[SharedObject, ...] = ()
    if found and with_library:
        # A path stands once in a package; the last of equal ones is the one a test list means.
        libraries = (SharedObject(found[-1].path, text, 62, 64, True, 5),)
    files = ApkFiles(
        Package("demo", "1-r0", "x86_64", depends=("a", "b>1"), build_time=5),
        sha256(b"data"), 17, sha256(b"tar"), 1024,
        tuple(found), libraries, text, ((".post-install", 0o755, b"#!/bin/sh"),), ("/usr/*",),
    )  # fmt: skip
    assert decode_package_files(encode_package_files(files)) == files


@pytest.mark.parametrize("keep", [0, 1, 10, 60, 200, -1])
def test_bytes_of_another_format_are_our_error(keep: int) -> None:
    files = ApkFiles(
        Package("demo", "1"), sha256(b""), 0, sha256(b""), 0, (Entry("a"), Entry("b"))
    )
    with pytest.raises(InputError, match="memo"):
        decode_package_files(encode_package_files(files)[:keep])
