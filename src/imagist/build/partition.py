"""Which packages share a layer: the plan of an image's layers, before a byte is written.

Three strategies. `package`: a package whose data segment can be a layer as it is becomes one
(digest = datahash); the smallest share one written layer. `origin`: apko's grouping by origin
with a budget. `single`: one layer. Whatever the strategy, a top layer follows that turns what
the layers below yield into the tree (`overlay`), so a strategy decides sharing, never content.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from imagist.packages.files import PackageFiles

SMALL: Final = 64 << 10
"""Packages with fewer compressed bytes than this share a layer: a layer costs a round trip."""

_LEAST: Final = 2
"""Layers that `package` needs to divide anything: one for packages, and the top layer."""


class Group(msgspec.Struct, frozen=True):
    """The packages of one layer; `verbatim` where the layer is the package's own data segment."""

    packages: tuple[PackageFiles, ...]
    verbatim: bool = False


def plan_groups(
    packages: Sequence[PackageFiles],
    altered: Mapping[str, str],
    *,
    strategy: str,
    budget: int,
) -> list[Group]:
    """Divide packages among at most `budget` layers, the top layer included.

    Args:
        packages: what is installed, in any order; the result does not depend on it.
        altered: packages that cannot be verbatim in this tree, with the reason.
        strategy: `package`, `origin` or `single`.
        budget: the most layers there may be, counting the top layer; `origin` counts as apko
            does, without the top layer.
    """
    packages = [p for p in packages if p.entries]
    undivided = strategy == "single" or (strategy == "package" and budget < _LEAST)
    if undivided or not packages:
        return []
    if strategy == "origin":
        groups = _group_by_origin(packages, budget)
    else:
        groups = _group_by_size(packages, altered, budget)
    rank = rank_by_dependents(packages)
    ordered = [sorted(group, key=lambda p: rank[p.package.name]) for group in groups]
    ordered.sort(key=lambda group: (len(group) > 1, rank[group[0].package.name]))
    return [Group(tuple(group), _is_verbatim(group, altered)) for group in ordered]


def rank_by_dependents(packages: Sequence[PackageFiles]) -> dict[str, int]:
    """Number packages so that the most depended-on come first.

    The order depends on the package set alone, so images that share their foundations share
    their first layers.
    """
    provider: dict[str, str] = {}
    for files in sorted(packages, key=lambda p: p.package.name):
        for name in files.package.offered_names():
            provider.setdefault(name, files.package.name)
    needs: dict[str, set[str]] = {}
    for files in packages:
        found = {provider[name] for name in files.package.needed_names() if name in provider}
        needs[files.package.name] = found - {files.package.name}
    dependents = dict.fromkeys(needs, 0)
    for name in needs:
        for dependency in _closure(name, needs):
            dependents[dependency] += 1
    ordered = sorted(dependents, key=lambda name: (-dependents[name], name))
    return {name: position for position, name in enumerate(ordered)}


def _closure(name: str, needs: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    todo = list(needs[name])
    while todo:
        current = todo.pop()
        if current not in seen and current != name:
            seen.add(current)
            todo.extend(needs[current])
    return seen


def _is_verbatim(group: Sequence[PackageFiles], altered: Mapping[str, str]) -> bool:
    return len(group) == 1 and group[0].package.name not in altered


def _group_by_size(
    packages: Sequence[PackageFiles], altered: Mapping[str, str], budget: int
) -> list[list[PackageFiles]]:
    """The largest packages alone, as far as the budget goes; the others together.

    Packages that are large but altered stand alone too: rewriting one does not rewrite others.
    """
    alone = budget - _LEAST
    by_size = sorted(packages, key=lambda p: (-p.data_size, p.package.name))
    large = [p for p in by_size if p.data_size >= SMALL]
    # With the budget short, a verbatim layer is worth more than an altered one of that size.
    large.sort(key=lambda p: p.package.name in altered)
    single = {p.package.name for p in large[:alone]}
    groups = [[p] for p in by_size if p.package.name in single]
    rest = [p for p in by_size if p.package.name not in single]
    return [*groups, rest] if rest else groups


def _group_by_origin(packages: Sequence[PackageFiles], budget: int) -> list[list[PackageFiles]]:
    """Apko's groups: one for each origin, joined where packages replace each other's files."""
    group_of: dict[str, str] = {
        p.package.name: p.package.origin or p.package.name for p in packages
    }
    for files in packages:
        for other in packages:
            if files is not other and files.package.replaces_files_of(other.package):
                joined, dropped = sorted(
                    (group_of[files.package.name], group_of[other.package.name])
                )
                group_of = {n: joined if g == dropped else g for n, g in group_of.items()}
    groups: dict[str, list[PackageFiles]] = {}
    for files in packages:
        groups.setdefault(group_of[files.package.name], []).append(files)

    def weight(group: Iterable[PackageFiles]) -> tuple[int, str]:
        members = list(group)
        size = sum(p.package.installed_size for p in members)
        return -size, max(p.package.name for p in members)

    ordered = sorted(groups.values(), key=weight)
    keep = max(budget - 1, 0)
    if len(ordered) <= max(budget, 1):
        return ordered
    return [*ordered[:keep], [p for group in ordered[keep:] for p in group]]
