"""What goes to stderr with `--json`: one JSON object a line, so that a program may read it.

{"stage": "..."}        a step has begun
{"warning": "..."}      something is odd
{"progress": {"what": "packages", "items": 3, "of": 9, "remembered": 1, "bytes": 2, "size": 4}}
                        how far long work is: at most once a second, and at its end; `of` and
                        `size` are absent where they are not known
{"error": {"message": "...", "file": "...", "line": 1, "column": 1, "help": "..."}, "exit_code": 2}
                        one line for each problem; all but `message` may be absent
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from imagist.errors import ImagistError, Problem, Span

if TYPE_CHECKING:
    from imagist.cli.count import Count


def describe_error(error: ImagistError) -> str:
    """The lines of an error, one for each of its problems."""
    return "".join(
        format_line({"error": _describe(problem), "exit_code": error.exit_code})
        for problem in error.problems
    )


def describe_progress(count: Count) -> str:
    """The line that says how far work is."""
    numbers: dict[str, object] = {"what": count.what, "items": count.done}
    if count.items:
        numbers["of"] = count.items
    numbers |= {"remembered": count.remembered, "bytes": count.passed}
    if count.size is not None:
        numbers["size"] = count.size
    return format_line({"progress": numbers})


def format_line(document: dict[str, object]) -> str:
    """One line of JSON, in ASCII whatever the locale; bytes of no encoding show as `?`."""
    clean = json.loads(json.dumps(document, ensure_ascii=False).encode(errors="replace"))
    return json.dumps(clean, separators=(",", ":")) + "\n"


def _describe(problem: Problem) -> dict[str, object]:
    described: dict[str, object] = {"message": problem.message}
    where = problem.where
    if isinstance(where, Span):
        described |= {"file": where.file, "line": where.line, "column": where.column}
    elif where:
        described["file"] = where
    if problem.help:
        described["help"] = problem.help
    return described
