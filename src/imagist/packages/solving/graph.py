"""A solution as a graph: DOT, Mermaid and JSON."""

from __future__ import annotations

import json

import msgspec

from imagist.oci.platform import Platform
from imagist.packages.solving.resolution import Offer, Resolution

_WORLD = "world"


class Node(msgspec.Struct, frozen=True):
    """A package on one platform."""

    platform: str
    name: str
    version: str
    kept: bool = False
    """Whether a base image holds it already."""


class Edge(msgspec.Struct, frozen=True):
    """`source` asks for `requirement`, and `target` answers; the world's name is empty."""

    platform: str
    source: str
    target: str
    requirement: str
    kind: str


class Graph(msgspec.Struct, frozen=True):
    """Packages in installation order, and what asks for what."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def graph(resolution: Resolution[Offer], platform: Platform | None = None) -> Graph:
    """The graph of a solution, of one platform or of all."""
    nodes: list[Node] = []
    edges: list[Edge] = []
    for each, chosen in resolution:
        if platform not in (None, each):
            continue
        nodes.append(Node(str(each), chosen.name, chosen.version, chosen.kept))
        for reason in chosen.reasons:
            if reason.kind == "install_if":
                edges += (
                    Edge(str(each), trigger, chosen.name, reason.requirement, reason.kind)
                    for trigger in reason.triggers
                )
            elif reason.kind != "installed":
                edge = Edge(
                    str(each), reason.requirer, chosen.name, reason.requirement, reason.kind
                )
                edges.append(edge)
    return Graph(tuple(nodes), tuple(edges))


def format_json(graph: Graph) -> str:
    """The graph as one JSON document: `nodes` and `edges`, as the structures above name them."""
    return json.dumps(msgspec.to_builtins(graph), indent=2, ensure_ascii=False) + "\n"


def format_dot(graph: Graph) -> str:
    """The graph in Graphviz' language, one cluster for each platform."""
    lines = ["digraph packages {", "  rankdir=LR;", "  node [shape=box];"]
    for number, platform in enumerate(_platforms(graph)):
        lines += [f"  subgraph cluster_{number} {{", f"    label={_quote(platform)};"]
        lines.append(f"    {_quote(f'{platform} {_WORLD}')} [label={_quote(_WORLD)}, shape=oval];")
        for node in graph.nodes:
            if node.platform == platform:
                label = _quote(f"{node.name}\n{node.version}")
                style = ", style=dashed" if node.kept else ""
                lines.append(f"    {_quote(f'{platform} {node.name}')} [label={label}{style}];")
        lines.append("  }")
    for edge in graph.edges:
        source = _quote(f"{edge.platform} {edge.source or _WORLD}")
        target = _quote(f"{edge.platform} {edge.target}")
        style = ", style=dotted" if edge.kind == "install_if" else ""
        lines.append(f"  {source} -> {target} [label={_quote(edge.requirement)}{style}];")
    return "\n".join([*lines, "}", ""])


def format_mermaid(graph: Graph) -> str:
    """The graph as a Mermaid flowchart, one subgraph for each platform."""
    lines = ["flowchart LR"]
    ids: dict[tuple[str, str], str] = {}
    for number, platform in enumerate(_platforms(graph)):
        lines.append(f'  subgraph p{number}["{platform}"]')
        ids[platform, ""] = f"p{number}w"
        lines.append(f'    p{number}w(["{_WORLD}"])')
        for place, node in enumerate(n for n in graph.nodes if n.platform == platform):
            ids[platform, node.name] = f"p{number}n{place}"
            label = _escape(f"{node.name} {node.version}")
            lines.append(f'    p{number}n{place}["{label}"]')
        lines.append("  end")
    for edge in graph.edges:
        source, target = ids[edge.platform, edge.source], ids[edge.platform, edge.target]
        arrow = "-.->" if edge.kind == "install_if" else "-->"
        lines.append(f'  {source} {arrow}|"{_escape(edge.requirement)}"| {target}')
    return "\n".join([*lines, ""])


def _platforms(graph: Graph) -> list[str]:
    return sorted({node.platform for node in graph.nodes})


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _escape(text: str) -> str:
    """Text for a quoted label of Mermaid, which knows HTML's entities written with `#`."""
    for character, code in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        text = text.replace(character, code)
    return text
