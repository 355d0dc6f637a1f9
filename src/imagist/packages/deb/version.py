"""Debian versions: grammar, total order and the operators of relations (deb-version(7)).

    [epoch:]upstream[-revision]

The epoch ends at the first colon, the revision begins behind the last hyphen; an absent one of
either counts as 0. Each part is compared by runs, a run without digits and a run of digits in
turn: the first kind character by character (`~` below the end of the run, that below letters,
those below everything else), the second as a number. That is a lexicographic order, so every
version has a *sort key*: a string whose ordinary order is the order of versions. A key is computed
once for each spelling; comparing then costs one `memcmp`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import msgspec

from imagist.errors import RequestError

MAX_VERSION: Final = 256
"""Characters of the longest version; longer texts are none."""
_UPSTREAM: Final = re.compile(r"[A-Za-z0-9.+~:-]+")
_REVISION: Final = re.compile(r"[A-Za-z0-9.+~]+")
_RUNS: Final = re.compile(r"([^0-9]*)([0-9]*)")

# What characters of a run without digits become. Digits never stand there, so their places are
# free: `~` sorts first, then the end of the run, then letters, then what else is allowed.
_INVALID, _TILDE, _END = map(chr, range(3))
_WEIGHTS: Final = {ord("~"): _TILDE, **{ord(other): chr(ord(other) + 0x80) for other in "+-.:"}}

OPERATORS: Final = ("<<", "<=", "=", ">=", ">>")
"""Operators between a version and a required version."""


class Version(msgspec.Struct, frozen=True):
    """A version taken apart."""

    upstream: str
    revision: str = ""
    """Empty where there is none; a native package has none."""
    epoch: str = ""
    """Digits as they were written, or empty."""

    def __str__(self) -> str:
        epoch = self.epoch and f"{self.epoch}:"
        revision = self.revision and f"-{self.revision}"
        return f"{epoch}{self.upstream}{revision}"


def parse_version(text: str) -> Version:
    """Take a version apart.

    Raises:
        RequestError: the text is not a version.
    """
    found = _match(text)
    if found is None:
        shown = text if len(text) <= MAX_VERSION else f"{text[:60]}..."
        raise RequestError(
            f"`{shown}` is not a Debian version",
            help="versions look like 1.2, 1.2-3, 1:1.2~rc1-3+deb13u1",
        )
    epoch, upstream, revision = found
    return Version(upstream, revision, epoch)


def is_valid(text: str) -> bool:
    """Whether the text follows the grammar of versions."""
    return _match(text) is not None


def _match(text: str) -> tuple[str, str, str] | None:
    """Epoch, upstream version and revision."""
    if len(text) > MAX_VERSION:
        return None
    epoch, colon, rest = text.partition(":")
    if not colon:
        epoch, rest = "", text
    elif not (epoch.isascii() and epoch.isdecimal() and len(epoch) <= 10):  # a signed 32-bit int
        return None
    upstream, hyphen, revision = rest.rpartition("-")
    if not hyphen:
        upstream, revision = rest, ""
    elif not _REVISION.fullmatch(revision):
        return None
    return (epoch, upstream, revision) if _UPSTREAM.fullmatch(upstream) else None


@lru_cache(maxsize=1 << 17)
def sort_key(text: str) -> str:
    """A string whose order is the order of versions; equal keys are equal versions.

    Texts that are no versions sort below all versions, among themselves as text.
    """
    found = _match(text)
    if found is None:
        return _INVALID + text
    epoch, upstream, revision = found
    return _number_key(epoch) + _part_key(upstream) + _part_key(revision)


def _part_key(text: str) -> str:
    """The key of an upstream version or a revision; an empty one is as good as `0`."""
    parts: list[str] = []
    for other, digits in _RUNS.findall(text)[:-1]:
        parts += (other.translate(_WEIGHTS), _END, _number_key(digits))
    if not parts:
        parts = [_END, _number_key("")]
    parts.append(_END)
    return "".join(parts)


def _number_key(digits: str) -> str:
    """Digits as text that sorts as the number does: its length, then the digits."""
    significant = digits.lstrip("0")
    return chr(1 + len(significant)) + significant


def compare(left: str, right: str) -> int:
    """-1, 0 or 1, as the left version is lower than, equal to or higher than the right one."""
    left_key, right_key = sort_key(left), sort_key(right)
    return (left_key > right_key) - (left_key < right_key)


def matches(version: str, operator: str, required: str) -> bool:
    """Whether `version operator required` holds; `operator` is one of `OPERATORS`."""
    return matches_key(sort_key(version), operator, sort_key(required))


def matches_key(key: str, operator: str, required: str) -> bool:
    """`matches` over sort keys: what loops over many candidates call."""
    match operator:
        case ">=":
            return key >= required
        case "=":
            return key == required
        case "<<":
            return key < required
        case ">>":
            return key > required
        case "<=":
            return key <= required
        case _:
            raise ValueError(f"no operator on versions: {operator!r}")
