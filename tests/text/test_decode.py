"""Typed decoding: all errors, their places, and the values that survive them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta

from imagist.text.decode import Decoded, decode
from imagist.text.nodes import Document
from imagist.text.tomlnodes import parse_toml
from imagist.text.yamlnodes import parse_yaml

Mode = Annotated[int, Meta(ge=0, le=0o7777)]
Small = Annotated[int, Meta(ge=0, le=9)]


class Inner(msgspec.Struct, frozen=True, rename="kebab"):
    name_of: str = ""
    number: Small = 0
    mode: Mode | None = None


class Outer(msgspec.Struct, frozen=True):
    text: str = ""
    flag: bool = False
    words: tuple[str, ...] = ()
    inner: Inner = Inner()
    many: tuple[Inner, ...] = ()
    table: dict[str, str] = {}
    lists: dict[str, tuple[str, ...]] = {}
    choice: Literal["", "one", "two"] = ""
    either: str | tuple[str, ...] = ()
    maybe: Inner | None = None


class Numbered(msgspec.Struct, frozen=True):
    port: Annotated[str, Meta(extra_json_schema={"$comment": "plain"})] = ""
    flag: bool = False
    inner: Inner = Inner()


def read(text: str) -> tuple[Decoded[Outer], Document]:
    document = parse_yaml(text.encode(), "f.yaml")
    return decode(document, Outer), document


def value_of(text: str) -> Outer:
    decoded, document = read(text)
    assert document.problems == []
    return decoded.value


def problems_of(text: str) -> list[str]:
    return [problem.message for problem in read(text)[1].problems]


def test_every_kind_of_field_is_read() -> None:
    assert value_of(
        "text: 3.10\nflag: yes\nwords: [a, 1, null x]\n"
        "inner: {name-of: x, number: 0x5, mode: 0o755}\nmany: [{number: 1}, {}]\n"
        "table: {A: 1, 2: b, C: }\nlists: {a: [b]}\nchoice: one\neither: [a]\nmaybe: {}\n"
    ) == Outer(
        text="3.10",
        flag=True,
        words=("a", "1", "null x"),
        inner=Inner(name_of="x", number=5, mode=0o755),
        many=(Inner(number=1), Inner()),
        table={"A": "1", "2": "b", "C": ""},
        lists={"a": ("b",)},
        choice="one",
        either=("a",),
        maybe=Inner(),
    )
    assert value_of("either: a").either == "a"


def test_null_leaves_a_field_at_its_default() -> None:
    assert value_of("text: ~\nflag:\nwords: null\ninner: Null\nmaybe: NULL\n") == Outer()
    assert value_of("~") == Outer()


def test_all_errors_of_a_file_are_found_and_the_rest_survives() -> None:
    decoded, document = read(
        "txt: a\nflag: maybe\nwords: [a, [b], c]\ninner: {number: 10, name_of: x}\nchoice: tow\n"
        "table: [a]\nmany: [1]\ntext: ok\n"
    )
    assert [(str(p.where), p.message, p.help) for p in document.problems] == [
        ("f.yaml:1:1", "unknown key `txt`", "did you mean `text`?"),
        ("f.yaml:2:7", "`flag` must be true or false, not `maybe`", None),
        ("f.yaml:3:12", "`words[1]` must be text, not a list", None),
        ("f.yaml:4:17", "`inner.number` must be 0 to 9, not `10`", None),
        ("f.yaml:4:21", "unknown key `name_of` in `inner`", "did you mean `name-of`?"),
        ("f.yaml:5:9", "`choice` must be one of one, two, not `tow`", "did you mean `two`?"),
        ("f.yaml:6:8", "`table` must be a mapping, not a list", None),
        ("f.yaml:7:8", "`many[0]` must be a mapping, not `1`", None),
    ]
    assert decoded.value == Outer(text="ok", words=("a", "c"))


@pytest.mark.parametrize(
    ("text", "message", "advice"),
    [
        ("inner: {number: '5'}", "must be a whole number, not `5`", "remove the quotes"),
        ("inner: {number: 1.5}", "must be a whole number, not `1.5`", None),
        ("inner: {number: 08}", "must be a whole number", "after a leading 0 come the octal"),
        ("inner: {mode: 7777}", "at most 0o7777, not `7777`", "write 0o7777"),
        ("inner: {mode: 0o17777}", "at most 0o7777", None),
        ("inner: {number: -1}", "must be 0 to 9", None),
        ("words: a", "must be a list, not `a`", "write [a]"),
        ("words: [a, ~]", "`words[1]` is empty", "remove the entry"),
        ("table: {~: x}", "a key of `table` is empty", "quote it"),
        ("flag: 'true'", "must be true or false", None),
        ("- a", "the document must be a mapping, not a list", None),
    ],
)
def test_an_error_says_what_to_do(text: str, message: str, advice: str | None) -> None:
    [problem] = read(text)[1].problems
    assert message in problem.message
    assert (problem.help is None) if advice is None else (advice in str(problem.help))


def test_an_error_reached_by_several_aliases_is_reported_once() -> None:
    assert problems_of("many:\n- &a {nam-of: x}\n- *a\n- {<<: *a}\n") == [
        "unknown key `nam-of` in `many[0]`"
    ]


def test_places_are_found_by_path() -> None:
    decoded, _ = read("words: [a, b]\ntable: {a.b: x, a: y}\nmany:\n  - number: 1\n")
    assert decoded.place is not None
    place = decoded.place
    assert str(place.find("words[1]").span) == "f.yaml:1:12"
    assert str(place.find("table.a.b").span) == "f.yaml:2:14"
    assert str(place.find("table.a").span) == "f.yaml:2:20"
    assert str(place.find("many[0].number").span) == "f.yaml:4:13"
    # What was not written is at the innermost part that was.
    assert str(place.find("many[0].mode").span) == "f.yaml:4:5"
    assert str(place.find("words[10]").span) == "f.yaml:1:8"
    assert str(place.find("inner.mode").span) == "f.yaml:1:1"


@pytest.mark.parametrize(
    ("line", "message", "advice"),
    [
        ('flag = "yes"', "`flag` must be true or false, not `yes`", "write true, without quotes"),
        ('flag = "maybe"', "`flag` must be true or false, not `maybe`", None),
        ("flag = 1", "`flag` must be true or false, not `1`", None),
        ("text = 3.10", "`text` must be text, not `3.10`", 'write "3.10"'),
        ("text = true", "`text` must be text, not `true`", 'write "true"'),
        ("text = [1]", "`text` must be text, not a list", None),
        ("either = 5", "`either` must be text, not `5`", 'write "5"'),
        ("words = 'a'", "`words` must be a list, not `a`", 'write ["a"]'),
        ("words = [1]", "`words[0]` must be text, not `1`", 'write "1"'),
        ("table = 'a'", "`table` must be a table, not `a`", None),
        ("table = { a = 1 }", "`table.a` must be text, not `1`", 'write "1"'),
        ("inner = [1]", "`inner` must be a table, not a list", None),
        ("inner.number = '1'", "`inner.number` must be a whole number", "remove the quotes"),
        ("inner.number = 1.0", "`inner.number` must be a whole number, not `1.0`", None),
        ("inner.number = -1", "`inner.number` must be 0 to 9, not `-1`", None),
        ("inner.number = 2026-01-02", "`inner.number` must be a whole number", None),
        ("choice = 1", "`choice` must be one of one, two, not `1`", None),
    ],
)
def test_toml_tells_text_from_numbers(line: str, message: str, advice: str | None) -> None:
    document = parse_toml(line.encode(), "f.toml")
    decode(document, Outer)
    [problem] = document.problems
    assert message in problem.message
    assert problem.help == advice
    assert str(problem.where).startswith("f.toml:1:")


def test_toml_takes_any_value_for_text_that_looks_like_a_number() -> None:
    text = b"port = 8080\nflag = true\ninner = { number = 0x5, mode = 0o755 }\n"
    document = parse_toml(text, "f.toml")
    assert decode(document, Numbered).value == Numbered(
        port="8080", flag=True, inner=Inner(number=5, mode=0o755)
    )
    assert document.problems == []
