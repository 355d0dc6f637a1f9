"""Challenges as servers write them, well or badly."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple

from imagist.registry.challenge import Challenge, choose, parse_challenges


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (['Basic realm="Registry"'], [("basic", {"realm": "Registry"})]),
        (["Basic"], [("basic", {})]),
        (
            ['Bearer realm="https://auth/token",service="hub",scope="repository:a/b:pull,push"'],
            [
                (
                    "bearer",
                    {
                        "realm": "https://auth/token",
                        "service": "hub",
                        "scope": "repository:a/b:pull,push",
                    },
                )
            ],
        ),
        (
            ["Negotiate", 'BEARER Realm = "r" , error="insufficient_scope"'],
            [("negotiate", {}), ("bearer", {"realm": "r", "error": "insufficient_scope"})],
        ),
        (
            ['Newauth realm="apps", type=1, title="Login to \\"apps\\"", Basic realm="simple"'],
            [
                ("newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'}),
                ("basic", {"realm": "simple"}),
            ],
        ),
        (
            ['Bearer realm=https://auth/token,service="s"'],
            [("bearer", {"realm": "https://auth/token", "service": "s"})],
        ),
        (['Basic realm="never closed'], [("basic", {"realm": "never closed"})]),
        ([", ,Basic ,, realm=x,"], [("basic", {"realm": "x"})]),
        (['realm="without a scheme"'], []),
        (["Basic realm=first, realm=second"], [("basic", {"realm": "first"})]),
        ([""], []),
    ],
)
def test_challenges_are_read_as_servers_write_them(
    headers: list[str], found: list[tuple[str, dict[str, str]]]
) -> None:
    assert [astuple(c) for c in parse_challenges(headers)] == found


TOKENS = st.text(string.ascii_lowercase + string.digits + "-._", min_size=1, max_size=8)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=20)
CHALLENGES = st.builds(Challenge, TOKENS, st.dictionaries(TOKENS, VALUES, max_size=4))


def write(challenge: Challenge) -> str:
    def quote(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    parameters = ",".join(f"{k}={quote(v)}" for k, v in challenge.parameters.items())
    return f"{challenge.scheme} {parameters}".rstrip(" ")


@given(st.lists(CHALLENGES, max_size=4), st.sampled_from([", ", ",", " ,\t"]))
def test_what_is_written_is_read_again(challenges: list[Challenge], comma: str) -> None:
    assert parse_challenges(map(write, challenges)) == challenges
    assert parse_challenges([comma.join(map(write, challenges))]) == challenges


@given(st.lists(st.text(max_size=60), max_size=3))
def test_no_header_makes_the_parser_fail(headers: list[str]) -> None:
    for challenge in parse_challenges(headers):
        assert challenge.scheme == challenge.scheme.lower() != ""


def test_a_long_header_is_read_in_good_time() -> None:
    assert parse_challenges(['"' * 50_000, "a=\\" * 20_000, 'x="' + "\\" * 50_001]) == []


@pytest.mark.parametrize(
    ("header", "scheme"),
    [
        ('Basic realm="a", Bearer realm="https://t"', "basic"),
        ('Bearer realm="https://t", Basic realm="a"', "bearer"),
        ('Negotiate, Bearer service="no realm", Basic realm="a"', "basic"),
        ("Negotiate abc==, Digest realm=x", None),
    ],
)
def test_the_first_that_can_be_answered_is_chosen(header: str, scheme: str | None) -> None:
    chosen = choose(parse_challenges([header]))
    assert (chosen.scheme if chosen else None) == scheme
