"""Expansion of words (POSIX XCU 2.6), with values some of which are not known."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Final

from imagist.errors import InputError
from imagist.packages.deb.scripts.words import Part, Word, parse_word

_LONGEST: Final = 1 << 20
_MOST_TEXT: Final = 4 << 20
"""Characters that are read and made in all; a long script comes to some thousands."""
_LONGEST_STRIPPED: Final = 1 << 12
"""Characters of a text; each place in it is tried."""
_WILD: Final = re.compile(r"[*?\[]")
_PARAMETER: Final = re.compile(r"([A-Za-z_]\w*|[0-9@*#?$!-])(?:(:?[-=+]|##?|%%?)(.*))?", re.DOTALL)


class Expansion:
    """The variables and arguments of a script, and what words are with them."""

    def __init__(
        self,
        variables: dict[str, str | None],
        arguments: Sequence[str],
        substitute: Callable[[str], str | None],
        glob: Callable[[str], Sequence[str]],
    ) -> None:
        """`substitute` gives the output of a command, if it is known, `glob` the files there."""
        self.variables = variables
        self.arguments: list[str | None] = list(arguments)
        self._substitute = substitute
        self._glob = glob
        self._spent = 0

    def fields(self, words: Sequence[Word]) -> list[str | None]:
        """Words as arguments; one that is not known stands as None."""
        found: list[str | None] = []
        for word in words:
            found += self._expand_word(word)
        return found

    def text(self, word: Word) -> str | None:
        """A word as one text, as in assignments."""
        values = [self._expand_part(part) for part in word]
        return None if None in values else _bounded("".join(filter(None, values)))

    def _expand_word(self, word: Word) -> list[str | None]:
        if len(word) <= 2 and word[-1].kind == "parameter" and word[-1].text == "@":  # noqa: SIM102
            if all(not part.text for part in word[:-1]):
                self.spend(sum(len(each or "") + 1 for each in self.arguments))
                return list(self.arguments)
        fields: list[str] = [""]
        begun = any(part.quoted for part in word)
        wild = False
        for part in word:
            value = self._expand_part(part)
            if value is None:
                return [None]
            if part.kind == "text" or part.quoted:
                fields[-1] += value
                begun = begun or bool(value)
                wild = wild or (not part.quoted and bool(_WILD.search(value)))
                continue
            pieces = value.split()
            if pieces and value[:1].isspace() and fields[-1]:
                fields.append("")
            for place, piece in enumerate(pieces):
                if place:
                    fields.append("")
                fields[-1] += piece
                begun = True
        if not begun and fields == [""]:
            return []
        if wild:
            return [match for field in fields for match in self._glob(field) or [field]]
        return [_bounded(field) for field in fields]

    def spend(self, characters: int) -> None:
        """Count text that is read, made or kept.

        Raises:
            InputError: it is more than any script needs.
        """
        self._spent += characters
        if self._spent > _MOST_TEXT:
            raise InputError("its texts grow without end")

    def _expand_part(self, part: Part) -> str | None:
        self.spend(len(part.text) + 1)
        if part.kind == "text":
            return part.text
        value: str | None = None
        if part.kind == "parameter":
            value = self._expand_parameter(part.text)
        elif part.kind == "command":
            value = self._substitute(part.text)
        self.spend(len(value or ""))
        return value

    def _expand_parameter(self, text: str) -> str | None:
        found = _PARAMETER.fullmatch(text)
        if found is None:
            return None
        name, operator, rest = found.groups()
        value = self._value(name)
        if not operator:
            return value
        if operator[-1] in "-=+":
            if value is None:
                return None
            use = bool(value) if operator[-1] == "+" else not value
            return self.text(parse_word(rest)) if use else ("" if operator == "+" else value)
        pattern = self.text(parse_word(rest))
        return None if value is None or pattern is None else _strip(value, operator, pattern)

    def _value(self, name: str) -> str | None:
        if name.isdigit():
            place = int(name) - 1
            return self.arguments[place] if 0 <= place < len(self.arguments) else ""
        if name in {"@", "*"}:
            known = [each for each in self.arguments if each is not None]
            return " ".join(known) if len(known) == len(self.arguments) else None
        if name == "#":
            return str(len(self.arguments))
        return None if name in {"?", "$", "!", "-"} else self.variables.get(name, "")


def _bounded(text: str) -> str:
    if len(text) > _LONGEST:
        raise InputError("its texts grow without end")
    return text


def _strip(value: str, operator: str, pattern: str) -> str:
    """Take away what matches a pattern, the shortest or the longest, in front or behind."""
    if len(value) > _LONGEST_STRIPPED:
        raise InputError("it takes patterns from long texts")
    places = range(len(value) + 1)
    longest = len(operator) == 2
    if operator[0] == "#":
        for place in reversed(places) if longest else places:
            if fnmatchcase(value[:place], pattern):
                return value[place:]
    else:
        for place in places if longest else reversed(places):
            if fnmatchcase(value[place:], pattern):
                return value[:place]
    return value
