"""Locks that are graphs: which packages are reached on a target, from the project on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec


class Edge(msgspec.Struct, frozen=True):
    """A package that another needs."""

    to: str
    """The `where` of the package."""
    extras: tuple[str, ...] = ()
    """Those of its extras that are needed with it."""
    marker: str = ""


class Graph(msgspec.Struct, frozen=True):
    """Who needs whom."""

    root: str
    """The `where` of the project itself."""
    edges: Mapping[tuple[str, str], tuple[Edge, ...]]
    """A package and one of its extras (empty: itself) -> what is needed for that."""
    groups: Mapping[str, tuple[Edge, ...]] = {}
    """Dependency groups of the project."""


def reach(
    graph: Graph,
    extras: Iterable[str],
    groups: Iterable[str],
    holds: Callable[[str, str], bool],
) -> set[str]:
    """The packages that the project needs, without itself.

    Args:
        graph: who needs whom.
        extras: those of the project that are wanted.
        groups: likewise its groups.
        holds: whether a marker is true; it gets the place of whoever states it, too.
    """
    start = [(graph.root, ""), *((graph.root, extra) for extra in sorted(extras))]
    seen = set(start)
    todo = [
        (where, edge) for where, extra in start for edge in graph.edges.get((where, extra), ())
    ]
    todo += [
        (graph.root, edge) for group in sorted(groups) for edge in graph.groups.get(group, ())
    ]
    while todo:
        source, edge = todo.pop()
        if not holds(edge.marker, source):
            continue
        for extra in ("", *edge.extras):
            step = (edge.to, extra)
            if step not in seen:
                seen.add(step)
                todo += [(edge.to, following) for following in graph.edges.get(step, ())]
    return {where for where, _ in seen} - {graph.root}
