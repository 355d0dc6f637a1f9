"""Requirements without any hash: people's own lists, which are no locks yet, told in one piece."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from imagist.errors import Problem, Span

_SHOWN: Final = 3
"""How many are named."""
_ADVICE: Final = (
    "`imagist lock` makes a lock with hashes, in the versions that are pinned here; without them "
    "nothing tells whether a file is the right one"
)


class Bare(msgspec.Struct, frozen=True):
    """A requirement without a hash."""

    name: str
    where: Span
    is_pinned: bool
    """Whether it has at least a version."""


def tell_bare(bare: Sequence[Bare], count: int) -> list[Problem]:
    """One problem for all of them, at the first; none where there are none.

    Args:
        bare: the requirements without a hash.
        count: of all requirements.
    """
    if not bare:
        return []
    first = bare[0]
    if len(bare) == 1:
        lacking = "has no SHA-256 hash" if first.is_pinned else "is not pinned to a version"
        return [Problem(f"`{first.name}` {lacking}", first.where, _ADVICE)]
    loose = sum(not each.is_pinned for each in bare)
    versions = f", and {loose} of them no version" if loose else ""
    named = ", ".join(map(_name, bare[:_SHOWN]))
    more = f" and {len(bare) - _SHOWN} more" if len(bare) > _SHOWN else ""
    message = f"{len(bare)} of {count} requirements have no SHA-256 hash{versions}: {named}{more}"
    return [Problem(message, first.where, _ADVICE)]


def is_wanted(marker: str, environments: Sequence[Mapping[str, str]]) -> bool:
    """Whether a marker may hold in one of the environments; one that makes no sense may."""
    from packaging import markers  # noqa: PLC0415 - takes its time, and few need it

    try:
        parsed = markers.Marker(marker) if marker else None
        return not parsed or any(parsed.evaluate({**each, "extra": ""}) for each in environments)
    except (markers.InvalidMarker, markers.UndefinedComparison, markers.UndefinedEnvironmentName):
        return True


def _name(bare: Bare) -> str:
    return f"`{bare.name}` ({posixpath.basename(bare.where.file)}:{bare.where.line})"
