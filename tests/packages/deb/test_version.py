"""The order of versions, by hand, by dpkg, and by what every order must be."""

from __future__ import annotations

import subprocess
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagist.errors import RequestError
from imagist.packages.deb.version import (
    OPERATORS,
    Version,
    compare,
    is_valid,
    matches,
    parse_version,
    sort_key,
)
from support import needs

ASCENDING = [
    "1.0~rc1 1.0",
    "1.0~~ 1.0~ 1.0",
    "0~ 0",
    "1.0 1.0+b1",
    "1.0-1 1.0-1+b1",
    "1.0-1+b2 1.0-1+b10",
    "1.0-1~deb12u1 1.0-1 1.0-1+deb12u1",
    "1.0-1+deb12u9 1.0-1+deb12u10",
    "1.0 1.0a 1.0+ 1.0.",
    "1.0z 1.0+",
    "1.0Z 1.0a",
    "2.0 1:0.1",
    "1.2-4 1.2-3-4",
    "1.0-1 1.0-1build1 1.0-1ubuntu1",
    "9 10",
    "1 1a",
    "1.0~ 1.0-0~ 1.0-0",
    "1.3.dfsg-1 1.3.dfsg+really1.3.1-1",
    "0.99999999999999999998 0.99999999999999999999 0.100000000000000000000",
]


@pytest.mark.parametrize("row", ASCENDING)
def test_order_of_versions(row: str) -> None:
    versions = row.split()
    for place, low in enumerate(versions):
        for high in versions[place + 1 :]:
            assert (compare(low, high), compare(high, low)) == (-1, 1), (low, high)


@pytest.mark.parametrize(
    "pair", ["1.0 1.0-0", "0:1 1", "1.0 1.00", "1.01 1.1", "1.0-1 1.0-01", "1a 1a0"]
)
def test_spellings_of_the_same_version(pair: str) -> None:
    left, right = pair.split()
    assert compare(left, right) == 0
    assert matches(left, "=", right)


@needs("dpkg")
@pytest.mark.parametrize("row", ASCENDING)
def test_dpkg_orders_them_alike(row: str) -> None:
    for low, high in pairwise(row.split()):
        assert _dpkg(low, "lt", high), (low, high)


def test_a_version_taken_apart() -> None:
    assert parse_version("1:2.3-4-5+b1") == Version("2.3-4", "5+b1", "1")
    assert parse_version("1.2") == Version("1.2")
    assert parse_version("1:2:3") == Version("2:3", "", "1")
    assert str(parse_version("1:2.3-4-5+b1")) == "1:2.3-4-5+b1"


@pytest.mark.parametrize(
    "text", ["", "1.0-", ":1", "a:1", "1 0", "1_0", "1.0-1:2", "ä", "-1", "1:", "9" * 300]
)
def test_texts_that_are_no_versions(text: str) -> None:
    assert not is_valid(text)
    assert sort_key(text) < sort_key("0~~")
    with pytest.raises(RequestError, match="is not a Debian version"):
        parse_version(text)


def test_operators() -> None:
    held = {op: [v for v in ("1.0~", "1.0", "1.0+") if matches(v, op, "1.0")] for op in OPERATORS}
    assert held == {
        "<<": ["1.0~"], "<=": ["1.0~", "1.0"], "=": ["1.0"], ">=": ["1.0", "1.0+"], ">>": ["1.0+"]
    }  # fmt: skip
    with pytest.raises(ValueError, match="no operator"):
        matches("1", "~", "1")


# Few characters, so that the interesting ones meet often.
_PART = st.text("019a~+.Z", min_size=1, max_size=7)
_VERSIONS = st.builds(
    lambda epoch, upstream, revision: f"{epoch}{upstream}{revision}",
    st.sampled_from(["", "", "0:", "1:"]),
    _PART.map(lambda text: "1" + text) | st.text("01a~+.-", min_size=1, max_size=7),
    st.just("") | _PART.map("-{}".format),
).filter(lambda text: is_valid(text) and text[0] != "-")  # which dpkg would take for an option


@needs("dpkg")
@settings(max_examples=400, deadline=None)
@given(_VERSIONS, _VERSIONS)
def test_any_two_compare_as_dpkg_says(left: str, right: str) -> None:
    order = compare(left, right)
    name = {-1: "lt", 0: "eq", 1: "gt"}[order]
    assert _dpkg(left, name, right)


@given(st.lists(_VERSIONS, min_size=3, max_size=3))
def test_the_order_is_total(versions: list[str]) -> None:
    low, middle, high = sorted(versions, key=sort_key)
    assert compare(low, high) <= 0
    assert compare(low, middle) == -compare(middle, low)
    if compare(low, middle) == compare(middle, high) == 0:
        assert compare(low, high) == 0


def _dpkg(left: str, operator: str, right: str) -> bool:
    done = subprocess.run(
        ["dpkg", "--compare-versions", left, operator, right], capture_output=True
    )
    return done.returncode == 0
