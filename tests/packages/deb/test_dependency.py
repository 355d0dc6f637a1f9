"""Relations: grammar, what they accept, and what a declaration may ask for."""

from __future__ import annotations

import pytest

from imagist.errors import RequestError
from imagist.packages.deb.dependency import (
    Provide,
    Relation,
    parse_clauses,
    parse_provides,
    parse_world,
)
from imagist.packages.deb.version import sort_key


def test_a_field_of_relations() -> None:
    field = "libc6 (>= 2.34), debconf (>= 0.5) | debconf-2.0,\n python3:any, perl:i386 (<< 6)"
    clauses = parse_clauses(field, "amd64")
    assert [str(clause) for clause in clauses] == [
        "libc6 (>= 2.34)", "debconf (>= 0.5) | debconf-2.0", "python3:any", "perl:i386 (<< 6)"
    ]  # fmt: skip
    assert clauses[0].relations == (Relation("libc6", ">=", "2.34", "", sort_key("2.34")),)
    assert [relation.name for relation in clauses[1].relations] == ["debconf", "debconf-2.0"]
    assert clauses[2].relations[0].arch == "any"
    assert str(clauses[3].relations[0]) == "perl:i386 (<< 6)"


@pytest.mark.parametrize(
    ("relation", "accepted"),
    [
        ("x", "1.0~ 1.0 1.1 -"),
        ("x (>= 1.0)", "1.0 1.1"),
        ("x (> 1.0)", "1.0 1.1"),
        ("x (<= 1.0)", "1.0~ 1.0"),
        ("x (< 1.0)", "1.0~ 1.0"),
        ("x (<< 1.0)", "1.0~"),
        ("x (>> 1.0)", "1.1"),
        ("x(=1.0)", "1.0"),
    ],
)
def test_operators(relation: str, accepted: str) -> None:
    (clause,) = parse_clauses(relation, "amd64")
    versions = ["1.0~", "1.0", "1.1", ""]
    found = [version or "-" for version in versions if clause.relations[0].accepts(version)]
    assert found == accepted.split()


def test_relations_for_some_architectures_and_profiles() -> None:
    field = "a [amd64], b [!amd64], c [linux-any], d [arm64 armhf], e <!nocheck>, f [any-amd64]"
    names = [[r.name for r in clause.relations] for clause in parse_clauses(field, "amd64")]
    assert names == [["a"], [], ["c"], [], [], ["f"]]


@pytest.mark.parametrize("text", ["(>= 1)", "a (~ 1)", "a (>= )", "a b", "a (>= 1_0)", "a | | b"])
def test_what_means_nothing_satisfies_nothing(text: str) -> None:
    (clause,) = parse_clauses(text, "amd64")
    assert clause.broken
    assert clause.relations == ()


def test_provides() -> None:
    field = "awk, dpkg-build-api (= 0), dpkg-build-api (= 1), python3:any (= 3.13), bad (>= 1)"
    assert parse_provides(field) == (
        Provide("awk"),
        Provide("dpkg-build-api", "0"),
        Provide("dpkg-build-api", "1"),
        Provide("python3", "3.13", "any"),
    )


def test_what_a_declaration_asks_for() -> None:
    entries = [
        "libc6",
        "libc6:i386",
        "a=1.0-1",
        "a>=1",
        "a (<< 2)",
        "a/trixie-backports",
        "!b",
        "c | d",
    ]
    world = parse_world(entries, "amd64")
    assert [asked.text for asked in world] == entries
    assert world[1].clause.relations[0].arch == "i386"
    assert [w.clause.relations[0].op for w in world[2:5]] == ["=", ">=", "<<"]
    assert world[5].suite == "trixie-backports"
    assert world[6].exclude
    assert str(world[6].clause) == "b"
    assert len(world[7].clause.relations) == 2


def test_all_bad_entries_are_told() -> None:
    with pytest.raises(RequestError) as error:
        parse_world(["ok", "a=1_0", "~x", "a b"], "amd64")
    assert [problem.message.split(":")[0] for problem in error.value.problems] == [
        "`a=1_0` is not a package to install",
        "`~x` is not a package to install",
        "`a b` is not a package to install",
    ]
