from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagist.errors import RequestError
from imagist.packages.apk.dependency import (
    Dependency,
    Provide,
    parse_dependency,
    parse_provide,
    parse_world,
    satisfies,
)


@pytest.mark.parametrize(
    ("text", "name", "op", "version", "pin"),
    [
        ("agetty", "agetty", "", "", ""),
        ("name@edge", "name", "", "", "edge"),
        ("name=1.2.3", "name", "=", "1.2.3", ""),
        ("name>1.2.3", "name", ">", "1.2.3", ""),
        ("name<1.2.3", "name", "<", "1.2.3", ""),
        ("name>=1.2.3", "name", ">=", "1.2.3", ""),
        ("name=>1.2.3", "name", ">=", "1.2.3", ""),
        ("name<=1.2.3", "name", "<=", "1.2.3", ""),
        ("name~1.2.3", "name", "~", "1.2.3", ""),
        ("name=~1.2.3", "name", "~", "1.2.3", ""),
        ("name~=1.2.3", "name", "~", "1.2.3", ""),
        ("name<~1.2.3", "name", "<~", "1.2.3", ""),
        ("name>~1.2.3", "name", ">~", "1.2.3", ""),
        ("name><Q1AAAA+/=", "name", "><", "Q1AAAA+/=", ""),
        ("name=1.0~12ab-r0", "name", "=", "1.0~12ab-r0", ""),
        ("name~1.0~12ab@edge", "name", "~", "1.0~12ab", "edge"),
        ("name=1.2.3@community", "name", "=", "1.2.3", "community"),
        ("name@community=1.2.3", "name", "=", "1.2.3", "community"),
        ("name>=1@edge-testing", "name", ">=", "1", "edge-testing"),
        ("so:libfoo.so.6=6", "so:libfoo.so.6", "=", "0.6", ""),
        ("so:libfoo.so.6>=6", "so:libfoo.so.6", ">=", "0.6", ""),
        ("so:libfoo.so.6=1.0-r3", "so:libfoo.so.6", "=", "1.0-r3", ""),
        ("so:libc.musl-x86_64.so.1", "so:libc.musl-x86_64.so.1", "", "", ""),
        ("cmd:[=1-r0", "cmd:[", "=", "1-r0", ""),
        ("/bin/sh", "/bin/sh", "", "", ""),
        ("libstdc++", "libstdc++", "", "", ""),
        ("py3.12:foo!bar", "py3.12:foo!bar", "", "", ""),
    ],
)
def test_parts_of_a_dependency(text: str, name: str, op: str, version: str, pin: str) -> None:
    dependency = parse_dependency(text)
    assert not dependency.broken
    assert (dependency.name, dependency.op, dependency.version, dependency.pin) == (
        name,
        op,
        version,
        pin,
    )
    assert not dependency.conflict
    assert str(dependency) == text


def test_conflict() -> None:
    conflict = parse_dependency("!name<2")
    assert (conflict.name, conflict.op, conflict.version) == ("name", "<", "2")
    assert conflict.conflict


MEANINGLESS = [
    "!",
    "!!a",
    "a==1",
    "a=",
    "a<>=1",
    "a>=zz",
    "a@x@y",
    "a@x=1@y",
    "=1",
    "a=1=2",
    "@x",
    "a@",
]


@pytest.mark.parametrize("text", ["", "a b", "a =1", *MEANINGLESS])
def test_meaningless_dependency_is_told_and_never_satisfied(text: str) -> None:
    dependency = parse_dependency(text)
    assert dependency.broken
    assert not satisfies(Provide(dependency.name, "1"), dependency)
    with pytest.raises(RequestError):
        parse_world([text])


def test_world_tells_all_mistakes_at_once() -> None:
    with pytest.raises(RequestError) as caught:
        parse_world(["good", "bad==1", "worse=x", "!fine"])
    sentences = [problem.message for problem in caught.value.problems]
    assert len(sentences) == 2
    assert "`bad==1`" in sentences[0]
    assert "`x` is not a version" in sentences[1]
    assert all(problem.help for problem in caught.value.problems)


def test_world_ignores_space_around_an_entry() -> None:
    assert [entry.name for entry in parse_world([" a ", "b\n"])] == ["a", "b"]


@pytest.mark.parametrize(
    ("provide", "dependency", "expected"),
    [
        ("a=1.2-r0", "a", True),
        ("a=1.2-r0", "b", False),
        ("a=1.2-r0", "a=1.2-r0", True),
        ("a=1.2-r0", "a=1.2", False),
        ("a=1.2-r0", "a~1.2", True),
        ("a=1.2-r0", "a>=1.3", False),
        # without a version: for no versioned dependency, and hit by no versioned conflict
        ("a", "a", True),
        ("a", "a>0", False),
        ("a", "a=1", False),
        ("a", "!a<2", False),
        ("a", "!a", True),
        ("a=1", "!a<2", True),
        # shared libraries: plain versions among themselves, and below package versions
        ("so:l=6", "so:l=6", True),
        ("so:l=6", "so:l>=5", True),
        ("so:l=6", "so:l>=1.0-r0", False),
        ("so:l=1.0-r3", "so:l>=6", True),
        ("so:l=1.0-r3", "so:l=6", False),
    ],
)
def test_what_satisfies_what(provide: str, dependency: str, *, expected: bool) -> None:
    assert satisfies(parse_provide(provide), parse_dependency(dependency)) is expected


def test_package_checksum_as_a_requirement() -> None:
    wanted = parse_dependency("a><Q1abc=")
    own = Provide("a", "1")
    assert satisfies(own, wanted, checksum="Q1abc=")
    assert not satisfies(own, wanted, checksum="Q1abd=")
    assert not satisfies(own, wanted)


def test_provide_keeps_name_and_version_only() -> None:
    assert parse_provide("cmd:sh=1.2-r3") == Provide("cmd:sh", "1.2-r3")
    assert parse_provide("virtual") == Provide("virtual")
    assert parse_provide("a>=2") == Provide("a", "2")


@given(st.text("ab!@=<>~1.2-r /:", max_size=12))
def test_parsing_never_raises_and_is_remembered(text: str) -> None:
    dependency = parse_dependency(text)
    assert isinstance(dependency, Dependency)
    assert dependency.text == text
    assert parse_dependency(text) is dependency
    if not dependency.broken:
        mark, pin = "!" * dependency.conflict, f"@{dependency.pin}" if dependency.pin else ""
        again = parse_dependency(
            f"{mark}{dependency.name}{dependency.op}{dependency.version}{pin}"
        )
        parts = ("name", "op", "version", "conflict", "pin")
        if not dependency.name.startswith("so:"):
            assert [getattr(again, p) for p in parts] == [getattr(dependency, p) for p in parts]
