"""Numbers and booleans as Go's yaml.v3 reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagist.text.scalars import is_plain_text, read_boolean, read_integer


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0), ("7", 7), ("+5", 5), ("-5", -5), ("1_000", 1000), ("0o755", 0o755),
        ("0O755", 0o755), ("0755", 0o755), ("00", 0), ("0x1F", 31), ("0b101", 5), ("-0", 0),
        ("1e3", 1000), ("10.0", 10), ("18446744073709551615", 2**64 - 1),
    ],
)  # fmt: skip
def test_integers(text: str, value: int) -> None:
    assert read_integer(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "x", "08", "0o8", "0x", "1.5", "1:30", "_1", "2001-01-01", "1e400", "--1", "0b2", "٣"],
)
def test_no_integers(text: str) -> None:
    assert read_integer(text) is None


@given(st.integers(min_value=-(2**63), max_value=2**64 - 1))
def test_every_notation_of_an_integer_means_the_same(value: int) -> None:
    for notation in (str(value), hex(value), oct(value), bin(value)):
        assert read_integer(notation) == value


def test_booleans() -> None:
    for word in ("true", "True", "TRUE", "yes", "Y", "on", "On", "ON"):
        assert read_boolean(word) is True
    for word in ("false", "no", "N", "off", "OFF"):
        assert read_boolean(word) is False
    for word in ("tRue", "1", "", "oN"):
        assert read_boolean(word) is None
    assert read_boolean("yes", quoted=True) is True
    assert read_boolean("true", quoted=True) is None


def test_texts_that_need_quotes() -> None:
    for text in (
        "1",
        "-1",
        ".5",
        "0x1",
        "2001-01-01",
        "true",
        "No",
        "null",
        "~",
        "",
        "<<",
        ".inf",
    ):
        assert not is_plain_text(text)
    for text in ("a", "a1", "v1.2", "./x", "nope", "+x"):
        assert is_plain_text(text)
