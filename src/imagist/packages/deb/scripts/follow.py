"""Following a maintainer script on the way that a first installation takes.

The script is not run: its syntax tree is walked, with the values that are known. A condition that
cannot be told is walked both ways, and what would change something there is not done but noted, as
is every command that is not understood.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from imagist.errors import InputError
from imagist.packages.deb.scripts import syntax
from imagist.packages.deb.scripts.call import Call, NotUnderstood, Truth
from imagist.packages.deb.scripts.commands import COMMANDS
from imagist.packages.deb.scripts.expansion import Expansion
from imagist.packages.deb.scripts.syntax import Command, parse_script
from imagist.packages.deb.scripts.system import System
from imagist.packages.deb.scripts.words import Word

_MOST_STEPS: Final = 50_000
_LONGEST: Final = 256 << 10
"""Characters of a script; the longest of Debian have some twenty thousand."""
_DEEPEST: Final = 40
_PYTHON: Final = re.compile(r"^python3\.[0-9]+$")


class Followed(NamedTuple):
    """What became of a script."""

    effects: tuple[str, ...]
    """What was done in its place: `files`, `alternatives` ...; none for what changes nothing."""
    unknown: tuple[str, ...]
    """What it does that was not understood; none where it was followed to its end."""


def follow_script(
    text: str, system: System, *, package: str, arguments: Sequence[str], arch: str
) -> Followed:
    """Follow a script, and do to the system what it would do, as far as that is understood.

    Args:
        text: the script.
        system: what it would change.
        package: whose script it is.
        arguments: `configure` and an empty version, for a `postinst` on a new system.
        arch: the Debian architecture of the system.
    """
    first = text.partition("\n")[0]
    if not re.match(r"#! *(/usr)?/bin/(env )?(da|ba)?sh\b", first):
        return Followed((), (f"it is no shell script: {first[:60]}",))
    if len(text) > _LONGEST:
        return Followed((), (f"it has {len(text)} characters, too many to be followed",))
    walk = _Walk(system, package, arguments, arch)
    try:
        walk.run(parse_script(text))
    except _Left:
        pass
    except (InputError, ValueError, RecursionError) as error:
        walk.note(f"it cannot be followed: {error}")
    return Followed(tuple(dict.fromkeys(walk.effects)), tuple(dict.fromkeys(walk.unknown)))


class _Left(Exception):
    """The script, or a function, or a loop, has come to its end."""

    def __init__(self, level: str, truth: Truth) -> None:
        self.level = level
        self.truth = truth


class _Walk:
    """The state of a script."""

    def __init__(self, system: System, package: str, arguments: Sequence[str], arch: str) -> None:
        self.effects: list[str] = []
        self.unknown: list[str] = []
        self._system = system
        self._arch = arch
        variables: dict[str, str | None] = {
            "DPKG_ROOT": "",
            "DPKG_MAINTSCRIPT_PACKAGE": package,
            "DPKG_MAINTSCRIPT_ARCH": arch,
            "DEBIAN_FRONTEND": "noninteractive",
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "IFS": " \t\n",
        }
        self._words = Expansion(variables, arguments, self._substitute, system.glob)
        self._functions: dict[str, Command] = {}
        self._certain = True
        self._umask = 0o022
        self._printed: list[str | None] | None = None
        self._steps = 0
        self._depth = 0

    def note(self, what: str) -> None:
        """Something was not understood."""
        self.unknown.append(what)

    def run(self, command: Command) -> Truth:
        """Walk a command; how it ends."""
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise InputError("it takes too many steps")
        match command:
            case syntax.Simple():
                return self._run_simple(command)
            case syntax.Sequence():
                truth: Truth = True
                for each in command.commands:
                    truth = self.run(each)
                return truth
            case syntax.AndOr():
                return self._run_and_or(command)
            case syntax.Pipeline():
                return self._run_pipeline(command)
            case syntax.If():
                return self._run_if(command)
            case syntax.Case():
                return self._run_case(command)
            case syntax.For():
                return self._run_for(command)
            case syntax.While():
                self._run_uncertain(command.body)
                self._note_outputs(command.outputs)
                return None
            case syntax.Function():
                self._functions[command.name] = command.body
                return True
            case syntax.Group():
                return self._run_group(command)

    # -- compound commands -------------------------------------------------------------------

    def _run_uncertain(self, command: Command) -> None:
        """Walk what may happen or not; afterwards no variable it sets is known."""
        before, certain = dict(self._words.variables), self._certain
        self._certain = False
        with contextlib.suppress(_Left):
            self.run(command)
        self._certain = certain
        for name, value in self._words.variables.items():
            if before.get(name, "") != value:
                self._words.variables[name] = None

    def _run_and_or(self, command: syntax.AndOr) -> Truth:
        truth = self.run(command.commands[0])
        for operator, each in zip(command.operators, command.commands[1:], strict=True):
            if truth is None:
                self._run_uncertain(each)
            elif truth == (operator == "&&"):
                truth = self.run(each)
        return truth

    def _run_pipeline(self, command: syntax.Pipeline) -> Truth:
        if len(command.commands) == 1:
            truth = self.run(command.commands[0])
        else:
            printed, self._printed = self._printed, None
            for each in command.commands:
                self._run_uncertain(each)
            self._printed = printed
            self.print(None)
            truth = None
        return not truth if command.negated and truth is not None else truth

    def _run_if(self, command: syntax.If) -> Truth:
        for place, (condition, body) in enumerate(command.branches):
            truth = True if condition is None else self.run(condition)
            if truth:
                return self.run(body)
            if truth is None:
                for _, each in command.branches[place:]:
                    self._run_uncertain(each)
                return None
        return True

    def _run_case(self, command: syntax.Case) -> Truth:
        value = self._words.text(command.word)
        for patterns, body in command.branches:
            known = [self._words.text(pattern) for pattern in patterns]
            if value is None or None in known:
                self._run_uncertain(body)
            elif any(fnmatchcase(value, pattern or "") for pattern in known):
                return self.run(body)
        return None if value is None else True

    def _run_for(self, command: syntax.For) -> Truth:
        values = (
            list(self._words.arguments)
            if command.words is None
            else self._words.fields(command.words)
        )
        if None in values:
            self._words.variables[command.name] = None
            self._run_uncertain(command.body)
            return None
        truth: Truth = True
        for each in values:
            self._words.variables[command.name] = each
            try:
                truth = self.run(command.body)
            except _Left as left:
                if left.level == "break":
                    break
                if left.level != "continue":
                    raise
        return truth

    def _run_group(self, command: syntax.Group) -> Truth:
        self._note_outputs(command.outputs)
        if not command.subshell:
            return self.run(command.body)
        before = dict(self._words.variables)
        try:
            return self.run(command.body)
        except _Left as left:
            return left.truth
        finally:
            self._words.variables = before

    # -- simple commands ---------------------------------------------------------------------

    def _run_simple(self, command: syntax.Simple) -> Truth:
        truth: Truth = True
        for name, word in command.assignments:
            value = self._words.text(word)
            truth = None if value is None else truth
            if not command.words:
                self._words.variables[name] = value
        fields = self._words.fields(command.words)
        outputs = [self._words.text(word) for word in command.outputs]
        if not fields:
            return self._write(outputs, b"") if outputs else truth
        called, arguments = fields[0], fields[1:]
        if called in self._functions:
            if outputs:
                self._note_outputs(command.outputs)
            return self._call_function(called, arguments)
        document = None if command.document is None else self._words.text(command.document)
        return self._call(called, arguments, outputs, document)

    def _call(
        self,
        name: str | None,
        arguments: list[str | None],
        outputs: list[str | None],
        document: str | None,
    ) -> Truth:
        if name in {"exit", "return", "break", "continue"}:
            return self._leave(name, arguments)
        if name in {"echo", "printf", ":", "cat"} and outputs:
            # Of `cat` no more than a here-document is known.
            text = document if name == "cat" else _printed_text(name, arguments)
            if text is not None and not (name == "cat" and arguments):
                return self._write(outputs, text.encode("utf-8", "surrogateescape"))
        if outputs:
            self.note(f"it writes {outputs[0] or 'a file'}")
            return None
        if name in {"echo", "printf"}:
            self.print(_printed_text(name, arguments))
            return True
        short = name.rpartition("/")[2] if name else ""
        handler = COMMANDS.get(_PYTHON.sub("python3", short))
        if handler is None:
            self.note(f"`{name}`" if name else "a command that is only known when it runs")
            self.print(None)
            return None
        call = Call(self, short, arguments)
        try:
            return handler(call)
        except NotUnderstood as error:
            self.note(str(error))
            return None
        except InputError as error:
            self.note(f"`{short}`: {error}")
            return None

    def _leave(self, name: str, arguments: list[str | None]) -> Truth:
        if not self._certain and name == "exit":
            raise _Left("branch", None)
        status = arguments[0] if arguments else "0"
        raise _Left(name, None if status is None else status == "0")

    def _call_function(self, name: str | None, arguments: list[str | None]) -> Truth:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise InputError("its functions call each other too deeply")
        before, self._words.arguments = self._words.arguments, arguments
        try:
            return self.run(self._functions[name or ""])
        except _Left as left:
            if left.level != "return":
                raise
            return left.truth
        finally:
            self._words.arguments = before
            self._depth -= 1

    def _write(self, outputs: list[str | None], data: bytes) -> Truth:
        for path in outputs:
            self._words.spend(len(data))
            if path is None:
                self.note("it writes a file that is only known when it runs")
            elif self.may_change(f"writing {path}"):
                is_new = not self._system.exists(path)
                self._system.write(path, data)
                if is_new:
                    self._system.set_mode(path, 0o666 & ~self._umask, recursive=False)
                self.effects.append("files")
        return True

    def _note_outputs(self, outputs: Sequence[Word]) -> None:
        for word in outputs:
            self.note(f"it writes {self._words.text(word) or 'a file'}")

    # -- what commands ask for ---------------------------------------------------------------

    @property
    def system(self) -> System:
        """What is changed."""
        return self._system

    @property
    def arch(self) -> str:
        """The Debian architecture."""
        return self._arch

    @property
    def functions(self) -> Mapping[str, Command]:
        """The functions that are defined."""
        return self._functions

    def may_change(self, what: str) -> bool:
        """Whether something is to be done; where nobody knows, that is noted."""
        if not self._certain:
            self.note(f"{what}, on a condition that is only known when it runs")
        return self._certain

    def print(self, text: str | None) -> None:
        """Give an output to a command substitution, if there is one; None: it is not known."""
        self._words.spend(len(text or ""))
        if self._printed is not None:
            self._printed.append(text)

    def set_variable(self, name: str, value: str | None) -> None:
        """Set a variable."""
        self._words.variables[name] = value

    @property
    def umask(self) -> int:
        """Bits of a mode that what is made has not."""
        return self._umask

    def set_umask(self, bits: int) -> None:
        """Take other bits."""
        self._umask = bits

    def shift(self, count: int) -> None:
        """Drop some of the arguments."""
        self._words.arguments = self._words.arguments[count:]

    def _substitute(self, text: str) -> str | None:
        """The output of a command, where it is known."""
        before, variables = self._printed, dict(self._words.variables)
        self._printed = []
        self._depth += 1
        if self._depth > _DEEPEST:
            raise InputError("its commands are nested too deeply")
        try:
            self.run(parse_script(text))
        except _Left:
            pass
        finally:
            printed, self._printed, self._words.variables = self._printed, before, variables
            self._depth -= 1
        return None if None in printed else "".join(filter(None, printed)).rstrip("\n")


def _printed_text(name: str | None, arguments: list[str | None]) -> str | None:
    """What `echo` or a plain `printf` would print; None where it is not known."""
    known = [each for each in arguments if each is not None]
    if len(known) < len(arguments):
        return None
    if name == ":":
        return ""
    if name == "echo":
        end = "\n"
        while known and known[0] in {"-n", "-e"}:
            end = "" if known.pop(0) == "-n" else end
        return " ".join(known) + end
    if known[:1] == ["--"]:
        del known[0]
    if known[:1] in (["%s"], ["%s\\n"]) and len(known) == 2:
        return known[1] + ("\n" if known[0] != "%s" else "")
    plain = len(known) == 1 and "%" not in known[0]
    return known[0].replace("\\n", "\n").replace("\\t", "\t") if plain else None
