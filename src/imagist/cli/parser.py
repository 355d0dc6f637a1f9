"""From the table of commands to argparse."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from imagist.cli.command import Command, Flag
from imagist.cli.table import COMMANDS, GLOBAL_FLAGS
from imagist.errors import RequestError
from imagist.text.suggest import did_you_mean


class _Parser(argparse.ArgumentParser):
    """argparse that raises instead of leaving the process."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise RequestError(message, help=f"`{self.prog} --help` lists what there is")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        sys.stdout.flush()  # so that a reader of --help who went away is noticed in time
        super().exit(status, message)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """argparse's, but for how it finds the width: it loads much for that, and often."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_help_width())


@functools.cache
def _help_width() -> int:
    try:
        columns = int(os.environ.get("COLUMNS", "0")) or os.get_terminal_size().columns
    except (ValueError, OSError):
        columns = 80
    return columns - 2


def parse_arguments(
    words: Sequence[str], environment: Mapping[str, str]
) -> tuple[Command | None, argparse.Namespace]:
    """Parse a command line; flags it leaves out are taken from IMAGIST_<FLAG>.

    Returns the command and its values, or None where only help was asked for.

    Raises:
        RequestError: the words make no sense.
    """
    parser = _Parser(
        prog="imagist",
        description="Images as Code: reproducible OCI images from declarations.",
        epilog="`imagist COMMAND --help` says more of a command.",
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    _add_flags(parser, GLOBAL_FLAGS)
    verbs = parser.add_subparsers(metavar="COMMAND", dest="command", parser_class=_Parser)
    _check_command(words)
    # Start-up: where the command stands first, nobody asks for another.
    alone = [command for command in COMMANDS if command.name == words[0]] if words else []
    for command in alone or COMMANDS:
        verb = verbs.add_parser(
            command.name,
            help=command.summary,
            description=_describe(command),
            formatter_class=_Formatter,
            allow_abbrev=False,
        )
        if command.name in words:
            _add_command(verb, command)
    values = parser.parse_args(list(words))
    found = next((each for each in COMMANDS if each.name == values.command), None)
    _fill(values, (*GLOBAL_FLAGS, *(found.flags if found else ())), environment)
    if found is None and not values.version:
        if values.json:  # a program reads no help
            raise RequestError("no command is given", help="`imagist --help` lists them")
        parser.print_help(sys.stderr)
    return found, values


def asks_for_json(words: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether a command line asks for JSON, even one that makes no sense otherwise."""
    [flag] = [flag for flag in GLOBAL_FLAGS if flag.name == "json"]
    try:
        return "--json" in words or _read_switch(flag, environment.get(flag.environment) or "0")
    except RequestError:  # which parsing will tell
        return False


def _check_command(words: Sequence[str]) -> None:
    """Refuse a first word that is no command, with the one that may be meant."""
    first = words[0] if words else "-"
    names = [command.name for command in COMMANDS]
    if first.startswith("-") or first in names:
        return
    raise RequestError(f"there is no command `{first}`", help=did_you_mean(first, names))


def _describe(command: Command) -> str:
    text = command.summary[0].upper() + command.summary[1:] + "."
    if command.description:
        text += "\n\n" + command.description
    if command.examples:
        text += "\n\nExamples:\n" + "\n".join(
            f"  {line}\n      {what}" for line, what in command.examples
        )
    return text


def _add_command(parser: argparse.ArgumentParser, command: Command) -> None:
    for argument in command.arguments:
        parser.add_argument(
            argument.name,
            help=argument.help,
            nargs="+" if argument.many else "?" if argument.optional else None,
            choices=argument.choices or None,
            metavar=None if argument.choices else argument.name.upper(),
        )
    _add_flags(parser, command.flags)
    # A command's own word goes before another name of a flag that all have.
    own = {name for flag in command.flags for name in (flag.name, *flag.aliases)}
    everywhere = [
        flag._replace(aliases=tuple(name for name in flag.aliases if name not in own))
        for flag in GLOBAL_FLAGS
    ]
    _add_flags(parser.add_argument_group("everywhere"), everywhere)


def _add_flags(parser: argparse._ActionsContainer, flags: Sequence[Flag]) -> None:
    for flag in flags:
        names = [f"-{flag.short}"] if flag.short else []
        names += [f"--{name}" for name in (flag.name, *flag.aliases)]
        if flag.kind == "switch":
            parser.add_argument(
                *names,
                dest=flag.field,
                action="store_true",
                default=argparse.SUPPRESS,
                help=flag.help,
            )
            continue
        parser.add_argument(
            *names,
            dest=flag.field,
            action="append" if flag.kind == "list" else "store",
            default=argparse.SUPPRESS,
            metavar=flag.metavar,
            choices=flag.choices or None,
            help=flag.help,
        )


def _fill(
    values: argparse.Namespace, flags: Sequence[Flag], environment: Mapping[str, str]
) -> None:
    """Give every flag its final, typed value: command line, environment, default."""
    for flag in flags:
        value = getattr(values, flag.field, None)
        if value is None and flag.twin and environment.get(flag.environment):
            value = environment[flag.environment]
            if flag.kind == "switch":
                value = _read_switch(flag, value)
            elif flag.kind == "list":
                value = [value]
            if flag.choices and value not in flag.choices:
                raise RequestError(
                    f"{flag.environment} is `{value}`", help="one of " + ", ".join(flag.choices)
                )
        setattr(values, flag.field, _typed(flag, value))


def _read_switch(flag: Flag, text: str) -> bool:
    word = text.lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off"}:
        return False
    raise RequestError(f"{flag.environment} is `{text}`", help="write 1 or 0")


def _typed(flag: Flag, value: object) -> object:
    if flag.kind == "switch":
        return bool(value)
    if flag.kind == "list":
        items = [str(item) for item in value] if isinstance(value, list) else []
        if flag.commas:
            items = [part for item in items for part in item.split(",") if part]
        return items
    text = str(value) if value is not None else flag.default
    if flag.kind in {"count", "bytes"}:
        return _number(flag, text)
    return text


def _number(flag: Flag, text: str) -> int | None:
    if not text:
        return None
    try:
        number = int(text)
    except ValueError:
        raise RequestError(f"--{flag.name} takes a whole number, not `{text}`") from None
    if number < (1 if flag.kind == "count" else -1):
        raise RequestError(f"--{flag.name} cannot be {number}")
    return number
