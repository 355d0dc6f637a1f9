"""Everything that can go wrong, as one tree whose branches are the exit codes.

An error holds one or more problems. A problem says what is wrong, where, and what to do next;
`text.diagnostics` renders them, so no other module formats an error for a person.

    ImagistError
    ├── CheckFailed      1  a check said no (verify, test, diff, lock --check)
    ├── RequestError     2  the request is wrong: usage or declaration
    │   └── Unsatisfiable   the packages asked for cannot be installed together
    ├── InputError       3  an input is missing or untrusted
    │   ├── NotFound        a file, package, key or blob is not there
    │   └── Untrusted       a hash, signature or bound does not hold
    └── NetworkError     4  a server could not be reached or refused
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Self

import msgspec
from msgspec.structs import replace


class Span(msgspec.Struct, frozen=True):
    """A place in a text a person wrote: 1-based line and column, with the line itself."""

    file: str
    line: int
    column: int
    length: int = 1
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong: a sentence, where it is, and one next step."""

    message: str
    where: Span | str | None = None
    help: str | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class ImagistError(Exception):
    """Base of all errors imagist raises on purpose."""

    exit_code = 1

    def __init__(
        self,
        message: str | Problem | Iterable[Problem],
        *,
        where: Span | str | None = None,
        help: str | None = None,
    ) -> None:
        if isinstance(message, str):
            self.problems: tuple[Problem, ...] = (Problem(message, where, help),)
        elif isinstance(message, Problem):
            self.problems = (message,)
        else:
            self.problems = tuple(message)
        super().__init__("; ".join(map(str, self.problems)))

    def placed(self, where: Span | str | None) -> Self:
        """The same error; problems that state no place are there, if it is known."""
        if not where:
            return self
        return type(self)([p if p.where else replace(p, where=where) for p in self.problems])


class CheckFailed(ImagistError):
    """A check was carried out and the answer is no."""

    exit_code = 1


class RequestError(ImagistError):
    """The command line or the declaration asks for something wrong."""

    exit_code = 2


class Unsatisfiable(RequestError):
    """No choice of packages satisfies the world."""


class InputError(ImagistError):
    """An input is missing or cannot be trusted."""

    exit_code = 3


class NotFound(InputError):
    """Something that was named is not there."""


class Untrusted(InputError):
    """A hash, a signature or a bound does not hold."""


class NetworkError(ImagistError):
    """A server could not be reached, or refused."""

    exit_code = 4


def raise_together(errors: Sequence[ImagistError]) -> None:
    """Raise several errors as one, of the class of the first, or nothing where there are none."""
    if not errors:
        return
    problems: list[Problem] = []
    for error in errors:
        problems += [problem for problem in error.problems if problem not in problems]
    raise type(errors[0])(problems)


def advise_part(name: str) -> str:
    """The next step of somebody who lacks an optional part of imagist (README, "Try it")."""
    return f"pip install 'imagist[{name}]', or 'imagist[all]' for every optional part"
