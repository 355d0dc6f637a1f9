"""Whether a lock is what its project asks for now: people edit one and forget the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from imagist.errors import Problem, Span
from imagist.packages.wheel.lock.model import Lock, Package, normalize
from imagist.packages.wheel.target import Target, marker_environment


def find_drift(
    lock: Lock,
    target: Target,
    wanted: Sequence[Package],
    requirements: Iterable[tuple[str, Span | str]],
) -> list[Problem]:
    """What a project requires on a target and the lock does not have, in the order required.

    Args:
        lock: where the packages are from.
        target: for which they are wanted.
        wanted: what `wanted_packages` gives for it.
        requirements: of the project with its extras and groups (PEP 508), and where each stands.
    """
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415

    found = {package.name: package for package in wanted}
    environment = marker_environment(target)
    problems: list[Problem] = []
    for text, where in requirements:
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            said = str(error).partition("\n")[0]
            problems.append(Problem(f"`{text}` is no requirement: {said}", where))
            continue
        marker = requirement.marker
        if marker is not None and not marker.evaluate({**environment, "extra": ""}):
            continue
        package = found.get(normalize(requirement.name))
        if package is None:
            said = f"`{text}` is required, but {lock.file} has no `{requirement.name}`"
        elif package.version and not requirement.specifier.contains(
            package.version, prereleases=True
        ):
            said = f"`{text}` is required, but {lock.file} has {package.version}"
        else:
            continue
        problems.append(Problem(said, where, "lock again: the requirements changed since"))
    return problems


def expand_groups(groups: Mapping[str, tuple[Any, ...]], names: Iterable[str]) -> list[str]:
    """The requirements of dependency groups, with those that they include (PEP 735).

    What is malformed is left out: whoever locked has said so.
    """
    known = {normalize(name): items for name, items in groups.items()}
    found: list[str] = []
    seen: set[str] = set()
    todo = [normalize(name) for name in names][::-1]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        for item in known.get(name, ()):
            if isinstance(item, str):
                found.append(item)
            elif isinstance(item, dict) and isinstance(item.get("include-group"), str):
                todo.append(normalize(item["include-group"]))
    return found
