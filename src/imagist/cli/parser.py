"""From the table of commands to argparse."""

from __future__ import annotations

import argparse
import functools
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from msgspec.structs import replace

from imagist.cli.command import Command, Flag
from imagist.cli.table import GLOBAL_FLAGS, commands, find_command
from imagist.errors import RequestError

_COUNT: Final = "(-?[0-9]{1,18})"
_SIZE: Final = f"(?i){_COUNT}(?:([KMGT])(?:iB?)?)?"
_UNITS: Final = "KMGT"
"""Each is 1024 of the one before, as for docker and podman."""
# argparse's own words are not translated: looking for catalogues of them takes its time.
vars(argparse)["_"] = str
_ELSEWHERE: Final = {
    "auth": "`imagist login REGISTRY` and `imagist logout REGISTRY` are the commands",
    "help": "`imagist --help` lists the commands, `imagist COMMAND --help` says more of one",
}
"""Words that others have as commands."""


class _Parser(argparse.ArgumentParser):
    """argparse that raises instead of leaving the process."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise RequestError(message, help=f"`{self.prog} --help` lists what there is")

    def _check_value(self, action: argparse.Action, value: str) -> None:
        """Refuse a word that is no command, with the one that may be meant."""
        if action.dest == "command" and value not in (names := list(action.choices or ())):
            from imagist.text.suggest import did_you_mean

            help_ = _ELSEWHERE.get(value) or did_you_mean(value, names)
            help_ = help_ or "`imagist --help` lists the commands"
            raise RequestError(f"there is no command `{value}`", help=help_)
        super()._check_value(action, value)

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
    # Start-up: where the command stands first, nobody asks for another.
    alone = find_command(words[0]) if words else None
    for command in [alone] if alone else commands():
        verb = verbs.add_parser(
            command.name,
            help=command.summary,
            description=_describe(command),
            formatter_class=_Formatter,
            allow_abbrev=False,
        )
        if command.name in words:
            _add_command(verb, command)
    values, rest = parser.parse_known_args(list(words))
    found = find_command(values.command)
    _refuse_rest(rest, found)
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


def _refuse_rest(rest: Sequence[str], command: Command | None) -> None:
    """Refuse words that are left over, with the flag that may be meant."""
    if not rest:
        return
    from imagist.text.suggest import suggest

    flags = (*(command.flags if command else ()), *GLOBAL_FLAGS)
    names = [f"--{name}" for flag in flags for name in (flag.name, *flag.aliases)]
    word = rest[0].partition("=")[0]
    guess = suggest(word, names) if word.startswith("--") else None
    help_ = f"`imagist{f' {command.name}' if command else ''} --help` lists what there is"
    raise RequestError(
        f"unrecognized arguments: {' '.join(rest)}",
        help=f"did you mean `{guess}`? {help_}" if guess else help_,
    )


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
        replace(flag, aliases=tuple(name for name in flag.aliases if name not in own))
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
    match = re.fullmatch(_SIZE if flag.kind == "bytes" else _COUNT, text)
    if match is None:
        kind = "a whole number" if flag.kind == "count" else "a number of bytes, as 500M or 2G"
        raise RequestError(f"--{flag.name} takes {kind}, not `{text}`")
    number = int(match[1])
    if number < (1 if flag.kind == "count" else -1):
        raise RequestError(f"--{flag.name} cannot be {number}")
    unit = match[2] if flag.kind == "bytes" else ""
    return number << 10 * (_UNITS.index(unit.upper()) + 1) if unit else number
