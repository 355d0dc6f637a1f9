"""YAML as nodes: places, duplicates, merges, bounds."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from imagist.errors import RequestError, Span
from imagist.text import yamlnodes
from imagist.text.nodes import Document, Node
from imagist.text.yamlnodes import parse_yaml


def plain(node: Node | None) -> Any:
    """A node as Python values, every scalar as text."""
    assert node is not None
    if node.kind == "scalar":
        return node.text
    if node.kind == "sequence":
        return [plain(item) for item in node.items]
    return {key.text: plain(value) for key, value in node.pairs}


def read(text: str | bytes) -> Document:
    return parse_yaml(text.encode() if isinstance(text, str) else text, "f.yaml")


def refuse(text: str | bytes) -> list[tuple[str, str]]:
    with pytest.raises(RequestError) as caught:
        read(text)
    return [(str(problem.where), problem.message) for problem in caught.value.problems]


def test_scalars_stay_text_and_know_their_place() -> None:
    document = read("version: 3.10\nflag: no\nname: 'x y'\n")
    assert plain(document.root) == {"version": "3.10", "flag": "no", "name": "x y"}
    assert document.root is not None
    values = [value for _, value in document.root.pairs]
    assert document.span(values[0]) == Span("f.yaml", 1, 10, 4, "version: 3.10")
    assert document.span(values[2]) == Span("f.yaml", 3, 7, 5, "name: 'x y'")
    assert [value.tag for value in values] == ["", "", "str"]


def test_columns_count_characters_and_lines_count_every_break() -> None:
    document = read("a: é\r\nüü: x\n")
    assert document.root is not None
    key, value = document.root.pairs[1]
    assert document.span(value) == Span("f.yaml", 2, 5, 1, "üü: x")
    assert document.span(key).length == 2


def test_a_file_without_a_document_has_no_root() -> None:
    assert read("").root is None
    assert read("# only a comment\n").root is None
    assert plain(read("---\n").root) == ""


def test_a_byte_order_mark_is_skipped() -> None:
    assert plain(read(b"\xef\xbb\xbfa: b").root) == {"a": "b"}


def test_duplicate_keys_are_reported_with_the_first_line() -> None:
    document = read("a: 1\nb: {c: 1, c: 2}\n'a': 2\n")
    assert [(str(p.where), p.message, p.help) for p in document.problems] == [
        ("f.yaml:2:11", "the key `c` is set twice", "it was first set on line 2"),
        ("f.yaml:3:1", "the key `a` is set twice", "it was first set on line 1"),
    ]
    assert plain(document.root) == {"a": "1", "b": {"c": "1"}}


def test_merge_keys_give_way_to_explicit_and_earlier_ones() -> None:
    document = read("a: &a {x: 1, y: 1}\nb: {<<: [*a, {y: 2, z: 2}], x: 0}\nc: {'<<': text}\n")
    assert document.problems == []
    assert plain(document.root) == {
        "a": {"x": "1", "y": "1"},
        "b": {"x": "0", "y": "1", "z": "2"},
        "c": {"<<": "text"},
    }


def test_merging_something_else_than_a_mapping_is_reported() -> None:
    [problem] = read("a: {<<: text}\n").problems
    assert problem.message == "`<<` takes a mapping, or a list of mappings"


def test_a_redefined_anchor_counts_from_there_on() -> None:
    assert plain(read("[&a 1, *a, &a 2, *a]").root) == ["1", "1", "2", "2"]


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("a: b: c", "1:5", "mapping values are not allowed"),
        ("a:\n\t- b", "2:1", "cannot start any token"),
        ("a: *b", "1:4", "nothing is anchored as `&b`"),
        ("a: &a [*a]", "1:8", "`*a` contains itself"),
        ("a: &a {b: *a}", "1:11", "`*a` contains itself"),
        ("a: 1\n---\nb: 2", "2:1", "a second document"),
        ("? [a]\n: b", "1:3", "a key must be a plain text"),
        ("a: !custom x", "1:4", "the tag `!custom`"),
        ("a: \x01", "1:4", "this character is not allowed"),
        ("é: \x01", "1:4", "this character is not allowed"),
        ("b: é\na: é".encode("latin-1"), "1:4", "this byte is not UTF-8"),
        ("x: é\ny: ".encode() + b"\xff", "2:4", "this byte is not UTF-8"),
        ("[" * 100, "1:65", "nested deeper than 64 levels"),
    ],
)
def test_what_is_not_yaml_is_refused_at_its_place(
    text: str | bytes, where: str, message: str
) -> None:
    [(place, found)] = refuse(text)
    assert place == f"f.yaml:{where}"
    assert message in found


def test_what_is_far_too_deep_is_refused_before_it_is_read() -> None:
    [(place, found)] = refuse("[" * 100_000)
    assert place in {"f.yaml:1:65", "f.yaml:1:1001"}  # ours, or that of a newer libyaml
    assert found == "nested deeper than 64 levels"


def test_a_tab_is_explained() -> None:
    with pytest.raises(RequestError) as caught:
        read("a:\n\tb: c\n")
    assert caught.value.problems[0].help == "indent with spaces; YAML does not take tabs"


def test_duplicates_before_a_syntax_error_are_reported_with_it() -> None:
    found = refuse("a: {b: 1, b: 2}\nc: ]\n")
    assert [place for place, _ in found] == ["f.yaml:1:11", "f.yaml:2:4"]


def test_aliases_cannot_explode() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 12):
        aliases = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} [{aliases}]")
    [(_, message)] = refuse("\n".join(lines))
    assert message == "aliases make this larger than 1000000 nodes"


def test_a_huge_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yamlnodes, "MAX_BYTES", 10)
    with pytest.raises(RequestError, match="at most 10 are read"):
        read("a: 012345678")


VALUES = st.recursive(
    st.text(st.characters(codec="ascii", categories=["L", "N", "P", "Zs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abcdef<&*é", min_size=1), inner),
    max_leaves=12,
)


@given(VALUES)
def test_what_yaml_writes_is_read_back(value: Any) -> None:
    # Double quotes everywhere: plain `<<` is a merge key, and plain texts may carry types.
    text = yaml.safe_dump(value, default_style='"', allow_unicode=True)
    assert plain(read(text).root) == value


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    # Anything but RequestError fails the test.
    with contextlib.suppress(RequestError):
        read(text.encode("utf-8", "surrogatepass"))
