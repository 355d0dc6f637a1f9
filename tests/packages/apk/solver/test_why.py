"""Reasons for what was chosen, and graphs of it."""

from __future__ import annotations

import json

import pytest

from imagist.errors import NotFound
from imagist.packages.apk.solver.solve import solve
from imagist.packages.apk.solver.why import why
from imagist.packages.solving.graph import format_dot, format_json, format_mermaid, graph
from packages.apk.solver.solver_worlds import AMD, ARM, read_packages, universe

OFFERED = universe(
    "app 1 needs: lib>1 tool\ntool 1 needs: lib<4 /bin/sh\nlib 1\nlib 2\nlib 3\nlib 4\n"
    "box 1 gives: /bin/sh priority: 9\ndash 1 gives: /bin/sh priority: 5\nhater 1 gives: /bin/sh needs: !lib\n"
    "lib-doc 1 with: docs lib\ndocs 1",
    edge="lib 9",
)
FOUND = solve({ARM: ["app", "docs", "!dash"]}, {ARM: OFFERED})


def test_first_chain_is_the_shortest_from_the_world() -> None:
    answer = why(FOUND, ARM, "lib")
    assert [[link.name for link in chain] for chain in answer.chains] == [
        ["app", "lib"],
        ["app", "tool", "lib"],
    ]
    assert [str(link) for link in answer.chains[0]] == [
        "the world asks for `app`: app-1",
        "app needs `lib>1`: lib-3",
    ]


def test_alternatives_say_what_spoke_against_them() -> None:
    answer = why(FOUND, ARM, "lib", OFFERED)
    assert {(each.version, each.because) for each in answer.alternatives} == {
        ("1", "it does not answer `lib>1` of app"),
        ("2", "3 is higher"),
        ("4", "it does not answer `lib<4` of tool"),
        ("9", "it is in the repository tagged @edge, which nothing asks for here"),
    }
    shells = {each.name: each.because for each in why(FOUND, ARM, "/bin/sh", OFFERED).alternatives}
    assert shells == {
        "dash": "the world excludes it by `!dash`",
        "hater": "it refuses lib-3 by `!lib`",
    }


def test_package_that_installed_itself_names_its_conditions() -> None:
    (chain,) = why(FOUND, ARM, "lib-doc").chains
    assert [str(link) for link in chain] == ["lib-doc-1 comes with docs lib"]


def test_package_of_the_base_image_says_so() -> None:
    found = solve({ARM: ["app"]}, {ARM: OFFERED}, installed={ARM: read_packages("old 1")})
    assert str(why(found, ARM, "old").chains[0][0]) == "the base image holds old-1"


def test_unknown_name_is_not_found_and_a_close_one_suggested() -> None:
    with pytest.raises(NotFound) as raised:
        why(FOUND, ARM, "toool")
    assert raised.value.problems[0].help == "did you mean `tool`?"


def test_graph_has_every_package_and_every_reason() -> None:
    made = graph(FOUND)
    assert {node.name for node in made.nodes} == {"app", "tool", "lib", "box", "lib-doc", "docs"}
    edges = {(edge.source, edge.target, edge.requirement) for edge in made.edges}
    assert edges == {
        ("", "app", "app"),
        ("", "docs", "docs"),
        ("app", "lib", "lib>1"),
        ("app", "tool", "tool"),
        ("tool", "lib", "lib<4"),
        ("tool", "box", "/bin/sh"),
        ("docs", "lib-doc", "docs lib"),
        ("lib", "lib-doc", "docs lib"),
    }


def test_graph_of_one_platform_leaves_out_the_others() -> None:
    both = solve({AMD: ["docs"], ARM: ["tool"]}, {AMD: OFFERED, ARM: OFFERED})
    assert [node.name for node in graph(both, AMD).nodes] == ["docs"]
    assert {node.platform for node in graph(both).nodes} == {"linux/amd64", "linux/arm64"}


def test_graph_formats_are_quoted() -> None:
    made = graph(solve({ARM: ["lib>1"]}, {ARM: OFFERED}))
    assert json.loads(format_json(made))["edges"][0]["requirement"] == "lib>1"
    assert '  "linux/arm64 world" -> "linux/arm64 lib" [label="lib>1"];' in format_dot(made)
    assert format_mermaid(made) == (
        'flowchart LR\n  subgraph p0["linux/arm64"]\n    p0w(["world"])\n    p0n0["lib 4"]\n  end\n'
        '  p0w -->|"lib#gt;1"| p0n0\n'
    )
