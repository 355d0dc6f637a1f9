"""TOML with places: the same values as tomllib has, and where each of them stands."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagist.errors import RequestError, Span
from imagist.text.nodes import Node
from imagist.text.tomlnodes import find_node, parse_toml, read_toml

TEXT = '''\
# a comment
title = "caf\\u00e9" # another
"quoted key" = 'literal'
a.b.c = 1
dates = [2026-11-28T00:00:00Z, 1979-05-27]

[tool.imagist] # here
ports = [
  "8080", # one
  "53/udp",
]
env = { A = "1", "B.C" = '2', nested = { deep = true } }
long = """
two
lines"""
raw = \'\'\'it''s\'\'\'

[[packages]]
name = "x"
[packages.sub]
z = 1.5
[[packages]]
name = "y"
hashes = {sha256 = "00"}
'''


def plain(node: Node) -> Any:
    """The values of nodes, so far as nodes have types."""
    if node.kind == "mapping":
        return {key.text: plain(value) for key, value in node.pairs}
    if node.kind == "sequence":
        return [plain(item) for item in node.items]
    return node.text if node.tag == "str" else tomllib.loads(f"x = {node.text}")["x"]


def test_values_are_those_of_tomllib() -> None:
    document = parse_toml(TEXT.encode(), "x.toml")
    assert document.root
    assert plain(document.root) == tomllib.loads(TEXT) == read_toml(TEXT.encode(), "x.toml")


def test_places_are_where_things_stand() -> None:
    document = parse_toml(TEXT.encode(), "x.toml")
    node = find_node(document, "tool.imagist.ports")
    assert node
    span = document.span(node.items[1])
    assert (span.line, span.column, span.text) == (10, 3, '  "53/udp",')
    env = find_node(document, "tool.imagist.env.nested.deep")
    assert env
    assert TEXT.splitlines()[env.line - 1][env.column - 1 :].startswith("true")
    packages = find_node(document, "packages")
    assert packages
    assert [item.line for item in packages.items] == [18, 22]
    assert find_node(document, "tool.absent") is None


keys = st.text(max_size=5)
scalars = (
    st.text(max_size=12)
    | st.integers(-(2**62), 2**62)
    | st.booleans()
    | st.floats(allow_nan=False)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


def _quote(text: str) -> str:
    escaped = "".join(
        c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text
    )
    return f'"{escaped}"'


def _write(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, list):
        return "[ " + ",\n ".join(map(_write, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quote(k)} = {_write(v)}" for k, v in value.items()) + "}"
    return repr(value)


@given(st.dictionaries(keys, values, max_size=4), st.booleans())
def test_any_value_is_found_again(value: dict[str, Any], tables: bool) -> None:
    lines = []
    for key, item in value.items():
        if tables and isinstance(item, dict):
            continue
        lines.append(f"{_quote(key)}\t= {_write(item)} # [x]\r\n")
    if tables:
        for key, item in value.items():
            if isinstance(item, dict):
                lines.append(f"[ {_quote(key)} ]\n")
                lines += [f"{_quote(k)} = {_write(v)}\n" for k, v in item.items()]
    text = "".join(lines)
    document = parse_toml(text.encode(), "x")
    assert document.root
    assert plain(document.root) == tomllib.loads(text) == value


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [("a = 1\nb = ", 2, 5), ("a = 1\na = 2\n", 2, 6), ("[x\n", 1, 3), ("a = [1,\n", 2, 1)],
)
def test_what_is_no_toml_is_told_with_its_place(text: str, line: int, column: int) -> None:
    with pytest.raises(RequestError) as caught:
        parse_toml(text.encode(), "x.toml")
    where = caught.value.problems[0].where
    assert isinstance(where, Span)
    assert (where.line, where.column) == (line, column)
    assert "at line" not in str(caught.value)


def test_bytes_that_are_no_text_are_told_with_their_line() -> None:
    with pytest.raises(RequestError, match=r"x.toml:2:1"):
        read_toml(b'a = 1\nb = "\xff"\n', "x.toml")
