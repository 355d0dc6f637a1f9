from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import cast

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from build import layering
from build.layering import add, build, see, wanted
from fixtures.maker import EPOCH, Apk, build_apk, file, folder, hardlink, symlink
from fixtures.memory import Memory, verify
from imagist.build.assemble import BuiltLayer
from imagist.build.contents import StoreContents
from imagist.errors import InputError, Untrusted
from imagist.oci import mediatype
from imagist.oci.image import Layer
from imagist.packages.apk.archive import ApkFiles
from imagist.rootfs.entry import Entry
from imagist.rootfs.tree import Node, Tree
from imagist.store.store import Store

quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much]
)
BIG = hashlib.shake_256(b"big").digest(80_000)


def layers_of(
    apks: Sequence[Apk], strategy: str = "package", budget: int = 60
) -> tuple[list[ApkFiles], Tree, list[Layer], list[BuiltLayer]]:
    packages = add(apks)
    tree, built = build(packages, strategy, budget)
    return packages, tree, [each.layer for each in built], built


@quick
@given(layering.package_lists(), st.integers(0, 5))
def test_every_strategy_and_budget_gives_the_tree(apks: list[Apk], budget: int) -> None:
    packages = add(apks)
    assume(layering.merges(packages))
    for strategy in layering.STRATEGIES:
        tree, built = build(packages, strategy, budget)
        assert see([each.layer for each in built]) == wanted(tree), strategy


@quick
@given(layering.package_lists(), layering.package_lists(), st.sampled_from(layering.STRATEGIES))
def test_layers_over_a_base_give_the_tree(base: list[Apk], apks: list[Apk], strategy: str) -> None:
    below = add(base)
    assume(layering.merges(below))
    ground, under = build(below, "single", 1)
    seen_below = Tree()
    for node in ground:
        seen_below.put(Node(node.entry, "", node.blob))
    packages = add(apks)
    try:
        tree, over = build(packages, strategy, 3, seen_below)
    except InputError:
        assume(False)
    assert see([each.layer for each in (*under, *over)]) == wanted(tree)


def test_a_large_package_is_a_layer_as_it_was_signed() -> None:
    packages, _, layers, built = layers_of(
        [
            Apk("large", items=[file("usr/large", BIG)]),
            Apk("small", items=[file("usr/small", "x")]),
        ]
    )
    large = packages[0]
    assert layers[0].digest == large.data
    assert layers[0].diff_id == large.diff_id
    assert "large-1.0.0-r0" in built[0].created_by
    assert large.data not in [layer.digest for layer in layers[1:]]


def test_what_is_verbatim_has_the_digest_of_the_data_segment_even_when_overwritten() -> None:
    packages, tree, layers, _ = layers_of(
        [
            Apk("old", items=[file("etc/conf", b"old" + BIG)]),
            Apk("new", items=[file("etc/conf", b"new" + BIG)], replaces=["old"]),
        ]
    )
    assert {packages[0].data, packages[1].data} <= {layer.digest for layer in layers}
    assert see(layers) == wanted(tree)


def test_hardlinks_stay_hardlinks_where_they_and_their_file_share_a_layer() -> None:
    items = [file("usr/a", "text"), hardlink("usr/b", "usr/a")]
    for strategy in layering.STRATEGIES:
        _, _, layers, _ = layers_of([Apk("linked", items=items)], strategy)
        kinds = {n.entry.path: n.entry.kind for n in layering.read_layer(layers[0])}
        assert kinds["usr/b"] == "hardlink", strategy


def test_a_hardlink_keeps_its_content_when_its_file_goes_to_another_package() -> None:
    apks = [
        Apk("first", items=[file("etc/f", "first"), hardlink("etc/g", "etc/f")]),
        Apk("second", items=[file("etc/f", "second")], replaces=["first"]),
    ]
    for strategy in layering.STRATEGIES:
        _, _, layers, _ = layers_of(apks, strategy)
        seen = see(layers)
        assert (seen["etc/f"][-1], seen["etc/g"][-1]) == (b"second", b"first"), strategy


