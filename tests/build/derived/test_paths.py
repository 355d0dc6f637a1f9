"""Path mutations and declared files over a tree."""

from __future__ import annotations

import pytest

from imagist.build.derived.files import DeclaredFile, put_files
from imagist.build.derived.paths import PathMutation, mutate_paths
from imagist.errors import RequestError
from imagist.rootfs.entry import Entry
from imagist.rootfs.tree import Node, Tree

from .conftest import MemoryContents


@pytest.fixture
def tree() -> Tree:
    tree = Tree()
    for entry in (
        Entry("bin", "symlink", link="usr/bin"),
        Entry("etc", "directory", 0o755, mtime=1),
        Entry("etc/conf", mode=0o640, uid=3, gid=4, mtime=1, size=2, offset=512, sha1=b"s"),
        Entry("etc/loop", "symlink", link="loop"),
        Entry("escape", "symlink", link="../../../etc"),
        Entry("usr", "directory", 0o755),
        Entry("usr/bin", "directory", 0o755),
        Entry("usr/bin/a", mode=0o755, size=1, offset=1536),
        Entry("usr/bin/b", "hardlink", 0o755, link="usr/bin/a"),
        Entry("usr/bin/s", "symlink", 0o777, link="/etc/conf"),
    ):
        tree.put(Node(entry, "base", "sha256:blob"))
    return tree


def mutate(tree: Tree, *mutations: PathMutation) -> list[str]:
    return mutate_paths(tree, MemoryContents(), mutations, epoch=7)


def entry(tree: Tree, path: str) -> Entry:
    node = tree.get(path)
    assert node is not None, path
    return node.entry


def owner(tree: Tree, path: str) -> tuple[int, int, int]:
    found = entry(tree, path)
    return found.mode, found.uid, found.gid


def test_a_directory_is_made_with_parents_that_can_be_entered(tree: Tree) -> None:
    mutate(tree, PathMutation("/data/a/b", "directory", uid=5, permissions=0o2700))
    assert owner(tree, "data/a") == (0o755, 0, 0)
    assert owner(tree, "data/a/b") == (0o2700, 5, 0)
    assert entry(tree, "data/a/b").mtime == 7


def test_without_permissions_folders_get_0755_and_files_0644(tree: Tree) -> None:
    mutate(tree, PathMutation("d", "directory"), PathMutation("d/f", "empty-file"))
    assert owner(tree, "d") == (0o755, 0, 0)
    assert owner(tree, "d/f") == (0o644, 0, 0)


def test_an_existing_directory_keeps_what_is_not_stated(tree: Tree) -> None:
    mutate(tree, PathMutation("/etc", "directory", gid=9))
    assert owner(tree, "etc") == (0o755, 0, 9)
    node = tree.get("etc")
    assert node is not None
    assert node.owner == "base"


def test_symlinked_folders_are_followed_and_never_leave_the_root(tree: Tree) -> None:
    mutate(
        tree,
        PathMutation("/bin/new", "empty-file"),
        PathMutation("/escape/made", "directory"),
        PathMutation("../../up", "directory"),
    )
    assert "usr/bin/new" in tree
    assert "etc/made" in tree
    assert "up" in tree
    assert entry(tree, "bin").kind == "symlink"


def test_empty_file_empties_a_file_and_keeps_its_owner(tree: Tree) -> None:
    mutate(tree, PathMutation("/etc/conf", "empty-file"))
    assert owner(tree, "etc/conf") == (0o640, 3, 4)
    found = entry(tree, "etc/conf")
    assert (found.size, found.offset, found.sha1) == (0, -1, b"")
    node = tree.get("etc/conf")
    assert node is not None
    assert (node.owner, node.blob) == ("", "")


def test_a_hardlink_is_a_second_copy_that_shares_the_metadata(tree: Tree) -> None:
    mutate(tree, PathMutation("/x/hard", "hardlink", source="/etc/conf", permissions=0o600))
    node = tree.get("x/hard")
    assert node is not None
    assert (node.entry.kind, node.entry.offset, node.blob) == ("file", 512, "sha256:blob")
    assert owner(tree, "x/hard") == (0o600, 3, 4) == owner(tree, "etc/conf")


def test_a_hardlink_to_a_hardlink_copies_the_file_and_replaces_what_is_there(tree: Tree) -> None:
    mutate(tree, PathMutation("/etc/conf", "hardlink", source="/bin/b"))
    assert entry(tree, "etc/conf").offset == 1536


def test_permissions_reach_every_name_of_a_packages_file(tree: Tree) -> None:
    mutate(tree, PathMutation("/bin/a", "permissions", uid=1, gid=2, permissions=0o4711))
    assert owner(tree, "usr/bin/a") == (0o4711, 1, 2) == owner(tree, "usr/bin/b")


