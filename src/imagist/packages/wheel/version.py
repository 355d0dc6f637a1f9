"""Whether two texts say the same version of a Python package (PEP 440)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.version import Version


def is_same_version(one: str, other: str) -> bool:
    """Whether two versions are equal, as `1.0` and `1.0.0` are, and `1.0` and `1.0+cpu` are not.

    What is no version at all is equal to the same text alone. File and folder names of wheels may
    have underscores for hyphens (PEP 427).
    """
    if one == other:
        return True
    first, second = _parse(one), _parse(other)
    return first is not None and first == second


def is_version_of(found: str, stated: str) -> bool:
    """Whether a version is one that is meant by another: its local label counts only if stated.

    So `1.0+cpu` is found where a lock states `1.0`, but not the other way round (PEP 440, version
    matching).
    """
    if is_same_version(found, stated):
        return True
    first, second = _parse(found), _parse(stated)
    if first is None or second is None or second.local is not None:
        return False
    return is_same_version(first.public, second.public)


def _parse(text: str) -> Version | None:
    from packaging.version import InvalidVersion, Version  # noqa: PLC0415 - equal texts need none

    try:
        return Version(text.replace("_", "-"))
    except InvalidVersion:
        return None
