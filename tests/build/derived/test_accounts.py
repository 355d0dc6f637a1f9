"""Accounts: what packages bring is kept, what is declared is added, homes are made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagist.build.derived.accounts import (
    Group,
    User,
    add_accounts,
    format_group,
    format_passwd,
    format_shadow,
    parse_group,
    parse_passwd,
    parse_shadow,
    resolve_run_as,
)
from imagist.build.derived.place import make_folders, put_entry, put_file
from imagist.errors import InputError, RequestError
from imagist.rootfs.entry import Entry
from imagist.rootfs.tree import Node, Tree

from .conftest import MemoryContents

PASSWD = (
    b"root:x:0:0:root:/root:/bin/ash\n# a comment\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n"
)
CONTENTS = MemoryContents()
APP = User("app", 500, 500, "/home/app")


def tree_of(*entries: Entry) -> Tree:
    tree = Tree()
    for entry in entries:
        tree.put(Node(entry, "base"))
    return tree


def file(path: str, data: bytes, mode: int = 0o644) -> Entry:
    return Entry(path, mode=mode, mtime=5, size=len(data), data=data, sha1=b"old")


def data(tree: Tree, path: str) -> bytes:
    node = tree.get(path)
    assert node is not None
    return node.entry.data


def test_adds_lines_after_those_of_the_packages_and_keeps_unknown_ones() -> None:
    tree = tree_of(file("etc/passwd", PASSWD), file("etc/group", b"root:x:0:root", 0o600))
    add_accounts(tree, CONTENTS, users=[APP], groups=[Group("app", 500, ("app", "b"))], epoch=9)
    assert (
        data(tree, "etc/passwd")
        == PASSWD + b"app:x:500:500:Account created by apko:/home/app:/bin/sh\n"
    )
    assert data(tree, "etc/group") == b"root:x:0:root\napp:x:500:app,b\n"
    assert data(tree, "etc/shadow") == b"app:!:::::::\n"
    group = tree.get("etc/group")
    assert group is not None
    assert (group.entry.mode, group.entry.mtime, group.owner, group.entry.sha1) == (
        0o600,
        5,
        "",
        b"",
    )


def test_a_tree_without_accounts_gets_an_empty_passwd_and_nothing_else() -> None:
    tree = Tree()
    add_accounts(tree, CONTENTS, epoch=9)
    assert [node.entry.path for node in tree] == ["etc", "etc/passwd"]
    assert data(tree, "etc/passwd") == b""


def test_untouched_files_stay_the_packages_own() -> None:
    tree = tree_of(file("etc/passwd", PASSWD))
    before = tree.get("etc/passwd")
    add_accounts(tree, CONTENTS, epoch=9)
    assert tree.get("etc/passwd") is before


def test_makes_every_home_that_is_missing_with_its_owner() -> None:
    lines = b"f:x:7:8::/var/f:/bin/sh\ng:x:9:9::/dev/null:/bin/sh\nh:x:3:3::/there:/bin/sh\n"
    tree = tree_of(file("etc/passwd", lines), Entry("there", "directory", 0o711))
    add_accounts(tree, CONTENTS, users=[User("w", 1, 2, "/deep/er/w")], epoch=9)
    found = {
        node.entry.path: (node.entry.mode, node.entry.uid, node.entry.gid, node.entry.mtime)
        for node in tree
        if node.entry.is_directory
    }
    assert found["var/f"] == (0o700, 7, 8, 9)
    assert found["deep/er"] == (0o755, 0, 0, 9)
    assert found["deep/er/w"] == (0o700, 1, 2, 9)
    assert found["there"] == (0o711, 0, 0, 0)
    assert "dev/null" not in tree


def test_a_home_through_a_symlink_lands_where_it_leads() -> None:
    tree = tree_of(Entry("var", "directory"), Entry("home", "symlink", link="/var/../data"))
    add_accounts(tree, CONTENTS, users=[APP], epoch=9)
    assert "data/app" in tree
    assert "home/app" not in tree


def test_a_home_that_is_a_file_is_refused() -> None:
    tree = tree_of(Entry("home", "directory"), file("home/app", b""))
    with pytest.raises(InputError, match="home /home/app of user `app` is a file"):
        add_accounts(tree, CONTENTS, users=[APP], epoch=9)


def test_declaring_an_account_again_changes_nothing() -> None:
    tree = Tree()
    add_accounts(tree, CONTENTS, users=[APP], groups=[Group("app", 500)], epoch=9)
    before = data(tree, "etc/passwd"), data(tree, "etc/group"), data(tree, "etc/shadow")
    add_accounts(tree, CONTENTS, users=[APP, APP], groups=[Group("app", 500)], epoch=9)
    assert before == (data(tree, "etc/passwd"), data(tree, "etc/group"), data(tree, "etc/shadow"))


def test_the_same_name_with_other_numbers_is_refused_all_at_once() -> None:
    tree = tree_of(file("etc/passwd", PASSWD), file("etc/group", b"root:x:0:root\n"))
    with pytest.raises(RequestError) as caught:
        add_accounts(
            tree,
            CONTENTS,
            users=[User("nobody", 1, 1, "/"), User("a:b", 4, 4, "/")],
            groups=[Group("root", 7)],
            epoch=9,
        )
    assert [problem.message.split(":")[0] for problem in caught.value.problems] == [
        "group `root` is declared with gid 7, but exists already with 0",
        "user `nobody` is declared with uid 1 and gid 1, but exists already with 65534 and 65534",
        "user `a",
    ]


def test_a_packages_user_takes_the_declared_home_and_shell() -> None:
    tree = tree_of(file("etc/passwd", PASSWD))
    result = add_accounts(
        tree, CONTENTS, users=[User("nobody", 65534, 65534, "/data", "/bin/sh")], epoch=9
    )
    assert b"nobody:x:65534:65534:nobody:/data:/bin/sh\n" in data(tree, "etc/passwd")
    assert data(tree, "etc/passwd").count(b"nobody:x") == 1
    assert len(result.warnings) == 1


def test_a_packages_group_gains_the_declared_members() -> None:
    tree = tree_of(file("etc/group", b"wheel:x:10:root\n"))
    add_accounts(tree, CONTENTS, groups=[Group("wheel", 10, ("root", "app"))], epoch=9)
    assert data(tree, "etc/group") == b"wheel:x:10:root,app\n"


def test_two_names_for_one_number_are_told() -> None:
    result = add_accounts(
        Tree(), CONTENTS, users=[APP, User("other", 500, 500, "/home/o")], epoch=9
    )
    assert result.warnings == ("users `app` and `other` both have uid 500",)


def test_shadow_fields_of_packages_are_kept() -> None:
    text = b"nobody:!:19000:0:99999:7:::\nodd\n"
    tree = tree_of(file("etc/shadow", text, 0o640))
    add_accounts(tree, CONTENTS, users=[APP], epoch=9)
    assert data(tree, "etc/shadow") == text + b"app:!:::::::\n"


@pytest.mark.parametrize(
    ("run_as", "user"),
    [("app", "500"), ("12", "12"), ("app:wheel", "500:10"), ("7:8", "7:8"), ("0", "0")],
)
def test_run_as_becomes_numbers(run_as: str, user: str) -> None:
    accounts = add_accounts(Tree(), CONTENTS, users=[APP], groups=[Group("wheel", 10)], epoch=9)
    assert resolve_run_as(accounts, run_as) == user


@pytest.mark.parametrize("run_as", ["nobody", "app:nogroup", "-1", "", "4294967296", "app:"])
def test_run_as_somebody_unknown_is_refused(run_as: str) -> None:
    accounts = add_accounts(Tree(), CONTENTS, users=[APP], epoch=9)
    with pytest.raises(RequestError, match="the image has no"):
        resolve_run_as(accounts, run_as)


line = st.lists(st.text("abc:0123456789,!*# \x80", max_size=30).map(str), max_size=6).map(
    lambda lines: "".join(text + "\n" for text in lines).encode()
)
plausible = st.lists(
    st.tuples(*[st.sampled_from(["", "a", "0", "12", "007", "x,y", "/"])] * 9), max_size=5
).flatmap(
    lambda rows: st.sampled_from([4, 7, 9]).map(
        lambda count: "".join(":".join(row[:count]) + "\n" for row in rows).encode()
    )
)


@given(line | plausible)
def test_any_account_file_survives_reading_and_writing(text: bytes) -> None:
    assert format_passwd(parse_passwd(text)) == text
    assert format_group(parse_group(text)) == text
    assert format_shadow(parse_shadow(text)) == text


@pytest.mark.parametrize("home", ["/a" * 100_000, "/" + "a" * 256, "/" + "ä" * 128])
def test_a_home_longer_than_any_path_is_refused(home: str) -> None:
    tree = tree_of(file("etc/passwd", f"x:x:5:5::{home}:/bin/sh\n".encode()))
    with pytest.raises(InputError, match="user `x` is longer than any path"):
        add_accounts(tree, CONTENTS, epoch=9)


@pytest.mark.parametrize("path", ["a/" * 100_000, "b" * 256])
def test_no_entry_is_put_at_a_path_longer_than_any(path: str) -> None:
    with pytest.raises(InputError, match="too long"):
        put_entry(Tree(), Entry(path + "/f"))
    with pytest.raises(InputError, match="too long"):
        put_file(Tree(), path, b"", epoch=9)
    with pytest.raises(InputError, match="too long"):
        make_folders(Tree(), path, mtime=9)


def test_no_entry_is_put_where_symlinks_make_a_path_too_long() -> None:
    tree = Tree()
    tree.put(Node(Entry("s", "symlink", link="/".join(["a" * 99] * 40))))
    with pytest.raises(InputError, match="too long"):
        make_folders(tree, "s/" + "/".join(["b" * 99] * 10), mtime=9)