def test_a_hardlink_whose_file_lies_in_another_layer_becomes_a_copy() -> None:
    apks = [
        Apk("a", items=[file("f", BIG), hardlink("g", "f")], replaces=["b"]),
        Apk("b", items=[file("g", b"b" + BIG)]),
    ]
    _, _, layers, _ = layers_of(apks)
    assert len(layers) == 3
    assert [node.entry.kind for node in layering.read_layer(layers[2])] == ["file"]
    assert see(layers)["g"][-1] == BIG


def test_a_copy_of_a_hardlink_keeps_the_attributes_of_its_file() -> None:
    apks = [
        Apk("a", items=[file("f", "1", xattrs={"user.a": b"b"}), hardlink("g", "f")]),
        Apk("b", items=[file("f", "2")], replaces=["a"]),
    ]
    for strategy in layering.STRATEGIES:
        _, tree, layers, _ = layers_of(apks, strategy)
        assert see(layers) == wanted(tree)
        [node] = [n for each in layers for n in layering.read_layer(each) if n.entry.path == "g"]
        assert node.entry.xattrs == (("user.a", b"b"),)


def test_a_hardlink_that_two_packages_have_goes_with_its_file() -> None:
    apks = [
        Apk("one", items=[file("etc/f", "1"), hardlink("etc/g", "etc/f")]),
        Apk("two", items=[file("etc/f", "2"), hardlink("etc/g", "etc/f")], replaces=["one"]),
    ]
    seen = see(layers_of(apks)[2])
    assert (seen["etc/f"][-1], seen["etc/g"][-1]) == (b"2", b"2")


def test_a_package_without_entries_for_its_folders_keeps_its_files() -> None:
    apk = Apk("bare", items=[file("usr/deep/f", BIG)], parents=False)
    _, tree, layers, _ = layers_of([apk])
    assert see(layers) == wanted(tree)
    assert see(layers)["usr/deep/f"][-1] == BIG


def test_merged_usr_moves_files_and_their_links() -> None:
    apks = [
        Apk("base", items=[folder("usr/lib"), symlink("lib", "usr/lib")]),
        Apk("old", items=[file("lib/m", BIG), hardlink("lib/n", "lib/m")]),
    ]
    for strategy in layering.STRATEGIES:
        seen = see(layers_of(apks, strategy)[2])
        assert seen["lib"][0] == "symlink"
        assert seen["usr/lib/n"] == seen["usr/lib/m"]
        assert "lib/m" not in seen


def test_erofs_is_one_layer_that_is_its_own_diff_id() -> None:
    _, _, layers, _ = layers_of([Apk("p", items=[file("usr/f", "x")])], "erofs")
    assert [layer.media_type for layer in layers] == [mediatype.LAYER_EROFS]
    assert layers[0].digest == layers[0].diff_id
    with layers[0].compressed() as stream:
        assert stream.read()[1024:1028] == bytes.fromhex("e2e1f5e0")


@given(st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_layers_do_not_depend_on_the_order_of_packages(random: Random) -> None:
    apks = [
        Apk(f"p{n}", items=[folder("usr", mtime=EPOCH), file(f"usr/{n}", BIG[n:])], depends=["p0"])
        for n in range(5)
    ]
    packages = add(apks)
    expected = [each.layer.digest for each in build(packages, "package", 4)[1]]
    random.shuffle(packages)
    assert [each.layer.digest for each in build(packages, "package", 4)[1]] == expected


def test_a_damaged_blob_is_told_by_its_digest(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    made = build_apk(Apk("p", items=[file("f", BIG)]), "x86_64")
    files = verify(made, memory=cast("Memory", store))
    place = store.path(files.data)
    place.chmod(0o600)
    place.write_bytes(place.read_bytes()[:1000])
    node = Node(next(e for e in files.entries if e.path == "f"), "p", files.data)
    with pytest.raises(Untrusted, match=files.data):
        StoreContents(store).read([node])
    assert isinstance(node.entry, Entry)
