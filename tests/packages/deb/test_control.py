"""Stanzas: what is read, and what is refused and where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagist.errors import InputError
from imagist.packages.deb.control import parse_stanzas

TEXT = """\
Package: hello
Version: 1.0
Description: greets
 every morning
 .
 and noon

package: other
Empty:
"""


def test_stanzas_and_fields() -> None:
    hello, other = parse_stanzas(TEXT, "file")
    assert list(hello) == ["Package", "Version", "Description"]
    assert hello.get("version") == "1.0"
    assert hello.lines("Description") == ("greets", "every morning", ".", "and noon")
    assert (other.get("Package"), other.get("Empty", "x"), len(other)) == ("other", "", 2)
    assert (hello.line, other.line, hello.where("Description")) == (1, 8, "file:3")


def test_comments_only_where_people_write() -> None:
    text = "# why\nTypes: deb\n# between\nURIs: x\n"
    (stanza,) = parse_stanzas(text, "file", comments=True)
    assert list(stanza) == ["Types", "URIs"]
    with pytest.raises(InputError, match="line 1 is no field"):
        parse_stanzas(text, "file")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("A: 1\na: 2\n", "file:2: line 2 has the field a a second time"),
        ("A: 1\n \nB: 2\n", "file:2: line 2 has nothing but blanks"),
        ("A: 1\r\n", "file:1: line 1 has a control character"),
        ("A: 1\n\n goes on\n", "file:3: line 3 goes on with a field, but there is none"),
        ("no field\n", "file:1: line 1 is no field: `no field`"),
        ("-A: 1\n", "file:1: line 1 is no field"),
        ("A: \x1b[31m\n", "file:1: line 1 has a control character"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InputError) as error:
        parse_stanzas(text, "file")
    assert str(error.value).startswith(problem)


def test_all_problems_of_a_file_are_told() -> None:
    with pytest.raises(InputError) as error:
        parse_stanzas("x\ny\nA: 1\nA: 2\n", "file")
    assert len(error.value.problems) == 3


def test_a_file_is_read_no_further_than_its_problems_are_told() -> None:
    with pytest.raises(InputError) as error:
        parse_stanzas("\0\n" * 100_000, "file")
    assert [problem.where for problem in error.value.problems] == [
        f"file:{n}" for n in range(1, 6)
    ]
    with pytest.raises(InputError, match="another stanza after 1000"):
        parse_stanzas("a:\n\n" * 1001, "file")


def test_long_values_take_no_more_time_than_they_are_long() -> None:
    blanks, lines = " " * 200_000, "\n".join([" line"] * 200_000)
    (stanza,) = parse_stanzas(f"A: x{blanks}y{blanks}\nB: \n{lines}\n", "file")
    assert stanza.get("A") == f"x{blanks}y"
    assert stanza.get("B") == "\nline" * 200_000


@given(st.text("Ab: \t\n#.\r", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        stanzas = parse_stanzas(text, "file")
    except InputError:
        return
    for stanza in stanzas:
        assert len(stanza) == len(list(stanza)) > 0
