"""What a project names in its folder, looked at before any work: files, and patterns."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from imagist.declaration.projectfile import LoadedProject
from imagist.errors import InputError, NotFound, Problem, RequestError
from imagist.lastmile.ignore import parse_patterns


def check_named(loaded: LoadedProject, folder: Path) -> None:
    """See that the files which a project names are there, and that its patterns are some.

    Raises:
        RequestError: something is no pattern.
        NotFound: files are not there. Of either kind, all are told.
    """
    _check_patterns(loaded)
    project = loaded.project
    named = [(f"files[{index}].source", file.source) for index, file in enumerate(project.files)]
    named += [(f"binary.{platform}", path) for platform, path in project.binary.items()]
    problems = [
        Problem(
            f"there is no {folder / path}",
            loaded.span_of(key) or key,
            "name something in the project's folder that is there",
        )
        for key, path in named
        if not (folder / path).exists()
    ]
    if problems:
        raise NotFound(problems)


def _check_patterns(loaded: LoadedProject) -> None:
    project = loaded.project
    lists = [("ignore", project.ignore)]
    for index, file in enumerate(project.files):
        lists += [(f"files[{index}].include", file.include)]
        lists += [(f"files[{index}].exclude", file.exclude)]
    problems: list[Problem] = []
    for key, patterns in lists:
        for index, pattern in enumerate(patterns):
            path = f"{key}[{index}]"
            try:
                parse_patterns([pattern])
            except InputError as error:
                where = loaded.span_of(path) or path
                advice = "write it as in .dockerignore"
                problems += [replace(p, where=where, help=advice) for p in error.problems]
    if problems:
        raise RequestError(problems)
