"""The words of shell scripts (POSIX XCU 2.2, 2.3, 2.6): quotes, expansions, operators.

Nothing is expanded here. What maintainer scripts have no use for is refused, or kept as unknown.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from imagist.errors import InputError

_OPERATORS: Final = (";;", "&&", "||", ";", "&", "|", "(", ")", "\n")
_BLANKS: Final = " \t"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]")
_REDIRECTION: Final = re.compile(r"([0-9]*)(<<-?|>>|>\||[<>]&|<>|[<>])")


class Part(NamedTuple):
    """A piece of a word."""

    kind: str
    """`text`, `parameter` (of which `text` is what stands in the braces), `command`, `unknown`."""
    text: str
    quoted: bool


Word = tuple[Part, ...]


class Redirection(NamedTuple):
    """Where input comes from, or output goes."""

    descriptor: str
    operator: str
    target: Word
    document: Word | None = None
    """What stands in a here-document."""

    @property
    def output(self) -> Word | None:
        """The file that is written, if one is."""
        if not self.operator.startswith(">") or self.operator == ">&":
            return None
        return None if plain_text(self.target) == "/dev/null" else self.target


Token = Word | str | Redirection
"""A string is an operator."""


def split_tokens(text: str) -> list[Token]:
    """The words, operators and redirections of a script; comments and documents are left out.

    Raises:
        InputError: a quote or an expansion is not closed.
    """
    found: list[Token] = []
    documents: list[int] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char in _BLANKS:
            at += 1
        elif text.startswith("\\\n", at):
            at += 2
        elif char == "#":
            at = _line_end(text, at)
        elif redirection := _REDIRECTION.match(text, at):
            at = redirection.end()
            while at < len(text) and text[at] in _BLANKS:
                at += 1
            word, at = _read_word(text, at)
            found.append(Redirection(redirection[1], redirection[2], word))
            if redirection[2].startswith("<<"):
                documents.append(len(found) - 1)
        elif operator := next((o for o in _OPERATORS if text.startswith(o, at)), ""):
            at += len(operator)
            found.append(operator)
            if operator == "\n":
                for place in documents:
                    at = _read_document(text, at, found, place)
                documents = []
        else:
            word, at = _read_word(text, at)
            found.append(word)
    return found


def plain_text(word: Word) -> str | None:
    """A word without expansions as text; None where it has some."""
    if all(part.kind == "text" for part in word):
        return "".join(part.text for part in word)
    return None


def parse_word(text: str) -> Word:
    """Read a text as one word, as if it stood in double quotes."""
    parts: list[Part] = []
    _read_double(text, 0, parts, end="")
    return tuple(parts)


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _read_document(text: str, at: int, found: list[Token], place: int) -> int:
    """Read the here-document of a redirection that was found before; where it ends."""
    redirection = found[place]
    assert isinstance(redirection, Redirection)  # noqa: S101 - so it was put there
    end = "".join(part.text for part in redirection.target)
    tabs = redirection.operator.endswith("-")
    lines: list[str] = []
    while at < len(text):
        stop = _line_end(text, at)
        line = text[at:stop].lstrip("\t") if tabs else text[at:stop]
        at = stop + 1
        if line == end:
            break
        lines.append(f"{line}\n")
    content = "".join(lines)
    if any(part.quoted for part in redirection.target):
        document: Word = (Part("text", content, quoted=True),)
    else:
        document = parse_word(content)
    found[place] = redirection._replace(document=document)
    return at


def _read_word(text: str, at: int) -> tuple[Word, int]:
    """The word that begins at a place, and where it ends."""
    parts: list[Part] = []
    start = at
    while at < len(text):
        char = text[at]
        if char in " \t\n;&|()<>":
            break
        if char == "'":
            end = text.find("'", at + 1)
            if end < 0:
                raise refuse("a quote is not closed")
            parts.append(Part("text", text[at + 1 : end], quoted=True))
            at = end + 1
        elif char == '"':
            at = _read_double(text, at + 1, parts, end='"')
        elif char == "\\":
            if text[at + 1 : at + 2] != "\n":
                parts.append(Part("text", text[at + 1 : at + 2], quoted=True))
            at += 2
        elif char in "$`":
            at = _read_expansion(text, at, parts, quoted=False)
        else:
            end = at
            while end < len(text) and text[end] not in " \t\n;&|()<>'\"\\$`":
                end += 1
            parts.append(Part("text", text[at:end], quoted=False))
            at = end
    if at == start:
        raise refuse(f"`{text[at : at + 10]}` where a word should be")
    return tuple(parts), at


def _read_double(text: str, at: int, parts: list[Part], *, end: str) -> int:
    """Read what stands in double quotes, up to `end` or the end of the text."""
    parts.append(Part("text", "", quoted=True))
    while at < len(text):
        char = text[at]
        if char == end:
            return at + 1
        if char == "\\" and text[at + 1 : at + 2] in {"$", "`", '"', "\\", "\n"}:
            if text[at + 1] != "\n":
                parts.append(Part("text", text[at + 1], quoted=True))
            at += 2
        elif char in "$`":
            at = _read_expansion(text, at, parts, quoted=True)
        else:
            parts.append(Part("text", char, quoted=True))
            at += 1
    if end:
        raise refuse("a double quote is not closed")
    return at


def _read_expansion(text: str, at: int, parts: list[Part], *, quoted: bool) -> int:
    if text[at] == "`":
        end = at + 1
        while end < len(text) and text[end] != "`":
            end += 2 if text[end] == "\\" else 1
        parts.append(Part("command", re.sub(r"\\([$`\\])", r"\1", text[at + 1 : end]), quoted))
        return end + 1
    if text.startswith("$((", at):
        end = text.find("))", at)
        if end < 0:
            raise refuse("an arithmetic expansion is not closed")
        parts.append(Part("unknown", text[at : end + 2], quoted))
        return end + 2
    if text.startswith("$(", at):
        end = _closing(text, at + 2, "(", ")")
        parts.append(Part("command", text[at + 2 : end], quoted))
        return end + 1
    if text.startswith("${", at):
        end = _closing(text, at + 2, "{", "}")
        parts.append(Part("parameter", text[at + 2 : end], quoted))
        return end + 1
    name = _NAME.match(text, at + 1)
    if name is None:
        parts.append(Part("text", "$", quoted))
        return at + 1
    parts.append(Part("parameter", name[0], quoted))
    return name.end()


def _closing(text: str, at: int, opening: str, closing: str) -> int:
    """Where the bracket is that closes the one before a place; quotes are passed over."""
    depth = 1
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 1
        elif char == "'":
            at = text.find("'", at + 1)
            if at < 0:
                break
        elif char == '"':
            at = _read_double(text, at + 1, [], end='"') - 1
        elif char == "#" and text[at - 1] in " \t\n" and closing == ")":
            at = _line_end(text, at) - 1
        elif char == opening:
            depth += 1
        elif char == closing:
            depth -= 1
            if not depth:
                return at
        at += 1
    raise refuse(f"a `{opening}` is not closed")


def refuse(why: str) -> InputError:
    """Why a script is not read."""
    return InputError(f"a script that cannot be read: {why}")
