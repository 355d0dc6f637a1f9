"""Links of busybox."""

from __future__ import annotations

import subprocess
from pathlib import Path

from imagist.build.derived.busybox import applet_names, applet_paths, link_busybox
from imagist.rootfs.entry import Entry
from imagist.rootfs.tree import Node, Tree
from support import find_tool, needs

from .conftest import MemoryContents

NAMES = ["[", "[[", "arping", "ash", "awk", "cat", "ls", "mkfs.ext2", "modprobe", "zcip"]
TABLE = b"\x7fELF\x80\x82\x00" + "\0".join(NAMES).encode() + b"\0\0/var/log\0"


def tree_of(*entries: Entry) -> Tree:
    tree = Tree()
    for entry in entries:
        tree.make_parents(entry.path)
        tree.put(Node(entry, "busybox"))
    return tree


def file(path: str, data: bytes) -> Entry:
    return Entry(path, mode=0o755, mtime=77, size=len(data), data=data)


def links(tree: Tree) -> dict[str, str]:
    return {node.entry.path: node.entry.link for node in tree if node.entry.kind == "symlink"}


def test_the_table_in_the_binary_is_found_between_other_strings() -> None:
    noise = b"dog\0cat\0x\0" + b"cat\0" * 3
    assert applet_names(noise + TABLE + b"\0cat\0dog\0") == NAMES


def test_a_binary_without_a_table_has_no_names() -> None:
    assert applet_names(b"\0cat\0dog\0") == []
    tree = tree_of(file("bin/busybox", b"nothing"))
    assert link_busybox(tree, MemoryContents(), epoch=5) != []
    assert links(tree) == {}


def test_names_go_where_busybox_puts_them_by_default() -> None:
    assert applet_paths(TABLE) == [
        "usr/bin/[", "usr/bin/[[", "usr/sbin/arping", "bin/ash", "usr/bin/awk", "bin/cat", "bin/ls",
        "sbin/mkfs.ext2", "sbin/modprobe", "sbin/zcip",
    ]  # fmt: skip


def test_links_are_absolute_and_what_exists_is_kept() -> None:
    tree = tree_of(file("bin/busybox", TABLE), file("bin/cat", b"own"))
    assert link_busybox(tree, MemoryContents(), epoch=5) == []
    found = links(tree)
    assert found["usr/sbin/arping"] == "/bin/busybox"
    assert len(found) == len(NAMES) - 1
    node = tree.get("bin/ls")
    assert node is not None
    assert (node.entry.mtime, node.owner) == (77, "")


def test_the_packages_list_decides_and_empty_lines_are_none() -> None:
    listed = b"/bin/ls\n\n/opt/a/b\nbin/rel"
    tree = tree_of(file("bin/busybox", TABLE), file("etc/busybox-paths.d/busybox", listed))
    link_busybox(tree, MemoryContents(), epoch=5)
    assert sorted(links(tree)) == ["bin/ls", "bin/rel", "opt/a/b"]
    opt, folder = tree.get("opt"), tree.get("opt/a")
    assert opt is not None
    assert folder is not None
    assert (opt.entry.mtime, folder.entry.mtime) == (5, 77)


def test_on_merged_usr_a_link_is_made_once() -> None:
    tree = tree_of(file("usr/bin/busybox", TABLE), Entry("bin", "symlink", link="usr/bin"))
    link_busybox(tree, MemoryContents(), epoch=5)
    assert "usr/bin/ls" in tree
    assert "bin/ls" not in tree
    busybox = tree.get("usr/bin/busybox")
    assert busybox is not None
    assert busybox.entry.kind == "file"


def test_an_image_without_busybox_gets_nothing() -> None:
    tree = tree_of(file("etc/busybox-paths.d/busybox", b"/bin/ls\n"))
    assert link_busybox(tree, MemoryContents(), epoch=5) == []
    assert links(tree) == {}


@needs("busybox")
def test_names_and_places_are_those_the_binary_prints_itself() -> None:
    binary = find_tool("busybox") or "busybox"

    def printed(flag: str) -> list[str]:
        return subprocess.run([binary, flag], capture_output=True, text=True).stdout.split()

    data = Path(binary).read_bytes()
    assert applet_names(data) == printed("--list")
    # Debian moves readlink, which may be needed before /usr is there.
    assert set(applet_paths(data)) ^ set(printed("--list-full")) <= {
        "bin/readlink", "usr/bin/readlink",
    }  # fmt: skip


def test_listed_paths_that_cannot_be_are_left_out_with_a_warning() -> None:
    lines = [b"/bin/cat", b"/bin/" + b"a/" * 100_000, b"/bin/" + b"n" * 256, b"/bin/\0", b""]
    tree = tree_of(file("bin/busybox", b""), file("etc/busybox-paths.d/x", b"\n".join(lines)))
    (warning,) = link_busybox(tree, MemoryContents(), epoch=5)
    assert "/etc/busybox-paths.d/x lists 3 paths" in warning
    assert links(tree) == {"bin/cat": "/bin/busybox"}


def test_listed_names_that_are_not_utf8_keep_their_bytes() -> None:
    tree = tree_of(
        file("bin/busybox", b""),
        file("etc/busybox-paths.d/x", b"/bin/\xff\n/bin/" + b"\xff" * 255),
    )
    assert link_busybox(tree, MemoryContents(), epoch=5) == []
    assert set(links(tree)) == {"bin/\udcff", "bin/" + "\udcff" * 255}
