"""What is worth telling of a build backend that failed: why, where in the project, what it said.

Between these stand the frames of Python's traceback, which are those of the backend and of what
runs it; whoever wants them has the same from pip.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec

from imagist.errors import Span

_MAX: Final = 4000
"""Characters of a reason, or of what was said before, that are told."""
_HEAD: Final = "Traceback (most recent call last):"
_FRAME: Final = re.compile(r'  File "(?P<file>.*)", line (?P<line>\d+)(?:, in .*)?')
_BELOW_FRAME: Final = ("    ", "  [Previous line repeated")
_BETWEEN: Final = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)
_NAMELESS: Final = "<string>"
"""How setuptools runs a setup.py."""


class Failure(msgspec.Struct, frozen=True):
    """Why a backend failed, as far as it tells."""

    reason: str
    """The exception that ended it, else the last of what it said; empty where it said nothing."""
    where: Span | None = None
    """The innermost place that is in the project."""
    before: str = ""
    """What it said before, with other exceptions that led to this one."""

    def __str__(self) -> str:
        before = f"\nbefore that it said:\n{self.before}" if self.before else ""
        return self.reason + before


def read_failure(said: str, source: Path, project: Path) -> Failure:
    """Read what a backend wrote.

    Args:
        said: its output, which a traceback may end.
        source: where it ran, which may be a copy.
        project: the folder as people know it.
    """
    for place in (source, project.absolute()):
        said = said.replace(f"{place}/", f"{project}/")
    if _HEAD not in said.splitlines():
        return Failure(said.strip()[-_MAX:])
    kept: list[str] = []
    reason_from, where, is_frame = 0, None, False
    for line in said.strip().splitlines():
        if frame := _FRAME.fullmatch(line):
            is_frame, reason_from = True, len(kept)
            where = _find_place(project, frame["file"], int(frame["line"])) or where
        elif is_frame and line.startswith(_BELOW_FRAME):
            continue
        elif line == _HEAD:
            is_frame, where = False, None
        elif line not in _BETWEEN:
            is_frame = False
            kept.append(line)
    reason = "\n".join(kept[reason_from:]).strip()
    return Failure(reason[:_MAX], where, "\n".join(kept[:reason_from]).strip()[-_MAX:])


def _find_place(project: Path, file: str, line: int) -> Span | None:
    """The line of a file of the project; None where it is somebody else's."""
    path = project / ("setup.py" if file == _NAMELESS else Path(file))
    if not path.is_relative_to(project) or "site-packages" in path.parts:
        return None
    try:
        text = path.read_text("utf-8").splitlines()[line - 1]
    except (OSError, UnicodeDecodeError, IndexError):
        return None
    indent = len(text) - len(text.lstrip())
    return Span(str(path), line, indent + 1, max(1, len(text.strip())), text)
