"""What plain YAML scalars mean as numbers and booleans.

The words are those that Go's yaml.v3 takes, since declarations are shared with tools that use it:
integers in all of Go's notations (`0o755`, and `0755`, which is octal too), integral floats, and
for booleans also the words of YAML 1.1.
"""

from __future__ import annotations

import re
from typing import Final

NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_CORE_BOOLEANS: Final = {
    word: value
    for value, words in ((True, ("true", "True", "TRUE")), (False, ("false", "False", "FALSE")))
    for word in words
}
_OLD_BOOLEANS: Final = {
    word: value
    for value, words in ((True, ("y", "yes", "on")), (False, ("n", "no", "off")))
    for name in words
    for word in (name, name.capitalize(), name.upper())
}
_INTEGER: Final = re.compile(
    r"(?P<sign>[-+]?)(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<bin>[01]+)|0[oO]?(?P<oct>[0-7]+)"
    r"|(?P<dec>0|[1-9][0-9]*))"
)
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")


def read_integer(text: str) -> int | None:
    """The integer a plain scalar stands for, or None where it stands for none.

    >>> [read_integer(text) for text in ("0o755", "0755", "0x1F", "1_000", "1e3", "1.5", "0888")]
    [493, 493, 31, 1000, 1000, None, None]
    """
    if text[:1] not in "0123456789+-." or len(text) > 128:
        return None
    plain = text.replace("_", "")
    if match := _INTEGER.fullmatch(plain):
        for name, base in (("hex", 16), ("bin", 2), ("oct", 8), ("dec", 10)):
            if digits := match[name]:
                return int(match["sign"] + digits, base)
    if not _FLOAT.fullmatch(plain):
        return None
    value = float(plain)
    return int(value) if abs(value) < 2**53 and value.is_integer() else None


def read_boolean(text: str, *, quoted: bool = False) -> bool | None:
    """The boolean a scalar stands for, or None where it stands for none.

    `yes` and its like are texts that are taken for booleans where one is wanted, so they may be
    quoted; `true` may not.
    """
    value = _OLD_BOOLEANS.get(text)
    return _CORE_BOOLEANS.get(text) if value is None and not quoted else value


def is_plain_text(text: str) -> bool:
    """Whether YAML reads this, unquoted, as text and as nothing else."""
    return text not in _WORDS and not _LIKE_NUMBER.match(text)


_WORDS: Final = frozenset({*NULLS, *_CORE_BOOLEANS, *_OLD_BOOLEANS})
_LIKE_NUMBER: Final = re.compile(r"[-+.]?[0-9]|[-+]?\.(?:inf|nan)|<<$|=$", re.IGNORECASE)
