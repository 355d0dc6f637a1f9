from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from build import layering
from fixtures.maker import Apk, file, folder, hardlink, symlink
from fixtures.maker import build_apk as make
from fixtures.memory import verify
from imagist.build.merge import Merged, merge_packages, owned_entries
from imagist.errors import InputError
from imagist.rootfs.entry import Entry, parent
from imagist.rootfs.tree import Node, Tree


def merge(*apks: Apk) -> tuple[Tree, Merged]:
    tree = Tree()
    return tree, merge_packages(tree, [verify(make(apk, "x86_64")) for apk in apks])


def owner(tree: Tree, path: str) -> str:
    node = tree.get(path)
    assert node is not None
    return node.owner


def conf(name: str, **more: object) -> Apk:
    return Apk(name, items=[file("etc/conf", name)], **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("apks", "wins"),
    [
        ([conf("a"), conf("b", replaces=["a"])], "b"),
        ([conf("b", replaces=["a"]), conf("a")], "b"),
        ([conf("a", replaces=["b"]), conf("b", replaces=["a"])], "b"),
        ([conf("a", replaces=["b"], replaces_priority=2), conf("b", replaces=["a"])], "a"),
        ([conf("a", origin="o"), conf("b", origin="o")], "b"),
        ([conf("a"), conf("b", replaces=["a<2"])], "b"),
    ],
)  # fmt: skip
def test_replaces_and_origin_decide_who_keeps_a_file(apks: Sequence[Apk], wins: str) -> None:
    assert owner(merge(*apks)[0], "etc/conf") == wins


@pytest.mark.parametrize(
    "apks",
    [
        [conf("a"), conf("b")],
        [conf("a"), conf("b", replaces=["a<1"])],
        [Apk("a", items=[file("x", "1")]), Apk("b", items=[file("x/y", "2")], replaces=["a"])],
        [Apk("a", items=[file("x/y", "1")]), Apk("b", items=[file("x", "2")], replaces=["a"])],
        [Apk("a", items=[file("x/y", "1")]), Apk("b", items=[symlink("x", "z")], origin="a")],
        [Apk("a", items=[file("x", "1")]), Apk("b", items=[file("x/y", "1")], parents=False)],
    ],
)  # fmt: skip
def test_conflicts_are_refused_with_both_names_and_the_path(apks: Sequence[Apk]) -> None:
    kinds = {item.path: item.kind for apk in apks for item in apk.items}
    if set(kinds) == {"x", "x/y"} and apks[0].items[0].path == "x" and apks[1].replaces:
        # The folder takes the place of the file it may replace.
        assert merge(*apks)[0].get("x/y") is not None
        return
    with pytest.raises(InputError) as refused:
        merge(*apks)
    text = str(refused.value)
    assert "a" in text
    assert "b" in text
    assert "/x" in text or "/etc/conf" in text


def test_all_conflicts_are_told_at_once_up_to_a_bound() -> None:
    def many(name: str) -> Apk:
        return Apk(name, items=[file(f"f{number}", name) for number in range(50)])

    with pytest.raises(InputError) as refused:
        merge(many("a"), many("b"))
    assert len(refused.value.problems) == 20


def test_equal_files_are_no_conflict() -> None:
    tree, _ = merge(Apk("a", items=[file("f", "1")]), Apk("b", items=[file("f", "1")]))
    assert owner(tree, "f") == "a"


def test_the_images_keys_are_not_given_to_packages() -> None:
    tree = Tree()
    for path in ("etc", "etc/apk", "etc/apk/keys"):
        tree.put(Node(Entry(path, "directory", 0o755)))
    tree.put(Node(Entry("etc/apk/keys/k", data=b"trusted", size=7)))
    thief = verify(make(Apk("thief", items=[file("etc/apk/keys/k", "other")]), "x86_64"))
    with pytest.raises(InputError, match=r"the image and thief"):
        merge_packages(tree, [thief])


def test_what_lands_elsewhere_or_may_be_read_in_two_ways_is_no_layer_of_its_own() -> None:
    tree, merged = merge(
        Apk("base", items=[folder("usr/lib"), symlink("lib", "usr/lib")]),
        Apk("moved", items=[file("lib/m", "1"), hardlink("lib/n", "lib/m")]),
        Apk("bare", items=[file("usr/x/f", "1")], parents=False),
        Apk("odd", items=[file("o", "1"), hardlink("p", "o", mode=0o600)]),
    )
    assert merged.altered.keys() == {"moved", "bare", "odd"}
    assert merged.landed["moved"]["lib/n"] == "usr/lib/n"
    link = tree.get("usr/lib/n")
    assert link is not None
    assert (link.entry.kind, link.entry.link) == ("hardlink", "usr/lib/m")
    folder_ = tree.get("usr/x")
    assert folder_ is not None
    assert folder_.entry.is_directory


def test_a_package_owns_its_folders_and_the_files_it_kept() -> None:
    files = [verify(make(each, "x86_64")) for each in (conf("a"), conf("b", replaces=["a"]))]
    tree = Tree()
    merged = merge_packages(tree, files)
    owned = [
        [
            entry.path
            for entry in owned_entries(tree, each, merged.landed.get(each.package.name, {}))
        ]
        for each in files
    ]
    assert owned == [["etc"], ["etc", "etc/conf"]]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(layering.package_lists())
def test_what_is_not_called_lost_is_whole(apks: list[Apk]) -> None:
    files = [verify(make(each, "x86_64")) for each in apks]
    tree = Tree()
    try:
        merged = merge_packages(tree, files)
    except InputError:
        return
    for each in files:
        name = each.package.name
        owned = tuple(owned_entries(tree, each, merged.landed.get(name, {})))
        assert name in merged.lost or owned == each.entries


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(layering.package_lists())
def test_a_merged_tree_is_one_that_can_be(apks: list[Apk]) -> None:
    """Every path lies in a folder, and every hardlink is one more name of a file like it."""
    try:
        tree, _ = merge(*apks)
    except InputError:
        return
    for node in tree:
        above = tree.get(parent(node.entry.path)) if "/" in node.entry.path else None
        assert "/" not in node.entry.path or (above is not None and above.entry.is_directory)
        if node.entry.kind == "hardlink":
            target = tree.get(node.entry.link)
            assert target is not None
            assert target.entry.kind == "file"
            assert target.blob == node.blob
            assert target.entry.mode == node.entry.mode


def test_hardlinks_that_lead_back_to_themselves_are_refused() -> None:
    files = verify(make(Apk("evil"), "x86_64"))
    entries = [
        Entry("real", "directory", 0o755),
        Entry("s", "symlink", link="real"),
        Entry("s/f", size=3, data=b"abc"),
        Entry("real/f", "hardlink", link="s/f"),
    ]
    evil = msgspec.structs.replace(
        files, entries=tuple(entries), package=msgspec.structs.replace(files.package, origin="e")
    )
    with pytest.raises(
        InputError, match="package evil: the hardlink /real/f leads back to itself"
    ):
        merge_packages(Tree(), [evil])


def test_long_chains_of_hardlinks_settle_on_the_file() -> None:
    files = verify(make(Apk("chain"), "x86_64"))
    # The tree's order, 0 to 9999, meets the longest chain first.
    chain = [Entry(f"{n:05}", "hardlink", link=f"{n + 1:05}") for n in range(10_000)]
    entries = (Entry("10000", data=b"x", size=1), *reversed(chain))
    tree = Tree()
    merge_packages(tree, [msgspec.structs.replace(files, entries=entries)])
    assert {node.entry.link for node in tree if node.entry.kind == "hardlink"} == {"10000"}
