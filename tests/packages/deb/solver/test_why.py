"""Why a package is there, what was passed over, and the graph of it all."""

from __future__ import annotations

import json

import pytest

from imagist.errors import NotFound
from imagist.packages.deb.solver.why import why
from imagist.packages.deb.universe import PackageList, Repository, Suite, Universe
from imagist.packages.solving.graph import format_dot, format_json, format_mermaid, graph
from packages.deb.solver.deb_worlds import AMD, choose, pkg

OFFERED = [
    pkg("app", depends="lib (>= 1), mta | agent"),
    pkg("lib", "2", pre="base"),
    pkg("lib", "1"),
    pkg("base"),
    pkg("mta", provides="agent"),
    pkg("other", provides="agent", priority="extra"),
    pkg("third", provides="agent", conflicts="lib"),
]


def test_chains_from_the_world() -> None:
    resolution = choose("app; base", *OFFERED)
    found = why(resolution, AMD, "base")
    assert [[str(link) for link in chain] for chain in found.chains] == [
        ["the world asks for `base`: base-1"],
        [
            "the world asks for `app`: app-1",
            "app needs `lib (>= 1)`: lib-2",
            "lib needs `base`: base-1",
        ],
    ]


def test_a_provided_name_finds_its_provider() -> None:
    resolution = choose("app", *OFFERED)
    assert why(resolution, AMD, "agent").chosen.name == "mta"
    with pytest.raises(NotFound) as error:
        why(resolution, AMD, "bases")
    assert error.value.problems[0].help == "did you mean `base`?"


def test_what_was_passed_over() -> None:
    universe = Universe.of(OFFERED)
    resolution = choose("app", universe)
    others = {a.name: a.because for a in why(resolution, AMD, "mta", universe).alternatives}
    assert others == {
        "other": "its priority extra is below optional",
        "third": "it conflicts with lib-2 by `lib`",
    }
    (lower,) = why(resolution, AMD, "lib", universe).alternatives
    assert (lower.version, lower.because) == ("1", "2 is higher")


def test_a_suite_of_lower_priority_is_named() -> None:
    backports = Suite("backports", "trixie-backports", not_automatic=True)
    universe = Universe(
        "amd64",
        [Repository(PackageList([pkg("a")])), Repository(PackageList([pkg("a", "2")]), backports)],
    )
    (other,) = why(choose("a", universe), AMD, "a", universe).alternatives
    assert other.because == "the priority of trixie-backports, 1, is below 500"


def test_what_is_essential_and_what_a_base_holds() -> None:
    offered = [pkg("base-files", essential=True), pkg("a", depends="held")]
    resolution = choose("a", *offered, installed=[pkg("held")], essential="minimal")
    (chain,) = why(resolution, AMD, "base-files").chains
    assert [str(link) for link in chain] == ["base-files-1 belongs to what makes a system run"]
    found = why(resolution, AMD, "held")
    assert str(found.chains[0][0]) == "the base image holds held-1"


def test_the_graph() -> None:
    made = graph(choose("app", *OFFERED))
    assert [node.name for node in made.nodes] == ["base", "lib", "mta", "app"]
    edges = {(edge.source, edge.target, edge.requirement) for edge in made.edges}
    assert edges == {
        ("", "app", "app"),
        ("app", "lib", "lib (>= 1)"),
        ("lib", "base", "base"),
        ("app", "mta", "mta | agent"),
    }
    assert len(json.loads(format_json(made))["nodes"]) == 4
    assert "lib (>= 1)" in format_dot(made)
    assert "mta" in format_mermaid(made)
