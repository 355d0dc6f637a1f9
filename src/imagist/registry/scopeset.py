"""Several scopes: read from challenges, merged, and compared with what a token was given for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from imagist.registry.scope import Scope


def parse_scopes(text: str) -> list[Scope]:
    """Read the scopes of a challenge, which spaces divide; what is none is passed over."""
    found = []
    for word in text.split():
        resource, _, actions = word.rpartition(":")
        names = tuple(filter(None, actions.split(",")))
        if resource and names:
            found.append(Scope(resource, names))
    return found


def merge(scopes: Iterable[Scope]) -> tuple[Scope, ...]:
    """Each resource once with all actions that are named for it, in the order they come."""
    merged: dict[str, dict[str, None]] = {}
    for scope in scopes:
        merged.setdefault(scope.resource, {}).update(dict.fromkeys(scope.actions))
    return tuple(Scope(resource, tuple(actions)) for resource, actions in merged.items())


def covers(granted: Sequence[Scope], wanted: Sequence[Scope]) -> bool:
    """Whether what was granted is enough for what is wanted."""
    allowed = {scope.resource: set(scope.actions) for scope in granted}
    return all(
        "*" in (actions := allowed.get(scope.resource, set())) or actions.issuperset(scope.actions)
        for scope in wanted
    )


def format_scope(scope: Scope) -> str:
    """A scope as token servers read it: `repository:team/app:pull,push`."""
    return f"{scope.resource}:{','.join(scope.actions)}"


def repository_of(scopes: Sequence[Scope]) -> str:
    """The repository that a request goes to: of the first scope, empty where it names none."""
    kind, _, name = scopes[0].resource.partition(":") if scopes else ("", "", "")
    return name if kind == "repository" else ""
