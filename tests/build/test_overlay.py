from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from imagist.build.overlay import Stack
from imagist.rootfs.entry import Entry, Kind, parent
from imagist.rootfs.flatten import flatten
from imagist.rootfs.tree import Node, Tree

NAMES = st.sampled_from(["a", "b", "a/c", "a/d", "a/c/e", "b/f"])


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """A tree whose paths all lie in folders."""
    tree = Tree()
    for path in draw(st.lists(NAMES, unique=True)):
        kinds: list[Kind] = ["directory", "directory", "file", "symlink", "fifo"]
        kind = draw(st.sampled_from(kinds))
        folder = parent(path)
        if folder and (folder not in tree or not tree.get(folder).entry.is_directory):  # type: ignore[union-attr]
            continue
        data = draw(st.sampled_from([b"", b"x", b"yy"])) if kind == "file" else b""
        entry = Entry(
            path, kind, draw(st.sampled_from([0o644, 0o755])),
            mtime=draw(st.integers(0, 1)), size=len(data), data=data,
            link=draw(st.sampled_from(["b", "nowhere"])) if kind == "symlink" else "",
            xattrs=draw(st.sampled_from([(), (("user.x", b"1"),)])),
        )  # fmt: skip
        tree.put(Node(entry))
    return tree


def facts(tree: Tree) -> list[Entry]:
    return [node.entry for node in tree]


@settings(max_examples=300, deadline=None)
@given(st.lists(trees(), max_size=3), trees())
def test_the_difference_turns_any_stack_into_the_tree(below: list[Tree], tree: Tree) -> None:
    stack = Stack()
    for each in below:
        stack.apply(each)
    top = stack.difference(tree)
    assert facts(flatten([*below, top])) == facts(tree)


@settings(max_examples=100, deadline=None)
@given(trees())
def test_nothing_is_added_to_what_is_right_already(tree: Tree) -> None:
    stack = Stack()
    stack.apply(tree)
    assert stack.difference(tree) == []


def test_what_a_folder_held_is_gone_with_it() -> None:
    lower, upper, tree = Tree(), Tree(), Tree()
    folder, inside = Node(Entry("x", "directory", 0o755)), Node(Entry("x/y", data=b"1", size=1))
    for each in (lower, tree):
        each.put(folder)
        each.put(inside)
    upper.put(Node(Entry("x", data=b"2", size=1)))
    stack = Stack()
    stack.apply(lower)
    stack.apply(upper)
    assert [node.entry.path for node in stack.difference(tree)] == ["x", "x/y"]


def test_a_folder_that_a_layer_implies_is_written_with_its_metadata() -> None:
    tree = Tree()
    tree.put(Node(Entry("x", "directory", 0o700, mtime=5)))
    tree.put(Node(Entry("x/y", data=b"1", size=1)))
    stack = Stack()
    stack.apply([node for node in tree if node.entry.kind == "file"])
    assert [node.entry.path for node in stack.difference(tree)] == ["x"]


def test_whiteouts_hide_only_the_topmost_of_what_is_gone() -> None:
    lower, tree = Tree(), Tree()
    for path, kind in (
        ("k", "directory"),
        ("x", "directory"),
        ("x/y", "directory"),
        ("x/y/z", "file"),
    ):
        lower.put(Node(Entry(path, kind)))  # type: ignore[arg-type]
    tree.put(lower.get("k"))  # type: ignore[arg-type]
    stack = Stack()
    stack.apply(lower)
    assert [node.entry.path for node in stack.difference(tree)] == [".wh.x"]