def test_permissions_through_a_symlink_change_what_it_leads_to(tree: Tree) -> None:
    mutate(tree, PathMutation("/bin/s", "permissions", permissions=0o600))
    assert owner(tree, "etc/conf") == (0o600, 3, 4)
    assert owner(tree, "usr/bin/s") == (0o777, 0, 0)


def test_recursion_leaves_what_symlinks_lead_to_alone(tree: Tree) -> None:
    mutate(tree, PathMutation("/usr", "permissions", uid=6, permissions=0o750, recursive=True))
    assert {owner(tree, path) for path in ("usr", "usr/bin", "usr/bin/a", "usr/bin/b")} == {
        (0o750, 6, 0)
    }
    assert owner(tree, "usr/bin/s") == (0o777, 6, 0)
    assert owner(tree, "etc/conf") == (0o640, 3, 4)


def test_a_symlink_keeps_its_text(tree: Tree) -> None:
    warnings = mutate(
        tree, PathMutation("/etc/new", "symlink", source="../no/where", uid=4, permissions=0o755)
    )
    assert entry(tree, "etc/new").link == "../no/where"
    assert owner(tree, "etc/new") == (0o777, 4, 0)
    assert warnings == [
        "paths[0] (symlink /etc/new): a symlink has no permissions of its own; left out"
    ]


@pytest.mark.parametrize(
    ("mutation", "reason"),
    [
        (PathMutation("/etc", "symlink", source="/usr"), "there is a directory of base already"),
        (PathMutation("/bin", "symlink", source="/other"), "there is a symlink of base already"),
        (PathMutation("/etc/conf/x", "directory"), "/etc/conf is a file"),
        (PathMutation("/etc", "empty-file"), "there is a directory already"),
        (PathMutation("/gone", "permissions", permissions=0o600), "nothing to change"),
        (PathMutation("/etc/loop/x", "directory"), "more than 40 symlinks"),
        (PathMutation("/h", "hardlink", source="/gone"), "not a file of the image"),
        (PathMutation("/h", "hardlink", source="/etc"), "not a file of the image"),
        (PathMutation("/etc/conf", "hardlink", source="/etc/conf"), "link to itself"),
        (PathMutation("/etc", "hardlink", source="/etc/conf"), "a folder already"),
        (PathMutation("/s", "symlink"), "needs a `source`"),
        (PathMutation("/d", "directory", permissions=0o10000), "exceed 0o7777"),
        (PathMutation("/d", "socket"), "`socket` is no type"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_number(
    tree: Tree, mutation: PathMutation, reason: str
) -> None:
    with pytest.raises(RequestError, match=reason) as caught:
        mutate(tree, PathMutation("/ok", "directory"), mutation)
    assert str(caught.value).startswith("paths[1] (")


def test_declared_files_replace_a_packages_file_and_tell_so(tree: Tree) -> None:
    warnings = put_files(
        tree,
        [
            DeclaredFile("/etc/conf", b"hello", permissions=0o600, uid=8, mtime=3),
            DeclaredFile("/srv/app", kind="directory", gid=2),
            DeclaredFile("/srv/app/run", b"#!", permissions=0o755),
            DeclaredFile("/bin/s", b"instead of the link"),
            DeclaredFile("/srv/link", kind="symlink", link="app/run"),
        ],
        epoch=7,
    )
    assert owner(tree, "etc/conf") == (0o600, 8, 0)
    assert (entry(tree, "etc/conf").data, entry(tree, "etc/conf").mtime) == (b"hello", 3)
    assert owner(tree, "srv") == (0o755, 0, 0)
    assert owner(tree, "srv/app") == (0o755, 0, 2)
    assert entry(tree, "usr/bin/s").kind == "file"
    assert entry(tree, "srv/link").link == "app/run"
    assert warnings == [
        "files[0] (/etc/conf) replaces the file of package base",
        "files[3] (/bin/s) replaces the file of package base",
    ]


@pytest.mark.parametrize(
    "file",
    [
        DeclaredFile("/etc", b"x"),
        DeclaredFile("/", b"x"),
        DeclaredFile("/etc/conf/below", b"x"),
        DeclaredFile("/x", permissions=0o20000),
        DeclaredFile("/etc/conf", kind="directory"),
    ],
)
def test_declared_files_that_do_not_fit_are_refused(tree: Tree, file: DeclaredFile) -> None:
    with pytest.raises(RequestError, match=r"^files\[0\]"):
        put_files(tree, [file], epoch=7)
