"""ld.so.cache: the same entries, and the same bytes, as ldconfig writes."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagist.build.derived.ldcache import cache_flags, parse_conf, put_ld_cache
from imagist.build.derived.ldformat import (
    CacheEntry,
    format_cache,
    order_of_name,
    parse_cache,
)
from imagist.errors import InputError
from imagist.rootfs.elf import SharedObject, read_shared_object
from imagist.rootfs.entry import Entry
from imagist.rootfs.tree import Node, Tree
from support import find_tool, needs

from .conftest import MemoryContents

X86_64 = 62


def make_library(soname: str, machine: int = X86_64, flags: int = 0, order: str = "<") -> bytes:
    """The smallest 64-bit shared object a loader would look at."""
    strings = b"\0" + soname.encode() + b"\0"
    table = 64 + 2 * 56 + 4 * 16
    dynamic = [(5, table), (10, len(strings)), *([(14, 1)] if soname else []), (0, 0)]
    size = table + len(strings)
    ident = b"\x7fELF" + bytes([2, 1 if order == "<" else 2, 1]) + bytes(9)
    header = struct.pack(
        order + "HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, flags, 64, 56, 2, 64, 0, 0
    )
    load = struct.pack(order + "IIQQQQQQ", 1, 5, 0, 0, 0, size, size, 4096)
    dyn = struct.pack(order + "IIQQQQQQ", 2, 6, 176, 176, 176, 64, 64, 8)
    rows = b"".join(struct.pack(order + "QQ", *row) for row in dynamic)
    return ident + header + load + dyn + rows.ljust(64, b"\0") + strings


def unpacked(root: Path) -> tuple[Tree, dict[str, SharedObject]]:
    """A folder as a tree, with its libraries."""
    tree, libraries = Tree(), {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            file = Path(folder, name)
            path = str(file.relative_to(root))
            if file.is_symlink():
                tree.put(Node(Entry(path, "symlink", link=os.readlink(file))))
            elif file.is_dir():
                tree.put(Node(Entry(path, "directory")))
            else:
                data = file.read_bytes()
                tree.put(Node(Entry(path, size=len(data), data=data)))
                library = read_shared_object(path, data)
                if library:
                    libraries[path] = library
    return tree, libraries


def fill(root: Path, files: dict[str, str | bytes]) -> None:
    """Write files; a text that starts with `->` is a symlink."""
    for path, content in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str) and content.startswith("->"):
            place.symlink_to(content.removeprefix("->"))
        else:
            place.write_bytes(content.encode() if isinstance(content, str) else content)


Z = make_library("libz.so.1")
ROOT: dict[str, str | bytes] = {
    "lib": "->usr/lib",
    "etc/ld.so.conf": "/a # first\n  include x.conf ld.so.conf.d/*.conf\n/b/\n/nope\nhwcap 1 foo\n/d=libc6\n",
    "etc/x.conf": "/c\n",
    "etc/ld.so.conf.d/2.conf": "/usr/lib/second\n",
    "etc/ld.so.conf.d/1.conf": "/usr/lib/first\n/lib/second\n",
    "etc/ld.so.conf.d/.hidden.conf": "/hidden\n",
    "etc/ld.so.conf.d/skipped": "/skipped\n",
    "a/libz.so.1.2.13": Z,
    "a/libz.so.1": "->libz.so.1.2.13",
    "a/libz.so": "->libz.so.1",
    "a/libz.so.1.2": "->libz.so.1.2.13",
    "a/libother.so.3": "->libz.so.1.2.13",
    "b/libz.so.1.2.13": Z,
    "b/libz.so.1.2.9": Z,
    "b/libz.so.1": "->libz.so.1.2.13",
    "b/libplain.so": make_library(""),
    "c/libabs.so.2": "->/a/libz.so.1.2.13",
    "c/libz.so.1": "->../a/libz.so.1",
    "d/libuuid.so.1": make_library("libuuid.so.1"),
    "hidden/libh.so": Z,
    "skipped/libs.so": Z,
    "usr/lib/first/libf.so.1": make_library("libf.so.1"),
    "usr/lib/second/libf.so.1": make_library("libf.so.1"),
    "usr/lib/second/libf.so.10": make_library("libf.so.10"),
    "usr/lib/second/libf.so.9": make_library("libf.so.9"),
    "usr/lib/second/libx.so.1": make_library("libx.so.1", machine=183),
    "usr/lib/glibc-hwcaps/x86-64-v3/libz.so.1.2.13": Z,
    "usr/lib/glibc-hwcaps/x86-64-v3/libz.so.1": "->libz.so.1.2.13",
    "usr/lib/glibc-hwcaps/x86-64-v2/libz.so.1": Z,
    "usr/lib/libz.so.1": Z,
    "usr/lib/zlib.so": Z,
    "usr/lib/libtext.so": "INPUT(libz.so.1)",
    "usr/lib/libgone.so.1": "->missing",
    "usr/lib/libdir.so.1": "->/usr/lib/first",
    "usr/lib/ld-linux.so.2": make_library("ld-linux.so.2"),
    "usr/lib/libz.so.1.2.3-gdb.py": "text",
}


@needs("ldconfig")
def test_the_cache_is_ldconfigs_byte_for_byte(tmp_path: Path) -> None:
    fill(tmp_path, {k: v for k, v in ROOT.items() if k != "usr/lib/second/libx.so.1"})
    ldconfig = find_tool("ldconfig") or "/usr/sbin/ldconfig"
    subprocess.run([ldconfig, "-X", "-r", str(tmp_path)], capture_output=True)
    theirs = (tmp_path / "etc/ld.so.cache").read_bytes()
    tree, libraries = unpacked(tmp_path)
    assert put_ld_cache(tree, MemoryContents(), libraries, epoch=5) == []
    node = tree.get("etc/ld.so.cache")
    assert node is not None
    cache = parse_cache(theirs)
    assert parse_cache(node.entry.data).entries == cache.entries
    assert format_cache(cache.entries, little_endian=True, generator=cache.generator) == theirs
    assert (node.entry.mtime, node.entry.mode) == (5, 0o644)


def cached(root: Path, files: dict[str, str | bytes]) -> list[tuple[str, str]]:
    fill(root, files)
    tree, libraries = unpacked(root)
    put_ld_cache(tree, MemoryContents(), libraries, epoch=5)
    node = tree.get("etc/ld.so.cache")
    assert node is not None
    return [(entry.soname, entry.path) for entry in parse_cache(node.entry.data).entries]


def test_the_file_is_named_where_its_soname_link_is_missing(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"etc/ld.so.conf": "", "usr/lib/libz.so.1.2.13": Z}
    assert cached(tmp_path, files) == [("libz.so.1", "/usr/lib/libz.so.1.2.13")]


def test_merged_folders_count_once_under_their_first_name(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "etc/ld.so.conf": "/lib/multi\n/usr/lib/multi\n",
        "lib": "->usr/lib",
        "usr/lib/multi/libz.so.1": Z,
    }
    assert cached(tmp_path, files) == [("libz.so.1", "/lib/multi/libz.so.1")]


def test_includes_that_go_in_circles_end_with_a_warning() -> None:
    tree = Tree()
    tree.put(Node(Entry("etc/ld.so.conf", data=b"include /etc/ld.so.conf\nrelative\n")))
    warnings = put_ld_cache(tree, MemoryContents(), {}, epoch=5)
    assert any("not an absolute path" in warning for warning in warnings)
    assert any("`relative`, which is not an absolute path" in warning for warning in warnings)


def test_images_without_a_configuration_get_no_cache() -> None:
    tree = Tree()
    assert put_ld_cache(tree, MemoryContents(), {}, epoch=5) == []
    assert len(tree) == 0


def test_a_big_endian_image_gets_a_big_endian_cache(tmp_path: Path) -> None:
    fill(
        tmp_path,
        {"etc/ld.so.conf": "", "usr/lib/libz.so.1": make_library("libz.so.1", 22, 0, ">")},
    )
    tree, libraries = unpacked(tmp_path)
    put_ld_cache(tree, MemoryContents(), libraries, epoch=5)
    node = tree.get("etc/ld.so.cache")
    assert node is not None
    cache = parse_cache(node.entry.data)
    assert not cache.little_endian
    assert cache.entries == (CacheEntry("libz.so.1", "/usr/lib/libz.so.1", 0x0403),)


@pytest.mark.parametrize(
    ("machine", "bits", "flags", "kind"),
    [
        (62, 64, 0, 0x0303),
        (62, 32, 0, 0x0803),
        (3, 32, 0, 0x0003),
        (183, 64, 0, 0x0A03),
        (40, 32, 0x05000400, 0x0903),
        (40, 32, 0x05000200, 0x0B03),
        (40, 32, 0x05000000, 0x0003),
        (21, 64, 2, 0x0503),
        (22, 64, 0, 0x0403),
        (243, 64, 0x5, 0x1003),
        (243, 64, 0x1, 0x0F03),
        (243, 64, 0x3, None),
        (258, 64, 0x43, 0x1203),
        (258, 64, 0x41, 0x1103),
        (8, 32, 0, None),
    ],
)
def test_every_architecture_has_its_kind(
    machine: int, bits: int, flags: int, kind: int | None
) -> None:
    assert cache_flags(SharedObject("p", "s", machine, bits, True, flags)) == kind


def test_a_configuration_line_is_one_folder_or_includes() -> None:
    text = b"/a # x\n\n# only\ninclude\ta.conf  b/*.conf\nhwcap 0 x\n/with space=libc6\n"
    assert list(parse_conf(text)) == [
        ("folder", "/a"),
        ("include", "a.conf"),
        ("include", "b/*.conf"),
        ("folder", "/with space"),
    ]


def test_numbers_in_names_compare_as_numbers() -> None:
    names = ["libf.so", "libf-a.so", "libf.so.9", "libf.so.10", "libf2.so", "libf.so.10.1"]
    assert sorted(names, key=order_of_name) == [
        "libf-a.so", "libf.so", "libf.so.9", "libf.so.10", "libf.so.10.1", "libf2.so",
    ]  # fmt: skip


names = st.text("ab.s1290", min_size=1, max_size=8)
entries = st.lists(
    st.builds(
        CacheEntry,
        soname=names,
        path=names.map("/lib/{}".format),
        flags=st.sampled_from([3, 0x303]),
        hwcaps=st.sampled_from(["", "", "x86-64-v2", "x86-64-v3"]),
    ),
    max_size=8,
)


@given(entries, st.booleans())
def test_entries_survive_writing_and_reading(items: list[CacheEntry], little: bool) -> None:
    data = format_cache(items, little_endian=little, generator="me")
    cache = parse_cache(data)
    assert sorted(cache.entries, key=repr) == sorted(items, key=repr)
    assert (cache.little_endian, cache.generator) == (little, "me")
    assert format_cache(cache.entries, little_endian=little, generator="me") == data


WHOLE = format_cache([CacheEntry("a", "/lib/a", 3, "v2")], little_endian=True)


@pytest.mark.parametrize("size", [*range(0, len(WHOLE), 9), len(WHOLE) - 1])
def test_a_cache_that_ends_early_is_refused(size: int) -> None:
    with pytest.raises(InputError):
        parse_cache(WHOLE[:size])


def conf_tree(**files: str) -> Tree:
    tree = Tree()
    for name, text in {"ld.so.conf": "include *.conf\n", **files}.items():
        tree.put(Node(Entry(f"etc/{name}", data=text.encode())))
    return tree


def test_a_file_that_includes_itself_many_times_is_read_once() -> None:
    tree = conf_tree(**{"ld.so.conf": "include " + "ld.so.conf " * 10 + "\nrelative\n"})
    warnings = put_ld_cache(tree, MemoryContents(), {}, epoch=5)
    assert warnings == [
        "/etc/ld.so.conf lists `relative`, which is not an absolute path; left out"
    ]


def test_includes_have_a_bound_in_depth_and_in_number() -> None:
    chain = {f"{n}.x": f"include {n + 1}.x\n" for n in range(30)}
    deep = conf_tree(**{"ld.so.conf": "include 0.x\n"}, **chain)
    assert put_ld_cache(deep, MemoryContents(), {}, epoch=5) == [
        "/etc/16.x is included more than 16 levels deep; left out"
    ]
    many = conf_tree(**{"ld.so.conf": "".join(f"include {n}*\n" for n in range(500))})
    assert put_ld_cache(many, MemoryContents(), {}, epoch=5) == [
        "/etc/ld.so.conf leads to more than 100 includes; the rest is left out"
    ]


@pytest.mark.parametrize("word", ["", "include "])
def test_paths_longer_than_any_path_are_left_out(word: str) -> None:
    tree = conf_tree(**{"ld.so.conf": word + "/a" * 50_000 + "\n"})
    (warning,) = put_ld_cache(tree, MemoryContents(), {}, epoch=5)
    assert "too long" in warning
