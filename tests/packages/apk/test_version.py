from __future__ import annotations

import os
import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagist.errors import RequestError
from imagist.packages.apk.version import (
    OPERATORS,
    compare,
    is_valid,
    matches,
    parse_version,
    sort_key,
)

# -- what the order is -----------------------------------------------------------------------

ASCENDING = [
    "0.1.0_alpha_pre2 0.1.0_alpha 0.1.0_alpha0 0.1.0_alpha1 0.1.0_alpha2",
    "1.0_alpha 1.0_beta 1.0_pre 1.0_rc 1.0 1.0_cvs 1.0_svn 1.0_git 1.0_hg 1.0_p",
    "1.0_p9 1.0_p10",
    "1.3_pre1-r1 1.3 1.3-r0 1.3.1-r0 1.3.2",
    "1.0_alpha 1.0_alpha-r0 1.0_alpha_p1",
    "1.0.0_pre20191002222144-r0 1.0.0_pre20210530193627-r0",
    "1.0~1234 1.0~1234-r0 1.0~1234-r1 1.0~2345",
    "1.0 1.0-r1 1.0~12 1.0_p1 1.0a 1.0.1",
    "2.3.0 2.3.0b 2.3.0b-r1 2.3.0b-r2 2.3.0c",
    "8.2.0 8.2.001 8.2.0015 8.2.002 8.2.01 8.2.1",
    "4.09-r1 4.5.14",
    "1.0.0 1.06-r6 006 7 10",
    "1.9 1.10 1.100",
    "0.99999999999999999998 0.99999999999999999999 0.100000000000000000000",
]


@pytest.mark.parametrize("row", ASCENDING)
def test_order_of_versions(row: str) -> None:
    versions = row.split()
    for place, low in enumerate(versions):
        for high in versions[place + 1 :]:
            assert (compare(low, high), compare(high, low)) == (-1, 1), (low, high)


@pytest.mark.parametrize("pair", ["006 6", "1.0-r1 1.0-r01", "1.0_p07 1.0_p7", "1.2.3 1.2.3"])
def test_spellings_of_the_same_version(pair: str) -> None:
    left, right = pair.split()
    assert compare(left, right) == 0
    assert matches(left, "=", right)


def test_rows_of_apko() -> None:
    """apko's own table, read where Go keeps sources: its two rows on leading zeros are disabled."""
    modules = Path(os.environ.get("GOMODCACHE", Path.home() / "go" / "pkg" / "mod"))
    tables = sorted(modules.glob("chainguard.dev/apko@*/pkg/apk/apk/version_test.go"))
    if not tables:
        pytest.skip("no source of apko in Go's module cache")
    row = re.compile(r'^\s*\{"([^"]+)", (greater|equal|less), "([^"]+)"\}', re.MULTILINE)
    rows = row.findall(tables[-1].read_text())
    assert len(rows) > 700
    expected = {"greater": 1, "equal": 0, "less": -1}
    wrong = [each for each in rows if compare(each[0], each[2]) != expected[each[1]]]
    assert wrong == []


# -- the order is one ------------------------------------------------------------------------

digits = st.text("0123456789", min_size=1, max_size=4)
suffix = st.tuples(
    st.sampled_from(["alpha", "beta", "pre", "rc", "cvs", "svn", "git", "hg", "p"]),
    st.sampled_from(["", "0", "1", "07", "10"]),
).map(lambda pair: f"_{pair[0]}{pair[1]}")
versions = st.builds(
    lambda numbers, letter, suffixes, commit, revision: (
        ".".join(numbers) + letter + "".join(suffixes) + commit + revision
    ),
    st.lists(digits | st.sampled_from("012"), min_size=1, max_size=4),
    st.sampled_from(["", "", "", "a", "z"]),
    st.lists(suffix, max_size=2),
    st.sampled_from(["", "", "~ab", "~abc", "~0"]),
    st.sampled_from(["", "-r0", "-r1", "-r01", "-r10"]),
)

_TYPES = ["initial", "digit", "letter", "suffix", "suffix_number", "hash", "revision", "end"]
_PRE = ("alpha", "beta", "pre", "rc")
_SUFFIXES = (*_PRE, "cvs", "svn", "git", "hg", "p")
_TOKEN = re.compile(r"\.(\d+)|([a-z])(?![a-z])|_([a-z]+)|(\d+)|~([0-9a-f]+)|-r(\d+)")
_TOKEN_TYPES = ("digit", "letter", "suffix", "suffix_number", "hash", "revision")


def tokens_of(version: str) -> list[tuple[str, str]]:
    first = re.match(r"\d+", version)
    assert first
    tokens = [("initial", first[0])]
    at = first.end()
    while at < len(version):
        found = _TOKEN.match(version, at)
        assert found, version[at:]
        assert found.lastindex
        tokens.append((_TOKEN_TYPES[found.lastindex - 1], found[found.lastindex]))
        at = found.end()
    return [*tokens, ("end", "")]


