"""What a command is: the words from which parser, help, completion and reference are made."""

from __future__ import annotations

import msgspec


class Argument(msgspec.Struct, frozen=True):
    """A positional word."""

    name: str
    help: str
    optional: bool = False
    choices: tuple[str, ...] = ()
    many: bool = False
    """Whether it may be repeated, and is a list."""


class Flag(msgspec.Struct, frozen=True):
    """A named option.

    `kind` is `text`, `count` (an integer of 1 or more), `bytes` (an integer, or one with
    K, M, G or T behind it; -1 means no bound), `switch` (present or not) or
    `list` (may be repeated).
    """

    name: str
    help: str
    short: str = ""
    metavar: str = "TEXT"
    kind: str = "text"
    default: str = ""
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    commas: bool = True
    """Whether a list's values may also be separated by commas."""
    twin: bool = True
    """Whether an environment variable may set it; not where other commands mean something else."""

    @property
    def field(self) -> str:
        """The attribute the parsed value is found under."""
        return self.name.replace("-", "_")

    @property
    def environment(self) -> str:
        """The variable that sets this flag where the command line does not; or empty."""
        return "IMAGIST_" + self.field.upper() if self.twin else ""


class Command(msgspec.Struct, frozen=True):
    """One verb. `module` is imported only when the verb is run; it offers `run(arguments)`."""

    name: str
    summary: str
    module: str
    arguments: tuple[Argument, ...] = ()
    flags: tuple[Flag, ...] = ()
    description: str = ""
    examples: tuple[tuple[str, str], ...] = ()
    """Pairs of a command line and what it does."""
