"""The command line of update-alternatives(1)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from imagist.errors import InputError
from imagist.packages.deb.scripts.system import Alternative

_QUESTIONS: Final = frozenset({"--display", "--query", "--list", "--get-selections"})
_NO_NAME: Final = re.compile(r"[/\s]|^\.{1,2}$")


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
        InputError: they name what update-alternatives itself would refuse.
    """
    offered: list[Alternative] = []
    choices: list[tuple[str, str]] = []
    asks = False
    rest = iter(words)
    for word in rest:
        if word == "--install":
            link, name, path, priority = (next(rest, "") for _ in range(4))
            _check(link, name, path)
            offered.append(Alternative(link, name, path, _number(priority)))
        elif word == "--slave" and offered:
            slave = (next(rest, ""), next(rest, ""), next(rest, ""))
            _check(*slave)
            last = offered[-1]
            offered[-1] = last._replace(slaves=(*last.slaves, slave))
        elif word == "--set":
            choices.append((next(rest, ""), next(rest, "")))
        elif word in _QUESTIONS:
            asks = True
    return Calls(tuple(offered), tuple(choices), asks)


def _check(link: str, name: str, path: str) -> None:
    """Refuse what is no name of a file in /etc/alternatives, or no place for a link."""
    if not name or _NO_NAME.search(name):
        raise InputError(f"`{name[:60]}` is no name of an alternative")
    for each in (link, path):
        if not each.startswith("/") or "\n" in each or link == path:
            raise InputError(f"`{each[:60]}` is no place of the alternative {name}")


def _number(text: str) -> int:
    return int(text) if text.lstrip("-").isdigit() else 0