def compare_by_walking(left: str, right: str, *, fuzzy: bool = False) -> int:
    """apk-tools' algorithm, told as the reference tells it: a second opinion."""
    for (kind, one), (other_kind, other) in zip(tokens_of(left), tokens_of(right), strict=False):
        if kind != other_kind:
            if fuzzy and other_kind == "end":
                return 0
            if kind == "suffix" and one in _PRE:
                return -1
            if other_kind == "suffix" and other in _PRE:
                return 1
            return 1 if _TYPES.index(kind) < _TYPES.index(other_kind) else -1
        if kind == "suffix":
            order = _SUFFIXES.index(one) - _SUFFIXES.index(other)
        elif kind in ("hash", "letter") or (kind == "digit" and "0" in (one[0], other[0])):
            order = (one > other) - (one < other)
        else:
            order = int(one or 0) - int(other or 0)
        if order:
            return 1 if order > 0 else -1
    return 0


@given(versions, versions)
def test_keys_order_as_walking_the_tokens_does(left: str, right: str) -> None:
    assert compare(left, right) == compare_by_walking(left, right)
    assert compare(left, right) == -compare(right, left)


@given(st.lists(versions, min_size=3, max_size=12))
def test_sorting_gives_a_total_order(some: list[str]) -> None:
    ordered = sorted(some, key=sort_key)
    assert all(compare_by_walking(low, high) <= 0 for low, high in pairwise(ordered))
    assert compare_by_walking(ordered[0], ordered[-1]) <= 0


@given(versions, versions)
def test_fuzzy_is_comparing_up_to_the_end_of_the_required_version(left: str, right: str) -> None:
    assert matches(left, "~", right) == (compare_by_walking(left, right, fuzzy=True) == 0)
    longer = f"{right.partition('-r')[0]}-r77"
    assert matches(longer, "~", right) == ("-r" not in right)


@given(versions, versions)
def test_operators_agree_with_each_other(left: str, right: str) -> None:
    holds = {operator: matches(left, operator, right) for operator in OPERATORS}
    assert holds["<"] + holds["="] + holds[">"] == 1
    assert holds["<="] == (holds["<"] or holds["="])
    assert holds[">="] == (holds[">"] or holds["="])
    assert holds["<~"] == (holds["<"] or holds["~"])
    assert holds[">~"] == (holds[">"] or holds["~"])
    assert holds["~"] or not holds["="]


@pytest.mark.parametrize(
    ("version", "operator", "required", "expected"),
    [
        ("3.6.9", "~", "3.6", True),
        ("3.6_pre1", "~", "3.6", True),
        ("3.6-r4", "~", "3.6", True),
        ("3.6", "~", "3.6", True),
        ("3.60", "~", "3.6", False),
        ("3.01", "~", "3.0", False),
        ("3.0", "~", "3.01", False),
        ("3.8", "~", "3.8.1", False),
        ("1.7.1-r1", "~", "1.7.1-r2", False),
        ("3.6.9", "<~", "3.6", True),
        ("3.6.9", "<=", "3.6", False),
        ("3.5", "<~", "3.6", True),
        ("3.7", "<~", "3.6", False),
        ("3.7", ">~", "3.6", True),
        ("3.6_rc1", ">~", "3.6", True),
        ("3.6_rc1", ">=", "3.6", False),
    ],
)
def test_operator(version: str, operator: str, required: str, *, expected: bool) -> None:
    assert matches(version, operator, required) is expected


def test_unknown_operator_is_a_mistake_of_the_program() -> None:
    with pytest.raises(ValueError, match="no operator"):
        matches("1", "!=", "1")


# -- grammar ---------------------------------------------------------------------------------


@given(versions)
def test_parsing_and_formatting_give_the_same_text(version: str) -> None:
    assert str(parse_version(version)) == version


def test_parts_of_a_version() -> None:
    version = parse_version("1.02.3b_rc1_p~0af-r4")
    assert version.numbers == ("1", "02", "3")
    assert version.letter == "b"
    assert version.suffixes == (("rc", "1"), ("p", ""))
    assert (version.commit, version.revision) == ("0af", "4")
    assert version.upstream == "1.02.3b_rc1_p~0af"


INVALID = [
    "23_foo",
    "1.0bc",
    "1.",
    ".1",
    "a",
    "1-r",
    "1-r1-r2",
    "1.0.a",
    "1_p1.2",
    "1~xyz",
    "1-1",
    "1.0b_",
    "v1",
    "1.0+1",
    "\u0661.2",
]


@pytest.mark.parametrize("text", [*INVALID, "", "1.0\n", " 1.0"])
def test_what_is_no_version(text: str) -> None:
    assert not is_valid(text)
    with pytest.raises(RequestError, match="not an APK version"):
        parse_version(text)


@given(st.sampled_from(INVALID), versions)
def test_what_is_no_version_is_below_all_and_matches_only_itself(text: str, version: str) -> None:
    assert compare(text, version) == -1
    assert matches(text, "=", text)
    assert not any(matches(text, operator, version) for operator in OPERATORS)
    assert not any(matches(version, operator, text) for operator in OPERATORS)


@pytest.mark.parametrize("text", ["1." + "9" * 1_200_000, "1." + "9" * 55_300, "1" * 257])
def test_a_text_longer_than_any_version_is_none(text: str) -> None:
    assert not is_valid(text)
    assert not matches(text, ">", "1")
    assert compare(text, "0") < 0
    with pytest.raises(RequestError) as refused:
        parse_version(text)
    assert len(str(refused.value)) < 100
    assert is_valid("1" * 256)
