"""Constraints on versions in Poetry's own words, as specifiers of the standard (PEP 440).

Beside what the standard has there are `^3.11`, up to the next major version; `~3.11`, up to the
next minor one; `3.11.*` and `3.11` without an operator, blanks for commas, and `||` between
alternatives.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

_BETWEEN: Final = re.compile(r"(?<=[\w*])(?:\s*,\s*|\s+)(?=\S)")
_CLAUSE: Final = re.compile(
    r"(?P<operator>\^|~=|~|[<>!=]=|[<>=]|)\s*v?(?P<version>\*|\d[\w.!+-]*?)(?P<any>(?:\.\*)*)"
)
_EQUAL: Final = {"": "==", "=": "=="}


def read_constraint(text: str) -> tuple[SpecifierSet, ...]:
    """The alternatives of a constraint, one of which a version must satisfy.

    >>> [str(each) for each in read_constraint("^3.11 || 2.7.*")]
    ['<4,>=3.11', '==2.7.*']

    Raises:
        ValueError: it is none.
    """
    from packaging.specifiers import SpecifierSet  # noqa: PLC0415 - takes its time

    return tuple(
        SpecifierSet(",".join(filter(None, map(_translate, _BETWEEN.split(each.strip(" ,"))))))
        for each in re.split(r"\|\|?", text)
    )


def _translate(clause: str) -> str:
    """A clause as the standard writes it; empty where any version will do."""
    from packaging.version import Version  # noqa: PLC0415 - as above

    found = _CLAUSE.fullmatch(clause)
    if found is None:
        raise ValueError(clause)
    operator, version = found["operator"], found["version"]
    operator = _EQUAL.get(operator, operator)
    if version == "*":
        if operator != "==":
            raise ValueError(clause)
        return ""
    if operator not in {"^", "~"}:
        return f"{operator}{version}{'.*' if found['any'] and operator in {'==', '!='} else ''}"
    release = Version(version).release
    if operator == "^":
        kept = next((at for at, number in enumerate(release) if number), len(release) - 1)
    else:
        kept = min(1, len(release) - 1)
    end = ".".join(map(str, (*release[:kept], release[kept] + 1)))
    return f">={version},<{end}"
