"""Whether a base has the Python that the project itself asks for (`requires-python`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from imagist.declaration.projectfile import LoadedProject
from imagist.errors import Problem, RequestError
from imagist.packages.wheel.target import Target
from imagist.store.memo import Memo, memo_key

STEP: Final = "requires-python"
_KEY: Final = "project.requires-python"


def check_requires_python(
    loaded: LoadedProject, base: str, targets: Iterable[Target], memo: Memo
) -> None:
    """Compare the Python of every target with what the project supports.

    Raises:
        RequestError: it supports another; or what it says is no version specifier (PEP 440).
    """
    wanted = loaded.metadata.requires_python
    others = dict.fromkeys(
        t.python for t in targets if not _allows(wanted, t.python, memo, loaded)
    )
    if others:
        what = f"the project requires Python {wanted}, and {base} has {', '.join(others)}"
        advice = f"use a base with such a Python, or let `requires-python` allow {min(others)}"
        raise RequestError(Problem(what, loaded.where_in_pyproject(_KEY), advice))


def _allows(wanted: str, python: str, memo: Memo, loaded: LoadedProject) -> bool:
    if not wanted:
        return True
    key = memo_key(wanted, python)
    known = memo.get(STEP, key)
    if known is not None:
        return known == b"1"
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415 - remembered

    try:
        allowed = SpecifierSet(wanted).contains(python, prereleases=True)
    except InvalidSpecifier:
        raise RequestError(
            f"`{wanted}` does not say which Pythons the project requires",
            where=loaded.where_in_pyproject(_KEY),
            help="write it as in >=3.11",
        ) from None
    memo.put(STEP, key, b"1" if allowed else b"0")
    return allowed
