"""Differences between two images, and what is not read to find them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, BinaryIO

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagist.errors import InputError, NotFound
from imagist.inspection.difference import ConfigChange, compare_things, compare_two
from imagist.inspection.layers import read_files
from imagist.inspection.view import view_image
from imagist.oci import mediatype
from imagist.oci.derive import BytesLayer, MemoryImage
from imagist.oci.mutate import annotate_image, annotate_index, make_index, set_config
from imagist.oci.random import AMD64, ARM64, random_image, random_index
from imagist.rootfs.entry import Entry
from inspection.described import (
    edited,
    file,
    folder,
    hardlink,
    image,
    installed,
    layer,
    symlink,
)

OPENED: Counter[str] = Counter()


class Watched(BytesLayer, frozen=True):
    """A layer that counts how often it is opened."""

    def compressed(self) -> BinaryIO:
        OPENED[self.digest] += 1
        return super().compressed()


def watched(*entries: Entry) -> Watched:
    made = layer(*entries)
    return Watched(made.data, made.diff_id, made.media_type)


@pytest.fixture(autouse=True)
def _nothing_was_opened() -> None:
    OPENED.clear()


def files(old: Sequence[Entry], new: Sequence[Entry]) -> dict[str, Any]:
    """Path -> its fate, or what changed."""
    found = compare_two("x", image(layer(*old)), image(layer(*new)))
    return {change.path: change.what or change.fate for change in found.files}


def test_what_changed_of_a_file_is_named() -> None:
    old = file("x", "old", xattrs=(("user.a", b"1"),))
    changes: list[tuple[dict[str, Any], str]] = [
        ({"data": b"new"}, "content"),
        ({"data": b"longer", "size": 6}, "content"),
        ({"mode": 0o4755}, "mode"),
        ({"uid": 7}, "owner"),
        ({"gid": 7}, "owner"),
        ({"mtime": 7}, "mtime"),
        ({"xattrs": ()}, "xattrs"),
    ]
    for change, what in changes:
        new = msgspec.structs.replace(old, **change)
        assert files([old], [new]) == {"x": (what,)}
    assert files([old], [symlink("x", "y")]) == {"x": ("type", "mode", "xattrs")}
    assert files([symlink("x", "y")], [symlink("x", "z")]) == {"x": ("link",)}
    device = Entry("x", "char", device=(1, 3))
    assert files([device], [msgspec.structs.replace(device, device=(1, 5))]) == {"x": ("device",)}


def test_files_come_and_go() -> None:
    assert files([file("a"), file("b")], [file("b"), file("c")]) == {"a": "removed", "c": "added"}


def test_a_content_that_a_header_lies_about_is_compared_itself() -> None:
    lie: Any = {"sha1": b"\1" * 20}
    assert files([file("x", "old", **lie)], [file("x", "new", **lie)]) == {"x": ("content",)}


def test_further_names_are_compared_as_the_file_they_are() -> None:
    old = [file("a", "1"), hardlink("b", "a")]
    assert files(old, [file("a", "1"), file("b", "1")]) == {"b": ("link",)}
    assert files(old, [file("a", "2"), hardlink("b", "a")]) == {
        "a": ("content",),
        "b": ("content",),
    }


def test_packages_files_and_owners() -> None:
    old = image(layer(file("bin/a"), file("bin/b"), installed(one=["bin/a"], two=["bin/b"])))
    new = image(
        layer(file("bin/b", "x"), file("bin/c"), installed(two=["bin/b"], three=["bin/c"]))
    )
    found = compare_two("x", old, new)
    assert [(p.name, p.old, p.new) for p in found.packages] == [
        ("one", "1", ""),
        ("three", "", "1"),
    ]
    owners = {change.path: (change.fate, change.package) for change in found.files}
    assert owners["bin/a"] == ("removed", "one")
    assert owners["bin/b"] == ("changed", "two")
    assert owners["bin/c"] == ("added", "three")


def test_configuration_is_compared_member_by_member() -> None:
    old = image(User="a", Env=["A=1", "B=2"], Labels={"x": "1"})
    new = image(User="b", Env=["B=3", "C="], Labels={"x": "1", "y": "2"}, StopSignal="TERM")
    new = annotate_image(new, {"k": "v"})
    found = compare_two("x", old, new).config
    assert set(found) == {
        ConfigChange("annotations.k", None, "v"),
        ConfigChange("config.Env.A", "1", None),
        ConfigChange("config.Env.B", "2", "3"),
        ConfigChange("config.Env.C", None, ""),
        ConfigChange("config.Labels.y", None, "2"),
        ConfigChange("config.StopSignal", None, "TERM"),
        ConfigChange("config.User", "a", "b"),
    }


def test_equal_digests_are_answered_without_a_look_at_any_layer() -> None:
    what = image(watched(file("a")))
    assert compare_things(what, what).equal
    assert compare_things(make_index([(AMD64, what)]), what).equal
    assert not OPENED


def test_equal_layers_are_not_opened_where_only_the_configuration_differs() -> None:
    what = image(watched(file("a")))
    found = compare_things(what, set_config(what, {"author": "me"}))
    assert not found.equal
    assert [change.what for change in found.images[0].config] == ["author"]
    assert not OPENED


def test_shared_layers_are_opened_once() -> None:
    base, one, two = watched(file("a", "1")), watched(file("b", "1")), watched(file("b", "2"))
    found = compare_two("x", image(base, one), image(base, two))
    assert [change.path for change in found.files] == ["b"]
    assert set(OPENED.values()) == {1}
    assert [change.fate for change in found.layers] == ["shared", "removed", "added"]


def test_a_file_that_moved_out_of_a_shared_layer_is_still_compared() -> None:
    base, same, other = watched(file("a", "1")), watched(file("a", "1")), watched(file("a", "2"))
    more = layer(file("b"))
    assert same.digest == base.digest
    again = watched(file("c"), file("a", "1"))
    found = compare_two("x", image(base), image(base, again))
    assert [change.path for change in found.files] == ["c"]
    assert compare_two("x", image(base, more), image(base, other)).files[0].what == ("content",)


def test_the_same_tar_compressed_otherwise_is_told_as_that() -> None:
    entries = [file("a", "1")]
    old, new = layer(*entries), layer(*entries, media_type=mediatype.LAYER_TAR)
    found = compare_two("x", image(old), image(new))
    assert [change.fate for change in found.layers] == ["recompressed"]
    assert (found.files, found.config, found.is_equal) == ((), (), False)


def test_platforms_that_only_one_has_are_named() -> None:
    found = compare_things(random_index(1), random_index(1, platforms=[AMD64]))
    assert (found.equal, found.only_old, found.only_new) == (False, ("linux/arm64",), ())
    assert all(each.is_equal for each in found.images)
    assert compare_things(random_index(1), random_index(1, platforms=[AMD64]), ["amd64"]).equal
    with pytest.raises(NotFound, match="arm64"):
        compare_things(random_index(1), random_index(1, platforms=[AMD64]), ["arm64"])


def test_indexes_may_differ_in_themselves() -> None:
    found = compare_things(random_index(1), annotate_index(random_index(1), {"a": "b"}))
    assert not found.equal
    assert found.annotations == (ConfigChange("annotations.a", None, "b"),)


def test_two_images_for_different_platforms_can_be_compared() -> None:
    found = compare_things(random_image(1), random_image(1, platform=ARM64))
    assert [change.what for change in found.images[0].config] == ["architecture"]


@pytest.mark.parametrize("members", [{"config": [1]}, {"config": {"Env": [None]}}, {"rootfs": 1}])
def test_documents_of_another_shape_are_errors_of_ours(members: Any) -> None:
    good = image(layer(file("a")))
    index = make_index([(AMD64, edited(good, **members))])
    with pytest.raises(InputError):
        compare_things(index, make_index([(AMD64, good)]))


TREES = st.lists(
    st.lists(
        st.one_of(
            st.builds(file, st.sampled_from("abc"), st.sampled_from(["1", "2", "33"])),
            st.builds(folder, st.sampled_from("de"), st.sampled_from([0o755, 0o700])),
            st.builds(lambda name: file(f".wh.{name}"), st.sampled_from("abc")),
        ),
        max_size=4,
        unique_by=lambda entry: entry.path,
    ).map(lambda entries: layer(*entries)),
    min_size=1,
    max_size=3,
)


@settings(max_examples=60, deadline=None)
@given(TREES, TREES)
def test_differences_lead_from_one_to_the_other_and_back(
    old: list[BytesLayer], new: list[BytesLayer]
) -> None:
    def tree(what: MemoryImage) -> dict[str, tuple[str, str, bytes]]:
        return {
            n.entry.path: (n.entry.kind, f"{n.entry.mode:04o}", _content(what, n.blob, n.entry))
            for n in view_image(what).tree
        }

    one, two = image(*old), image(*new)
    before, after = tree(one), tree(two)
    expected = {
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    }
    forth, back = compare_two("x", one, two), compare_two("x", two, one)
    assert {change.path for change in forth.files} == expected
    assert {change.path for change in back.files} == expected


def _content(what: MemoryImage, blob: str, entry: Entry) -> bytes:
    if entry.kind != "file":
        return b""
    [found] = [each for each in dict.fromkeys(what.layers) if each.digest == blob][:1]
    [(_, pieces)] = [(e, b"".join(p)) for e, p in read_files(found, [entry])]
    return pieces
