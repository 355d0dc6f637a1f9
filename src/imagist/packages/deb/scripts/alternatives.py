"""The command line of update-alternatives(1)."""

from __future__ import annotations

from typing import Final, NamedTuple

from imagist.packages.deb.scripts.system import Alternative

_QUESTIONS: Final = frozenset({"--display", "--query", "--list", "--get-selections"})


class Calls(NamedTuple):
    """What one command line says."""

    offered: tuple[Alternative, ...] = ()
    choices: tuple[tuple[str, str], ...] = ()
    """Name and path."""
    asks: bool = False
    """Whether it only looks."""


def parse_alternatives(words: list[str]) -> Calls:
    """Read the arguments; removing, and going back to priorities, mean nothing on a new system.

    Raises:
        ValueError: something is missing in them.
    """
    offered: list[Alternative] = []
    choices: list[tuple[str, str]] = []
    asks = False
    rest = iter(words)
    for word in rest:
        if word == "--install":
            link, name, path, priority = (next(rest, "") for _ in range(4))
            offered.append(Alternative(link, name, path, _number(priority)))
        elif word == "--slave" and offered:
            slave = (next(rest, ""), next(rest, ""), next(rest, ""))
            last = offered[-1]
            offered[-1] = last._replace(slaves=(*last.slaves, slave))
        elif word == "--set":
            choices.append((next(rest, ""), next(rest, "")))
        elif word in _QUESTIONS:
            asks = True
    return Calls(tuple(offered), tuple(choices), asks)


def _number(text: str) -> int:
    return int(text) if text.lstrip("-").isdigit() else 0
