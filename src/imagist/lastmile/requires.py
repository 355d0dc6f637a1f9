"""Whether a base has the Python that the project itself asks for (`requires-python`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from imagist.declaration.projectfile import LoadedProject
from imagist.errors import Problem, RequestError
from imagist.packages.wheel.target import Target
from imagist.store.memo import Memo, memo_key

if TYPE_CHECKING:
    from imagist.lastmile.job import OpenBase

STEP: Final = "requires-python"
_KEY: Final = "project.requires-python"
_POETRY: Final = "tool.poetry.dependencies.python"
"""What Poetry's own table says counts where the standard's does not say it."""


def check_requires_python(
    loaded: LoadedProject, base: OpenBase, targets: Iterable[Target], memo: Memo
) -> None:
    """Compare the Python of every target with what the project supports.

    Raises:
        RequestError: it supports another; or what it says is no version specifier (PEP 440), nor
            Poetry's constraint, where it stands in Poetry's table.
    """
    metadata = loaded.metadata
    wanted, key = metadata.requires_python, _KEY
    if not wanted:
        wanted, key = metadata.poetry_python, _POETRY

    def allows(python: str) -> bool:
        return _allows(wanted, key, python, memo, loaded)

    others = dict.fromkeys(t.python for t in targets if not allows(t.python))
    if others:
        what = f"the project requires Python {wanted}, and {base.name} has {', '.join(others)}"
        advice = _advise(base, loaded, allows)
        advice = f"let `{key.rpartition('.')[2]}` allow {min(others)}, or {advice}"
        raise RequestError(Problem(what, loaded.where_in_pyproject(key), advice))


def _advise(base: OpenBase, loaded: LoadedProject, allows: Callable[[str], bool]) -> str:
    """How to get a base with a Python that is allowed; for the default one all that to write."""
    from imagist.lastmile.defaultbase import NAME, declare_base  # noqa: PLC0415 - seldom wrong
    from imagist.packages.deb.machine import Machine  # noqa: PLC0415 - as above

    if base.name == NAME:
        said = loaded.setting("base", "base.yaml")
        lines = declare_base(allows, Machine()).splitlines()
        text = "\n".join(f"    {line}" for line in lines)
        return f"take a release that has such a Python: write {said}, and into that file\n{text}"
    if base.is_declared:
        return "let the base have packages of a release with such a Python"
    return "name a base with such a Python"


def _allows(wanted: str, key: str, python: str, memo: Memo, loaded: LoadedProject) -> bool:
    if not wanted:
        return True
    question = memo_key(wanted, python, key)
    known = memo.get(STEP, question)
    if known is not None:
        return known == b"1"
    from packaging.specifiers import SpecifierSet  # noqa: PLC0415 - remembered

    from imagist.packages.wheel.constraint import read_constraint  # noqa: PLC0415 - as above

    try:
        found = read_constraint(wanted) if key == _POETRY else [SpecifierSet(wanted)]
    except ValueError:
        raise RequestError(
            f"`{wanted}` does not say which Pythons the project requires",
            where=loaded.where_in_pyproject(key),
            help="write it as in >=3.11",
        ) from None
    allowed = any(each.contains(python, prereleases=True) for each in found)
    memo.put(STEP, question, b"1" if allowed else b"0")
    return allowed
