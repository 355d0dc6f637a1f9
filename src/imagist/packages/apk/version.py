"""APK versions: grammar, total order and the operators of dependencies (apk-package(5)).

    digits(.digits)* [letter] (_suffix[digits])* [~hash] [-rN]

Comparing walks the tokens of both sides. Where token types differ, a pre-release suffix loses,
and otherwise the side whose token comes earlier in the grammar wins:
1.0.1 > 1.0a > 1.0_p1 > 1.0-r1 > 1.0 > 1.0_rc1. That is a lexicographic order, so every version
has a *sort key*: a string whose ordinary order is the order of versions. A key is computed once
for each spelling; comparing then costs one `memcmp`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import msgspec

from imagist.errors import RequestError

_PRE: Final = ("alpha", "beta", "pre", "rc")
_POST: Final = ("cvs", "svn", "git", "hg", "p")
_GRAMMAR: Final = re.compile(
    r"([0-9]+)((?:\.[0-9]+)*)([a-z]?)"
    rf"((?:_(?:{'|'.join((*_PRE, *_POST))})[0-9]*)*)"
    r"(?:~([0-9a-f]+))?(?:-r([0-9]+))?"
)
MAX_VERSION: Final = 256
"""Characters of the longest version; longer texts are none."""
_SUFFIX: Final = re.compile(r"_([a-z]+)([0-9]*)")

# What stands first in a token's part of the key: its place when the other side has another type.
# All are below "0", so that they also end a token whose value is text (see `_matches_fuzzy`).
_INVALID, _RANK_PRE, _RANK_END, _RANK_REVISION, _RANK_HASH, _RANK_SUFFIX_NUMBER = map(
    chr, range(6)
)
_RANK_POST, _RANK_LETTER, _RANK_ZERO_DIGITS, _RANK_DIGITS, _RANK_INITIAL = map(chr, range(6, 11))
_SUFFIX_KEYS: Final = {
    **{name: _RANK_PRE + chr(place) for place, name in enumerate(_PRE)},
    **{name: _RANK_POST + chr(place) for place, name in enumerate(_POST)},
}

OPERATORS: Final = ("=", "<", "<=", ">", ">=", "~", "<~", ">~")
"""Operators between a version and a required version; `=~` and `~=` are spellings of `~`."""


class Version(msgspec.Struct, frozen=True):
    """A version taken apart; numbers stay text, because leading zeros mean something."""

    numbers: tuple[str, ...]
    letter: str = ""
    suffixes: tuple[tuple[str, str], ...] = ()
    """Pairs of suffix name and its digits, which may be absent."""
    commit: str = ""
    revision: str = ""
    """Digits of `-rN`, or empty."""

    def __str__(self) -> str:
        suffixes = "".join(f"_{name}{number}" for name, number in self.suffixes)
        commit = self.commit and f"~{self.commit}"
        revision = self.revision and f"-r{self.revision}"
        return f"{'.'.join(self.numbers)}{self.letter}{suffixes}{commit}{revision}"

    @property
    def upstream(self) -> str:
        """The version without the packager's revision."""
        return str(msgspec.structs.replace(self, revision=""))


def parse_version(text: str) -> Version:
    """Take a version apart.

    Raises:
        RequestError: the text is not a version.
    """
    found = _match(text)
    if found is None:
        shown = text if len(text) <= MAX_VERSION else f"{text[:60]}..."
        raise RequestError(
            f"`{shown}` is not an APK version",
            help="versions look like 1.2.3, 1.2b_rc1 or 1.2.3-r4",
        )
    first, rest, letter, suffixes, commit, revision = found.groups(default="")
    pairs = tuple((name, number) for name, number in _SUFFIX.findall(suffixes))
    return Version((first, *rest.split(".")[1:]), letter, pairs, commit, revision)


def is_valid(text: str) -> bool:
    """Whether the text follows the grammar of versions."""
    return _match(text) is not None


def _match(text: str) -> re.Match[str] | None:
    return _GRAMMAR.fullmatch(text) if len(text) <= MAX_VERSION else None


@lru_cache(maxsize=1 << 17)
def sort_key(text: str) -> str:
    """A string whose order is the order of versions; equal keys are equal versions.

    Texts that are no versions sort below all versions, among themselves as text.
    """
    found = _match(text)
    if found is None:
        return _INVALID + text
    first, rest, letter, suffixes, commit, revision = found.groups(default="")
    parts = [_RANK_INITIAL, _number_key(first)]
    for digits in rest.split(".")[1:]:
        # Next to a leading zero numbers are compared as text, so they stand below all others.
        zero = digits.startswith("0")
        parts.append(_RANK_ZERO_DIGITS + digits if zero else _RANK_DIGITS + _number_key(digits))
    if letter:
        parts.append(_RANK_LETTER + letter)
    for name, number in _SUFFIX.findall(suffixes):
        parts.append(_SUFFIX_KEYS[name])
        if number:
            parts.append(_RANK_SUFFIX_NUMBER + _number_key(number))
    if commit:
        parts.append(_RANK_HASH + commit)
    if revision:
        parts.append(_RANK_REVISION + _number_key(revision))
    parts.append(_RANK_END)
    return "".join(parts)


def _number_key(digits: str) -> str:
    """Digits as text that sorts as the number does: its length, then the digits."""
    significant = digits.lstrip("0")
    return chr(len(significant)) + significant


def compare(left: str, right: str) -> int:
    """-1, 0 or 1, as the left version is lower than, equal to or higher than the right one."""
    left_key, right_key = sort_key(left), sort_key(right)
    return (left_key > right_key) - (left_key < right_key)


def matches(version: str, operator: str, required: str) -> bool:
    """Whether `version operator required` holds; `operator` is one of `OPERATORS`.

    A text that is no version matches only its own spelling with `=`.
    """
    return matches_key(sort_key(version), operator, sort_key(required))


def matches_key(key: str, operator: str, required: str) -> bool:
    """`matches` over sort keys: what loops over many candidates call."""
    if key < _RANK_INITIAL or required < _RANK_INITIAL:
        return operator == "=" and key == required
    match operator:
        case "=":
            return key == required
        case ">=":
            return key >= required
        case "~":
            return _matches_fuzzy(key, required)
        case "<":
            return key < required
        case ">":
            return key > required
        case "<=":
            return key <= required
        case "<~":
            return key < required or _matches_fuzzy(key, required)
        case ">~":
            return key > required or _matches_fuzzy(key, required)
        case _:
            raise ValueError(f"no operator on versions: {operator!r}")


def _matches_fuzzy(key: str, required: str) -> bool:
    """Whether the tokens of the required version begin those of the other one: 3.6.9 ~ 3.6."""
    tokens = required[:-1]  # without the end
    return key.startswith(tokens) and key[len(tokens)] < "0"
