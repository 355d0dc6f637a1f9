"""The grammar of shell scripts (POSIX XCU 2.9, 2.10) as maintainer scripts use it: a tree."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from imagist.packages.deb.scripts.words import (
    Redirection,
    Token,
    Word,
    plain_text,
    refuse,
    split_tokens,
)

_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_FUNCTION: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_DEEPEST: Final = 60


class Simple(NamedTuple):
    """Assignments, then a command with its arguments."""

    assignments: tuple[tuple[str, Word], ...]
    words: tuple[Word, ...]
    outputs: tuple[Word, ...]
    """Files that output is written to."""
    document: Word | None
    """The here-document that it reads."""


class Pipeline(NamedTuple):
    """Commands of which each reads what the one before writes; `negated` by `!`."""

    commands: tuple[Command, ...]
    negated: bool


class AndOr(NamedTuple):
    """Commands with the operators, `&&` or `||`, between them."""

    commands: tuple[Command, ...]
    operators: tuple[str, ...]


class Sequence(NamedTuple):
    """Commands one after the other."""

    commands: tuple[Command, ...]


class If(NamedTuple):
    """Conditions with what to do; the last condition is None where there is an `else`."""

    branches: tuple[tuple[Command | None, Command], ...]


class Case(NamedTuple):
    """A word, and patterns with what to do."""

    word: Word
    branches: tuple[tuple[tuple[Word, ...], Command], ...]


class For(NamedTuple):
    """A variable, its values (None: the arguments), and what to do with each."""

    name: str
    words: tuple[Word, ...] | None
    body: Command


class While(NamedTuple):
    """A loop whose end is not known."""

    body: Command
    outputs: tuple[Word, ...]


class Function(NamedTuple):
    """A definition."""

    name: str
    body: Command


class Group(NamedTuple):
    """Commands in braces, or in parentheses."""

    body: Command
    subshell: bool
    outputs: tuple[Word, ...]


Command = Simple | Pipeline | AndOr | Sequence | If | Case | For | While | Function | Group


def parse_script(text: str) -> Command:
    """Read a script.

    Raises:
        InputError: it is no shell script, or uses what is not understood.
    """
    parser = _Parser(split_tokens(text))
    body = parser.sequence(frozenset())
    if parser.peek() is not None:
        raise refuse(f"`{parser.shown()}` where a command should begin")
    return body


class _Parser:
    """Recursive descent over tokens."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def peek(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def shown(self) -> str:
        token = self.peek()
        return token if isinstance(token, str) else self._reserved() or "a word"

    def sequence(self, ends: frozenset[str]) -> Command:
        """Commands up to a reserved word or operator that ends them, which is left."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise refuse("commands are nested too deeply")
        commands: list[Command] = []
        while True:
            while self.peek() in {"\n", ";", "&"}:
                self._at += 1
            token = self.peek()
            if token is None or token in {")", ";;"} or self._reserved() in ends:
                break
            commands.append(self._and_or())
        self._depth -= 1
        return commands[0] if len(commands) == 1 else Sequence(tuple(commands))

    def _and_or(self) -> Command:
        commands = [self._pipeline()]
        operators: list[str] = []
        while (token := self.peek()) in {"&&", "||"}:
            operators.append(str(token))
            self._at += 1
            self._skip_lines()
            commands.append(self._pipeline())
        return AndOr(tuple(commands), tuple(operators)) if operators else commands[0]

    def _pipeline(self) -> Command:
        negated = False
        while self._reserved() == "!":
            negated = not negated
            self._at += 1
        commands = [self._command()]
        while self.peek() == "|":
            self._at += 1
            self._skip_lines()
            commands.append(self._command())
        return Pipeline(tuple(commands), negated) if negated or commands[1:] else commands[0]

    def _command(self) -> Command:
        word = self._reserved()
        if word == "if":
            return self._if()
        if word == "case":
            return self._case()
        if word == "for":
            return self._for()
        if word in {"while", "until"}:
            return self._while()
        if word == "{" or self.peek() == "(":
            self._at += 1
            body = self.sequence(frozenset({"}"}) if word else frozenset())
            self._expect("}" if word else ")")
            return Group(body, subshell=not word, outputs=self._outputs())
        name = self._function_name()
        if name:
            self._at += 3
            self._skip_lines()
            return Function(name, self._command())
        return self._simple()

    def _if(self) -> Command:
        branches: list[tuple[Command | None, Command]] = []
        while self._reserved() in {"if", "elif"}:
            self._at += 1
            condition = self.sequence(frozenset({"then"}))
            self._expect("then")
            branches.append((condition, self.sequence(frozenset({"elif", "else", "fi"}))))
        if self._reserved() == "else":
            self._at += 1
            branches.append((None, self.sequence(frozenset({"fi"}))))
        self._expect("fi")
        self._outputs()
        return If(tuple(branches))

    def _case(self) -> Command:
        self._at += 1
        word = self._word()
        self._skip_lines()
        self._expect("in")
        branches: list[tuple[tuple[Word, ...], Command]] = []
        self._skip_lines()
        while self._reserved() != "esac":
            if self.peek() == "(":
                self._at += 1
            patterns = [self._word()]
            while self.peek() == "|":
                self._at += 1
                patterns.append(self._word())
            self._expect(")")
            branches.append((tuple(patterns), self.sequence(frozenset({"esac"}))))
            if self.peek() == ";;":
                self._at += 1
            self._skip_lines()
        self._expect("esac")
        self._outputs()
        return Case(word, tuple(branches))

    def _for(self) -> Command:
        self._at += 1
        name = plain_text(self._word()) or ""
        self._skip_lines()
        words: list[Word] | None = None
        if self._reserved() == "in":
            self._at += 1
            words = []
            while isinstance(self.peek(), tuple) and not isinstance(self.peek(), Redirection):
                words.append(self._word())
        while self.peek() in {"\n", ";"}:
            self._at += 1
        body, outputs = self._do()
        loop = For(name, None if words is None else tuple(words), body)
        return Group(loop, subshell=False, outputs=outputs) if outputs else loop

    def _while(self) -> Command:
        self._at += 1
        condition = self.sequence(frozenset({"do"}))
        body, outputs = self._do()
        return While(Sequence((condition, body)), outputs)

    def _do(self) -> tuple[Command, tuple[Word, ...]]:
        self._expect("do")
        body = self.sequence(frozenset({"done"}))
        self._expect("done")
        return body, self._outputs()

    def _outputs(self) -> tuple[Word, ...]:
        """The redirections after a compound command."""
        found = []
        while isinstance(token := self.peek(), Redirection):
            self._at += 1
            if token.output is not None:
                found.append(token.output)
        return tuple(found)

    def _simple(self) -> Command:
        assignments: list[tuple[str, Word]] = []
        words: list[Word] = []
        outputs: list[Word] = []
        document: Word | None = None
        reads = False
        while isinstance(token := self.peek(), tuple):
            self._at += 1
            if isinstance(token, Redirection):
                reads = reads or token.operator.startswith("<")
                document = token.document if token.document is not None else document
                if token.output is not None:
                    outputs.append(token.output)
            elif not words and (found := _assignment(token)):
                assignments.append(found)
            else:
                words.append(token)
        if not (assignments or words or outputs or reads):
            raise refuse(f"`{self.shown()}` where a command should be")
        return Simple(tuple(assignments), tuple(words), tuple(outputs), document)

    def _function_name(self) -> str:
        following = self._tokens[self._at + 1 : self._at + 3]
        token = self.peek()
        if following != ["(", ")"] or not isinstance(token, tuple):
            return ""
        name = None if isinstance(token, Redirection) else plain_text(token)
        return name if name and _FUNCTION.fullmatch(name) else ""

    def _word(self) -> Word:
        token = self.peek()
        if not isinstance(token, tuple) or isinstance(token, Redirection):
            raise refuse(f"`{self.shown()}` where a word should be")
        self._at += 1
        return token

    def _reserved(self) -> str:
        """The word at hand, if it could be a reserved one: without quotes and expansions."""
        token = self.peek()
        if not isinstance(token, tuple) or isinstance(token, Redirection) or len(token) != 1:
            return ""
        part = token[0]
        return part.text if part.kind == "text" and not part.quoted else ""

    def _expect(self, word: str) -> None:
        if word not in {self.peek(), self._reserved()}:
            raise refuse(f"`{self.shown()}` where `{word}` should be")
        self._at += 1

    def _skip_lines(self) -> None:
        while self.peek() == "\n":
            self._at += 1


def _assignment(word: Word) -> tuple[str, Word] | None:
    first = word[0]
    found = _ASSIGNMENT.match(first.text) if first.kind == "text" and not first.quoted else None
    if found is None:
        return None
    rest = first._replace(text=first.text[found.end() :])
    return found[0][:-1], (rest, *word[1:])
