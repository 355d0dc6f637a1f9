"""Stanzas of fields, the syntax of all of Debian's control files (deb822(5)).

    Name: value
     a line that begins with a blank goes on with the value
    # a comment, in files that people write

Names do not tell upper from lower case. Empty lines part stanzas. What two readers could read in
two ways is refused: a field that stands twice, a line with nothing but blanks (to some the end of
the stanza), carriage returns, control characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from imagist.errors import InputError, Problem, RequestError

_FIELD: Final = re.compile(r"([!-,./0-9;-~][!-9;-~]*):(.*)")
_CONTROL: Final = re.compile(r"[\0-\x08\x0b-\x1f\x7f]")
_MOST: Final = 5
"""Problems told of one file."""
_MOST_STANZAS: Final = 1000
"""Of a file that is read whole; indexes have more, and are not."""


class Stanza:
    """Fields by name, in the order written; each knows its line."""

    def __init__(self, line: int, what: str) -> None:
        """`line` is where it begins, counted from 1; `what` names the file in errors."""
        self.line = line
        self.what = what
        self._fields: dict[str, tuple[str, list[str], int]] = {}

    def get(self, name: str, default: str = "") -> str:
        """The value of a field; lines of a longer one have a line feed between them."""
        found = self._fields.get(name.lower())
        return default if found is None else "\n".join(found[1])

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._fields

    def __iter__(self) -> Iterator[str]:
        return (name for name, _, _ in self._fields.values())

    def __len__(self) -> int:
        return len(self._fields)

    def words(self, name: str) -> tuple[str, ...]:
        """A value as words."""
        return tuple(self.get(name).split())

    def lines(self, name: str) -> tuple[str, ...]:
        """A value's lines without blanks around them, leaving out empty ones."""
        return tuple(line.strip() for line in self.get(name).split("\n") if line.strip())

    def where(self, name: str = "") -> str:
        """The place of a field, or of the stanza, for errors: `file:line`."""
        found = self._fields.get(name.lower())
        return f"{self.what}:{self.line if found is None else found[2]}"

    def add(self, name: str, value: str, line: int) -> None:
        """Set a field; see `in`."""
        self._fields[name.lower()] = (name, [value], line)

    def extend(self, name: str, value: str) -> None:
        """Add a line to a field that is there."""
        self._fields[name.lower()][1].append(value)


def parse_stanzas(
    text: str,
    what: str,
    *,
    comments: bool = False,
    error: type[InputError | RequestError] = InputError,
) -> list[Stanza]:
    """Read a file of stanzas.

    Args:
        text: the file.
        what: names the file in errors.
        comments: whether lines that begin with `#` are left out.
        error: what to raise.

    Raises:
        InputError: lines that are none of the format, or could be read in two ways; all of them.
    """
    stanzas: list[Stanza] = []
    problems: list[Problem] = []
    stanza: Stanza | None = None
    last = ""
    for number, line in enumerate(text.split("\n"), 1):
        if comments and line.startswith("#"):
            continue
        if not line:
            stanza, last = None, ""
            continue
        wrong = ""
        if _CONTROL.search(line):
            wrong = "has a control character"
        elif not line.strip():
            wrong = "has nothing but blanks, which some take for the end of a stanza"
        elif line[0] in " \t":
            if stanza is None or not last:
                wrong = "goes on with a field, but there is none before it"
            else:
                stanza.extend(last, line[1:])
        elif not (found := _FIELD.fullmatch(line)):
            wrong = f"is no field: `{line[:60]}`"
        else:
            if stanza is None:
                stanza = Stanza(number, what)
                stanzas.append(stanza)
            last = found[1]
            if last in stanza:
                wrong = f"has the field {last} a second time"
            else:
                stanza.add(last, found[2].strip(" \t"), number)
        if len(stanzas) > _MOST_STANZAS:
            wrong = f"begins another stanza after {_MOST_STANZAS}"
        if wrong:
            problems.append(Problem(f"line {number} {wrong}", f"{what}:{number}"))
        if len(problems) == _MOST or len(stanzas) > _MOST_STANZAS:
            break
    if problems:
        raise error(problems)
    return stanzas
