"""A command of a script with its arguments, as those see it who know what it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from imagist.packages.deb.scripts.system import System

Truth = bool | None
"""How a command ends: well, with a failure, or nobody knows."""


DECLARE: Final = "declare it under `accounts`"
"""How a text ends that says which account is missing."""
DIVERSION: Final = "dpkg-divert"
"""How a text begins that says that a diversion is not made."""


class NotUnderstood(Exception):
    """A command does something that is not followed; the text says what."""


class Walk(Protocol):
    """What commands may ask of the walk through a script; see `follow`."""

    @property
    def system(self) -> System:
        """What is changed."""

    @property
    def arch(self) -> str:
        """The Debian architecture."""

    @property
    def functions(self) -> Mapping[str, object]:
        """The functions that are defined."""

    @property
    def effects(self) -> list[str]:
        """What kinds of things were done so far."""

    def may_change(self, what: str) -> bool:
        """Whether something is to be done; where nobody knows, that is noted."""

    def print(self, text: str | None) -> None:
        """Give an output to a command substitution, if there is one; None: it is not known."""

    def set_variable(self, name: str, value: str | None) -> None:
        """Set a variable."""

    @property
    def umask(self) -> int:
        """Bits of a mode that what is made has not."""

    def set_umask(self, bits: int) -> None:
        """Take other bits."""

    def shift(self, count: int) -> None:
        """Drop some of the arguments."""


class Call:
    """A command with its arguments, some of which may not be known."""

    def __init__(self, walk: Walk, name: str, arguments: list[str | None]) -> None:
        self.walk = walk
        self.name = name
        self.arguments = arguments

    def known(self) -> list[str]:
        """The arguments.

        Raises:
            NotUnderstood: one of them is only known when the script runs.
        """
        known = [each for each in self.arguments if each is not None]
        if len(known) < len(self.arguments):
            raise NotUnderstood(f"`{self}`, with what is only known when it runs")
        return known

    def split(self, with_value: str = "") -> tuple[dict[str, str], list[str]]:
        """Short and long options, by letter or name, and the other arguments.

        `with_value` are the letters of options that take the next argument.
        """
        options: dict[str, str] = {}
        others: list[str] = []
        words = iter(self.known())
        for word in words:
            if word == "--":
                others += words
            elif word.startswith("--"):
                name, _, value = word[2:].partition("=")
                options[name] = value
            elif word.startswith("-") and len(word) > 1:
                for place, letter in enumerate(word[1:], 2):
                    options[letter] = ""
                    if letter in with_value:
                        options[letter] = word[place:] or next(words, "")
                        break
            else:
                others.append(word)
        return options, others

    def changes(self, effect: str = "files") -> bool:
        """Whether to go on, and change something; notes what kind of thing it is."""
        certain = self.walk.may_change(f"`{self}`")
        if certain:
            self.walk.effects.append(effect)
        return certain

    def __str__(self) -> str:
        words = [self.name, *(each or "..." for each in self.arguments)]
        text = " ".join(words)
        return text if len(text) < 80 else text[:77] + "..."
