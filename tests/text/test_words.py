"""Command lines and durations."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagist.text.words import parse_duration, split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("  a\tb\nc ", ["a", "b", "c"]),
        ("a 'b c' \"d e\"f", ["a", "b c", "d ef"]),
        ("''", [""]),
        ("a '' b", ["a", "", "b"]),
        (r"a\ b \'", ["a b", "'"]),
        (r'"a\"b\n\\" ', ['a"bn\\']),
        (r"'a\b'", ["a\\b"]),
        ("a # b\nc", ["a", "c"]),
        ("a#b '#' \\# x'y'#z", ["a#b", "#", "#", "xy#z"]),
        ("#", []),
        ("$HOME *", ["$HOME", "*"]),
    ],
)
def test_commands_are_split(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize(
    ("text", "message"),
    [("'", "quote"), ('"a', "quote"), ('"\\"', "quote"), ("a\\", "backslash"), ("a '#", "quote")],
)
def test_open_ends_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split_words(text)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
def test_joined_words_are_split_again(words: list[str]) -> None:
    assert split_words(shlex.join(words)) == words


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("", 0), ("0", 0), ("30s", 30 * 10**9), ("1m30s", 90 * 10**9), ("1.5h", 5400 * 10**9),
     ("100ms", 10**8), (".5s", 5 * 10**8), ("1us", 1000), ("3ns", 3), ("2µs", 2000)],
)  # fmt: skip
def test_durations(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["30", "s", "1d", "-1s", "1s ", "1 m", "1m30", "."])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)
