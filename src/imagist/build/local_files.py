"""Reading the local files that a declaration puts into an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from imagist.build.derived.files import DeclaredFile
from imagist.build.sources import digest_of, read_source
from imagist.build.trace import Note, Trace
from imagist.declaration.include import LoadedDeclaration
from imagist.declaration.model import File
from imagist.errors import ImagistError, InputError, Problem


def read_declared_files(
    files: Sequence[File], loaded: LoadedDeclaration, trace: Trace
) -> list[DeclaredFile]:
    """The `files` of a declaration with their content; a folder gives all that lies in it.

    Owner, group and permissions are the declaration's; of a source only the execute bit of its
    owner counts, so that the image does not depend on a umask.

    Raises:
        InputError: sources that cannot be read; all of them at once.
    """
    found: list[DeclaredFile] = []
    problems: list[Problem] = []
    for number, file in enumerate(files):
        try:
            found.extend(_read(file, trace))
        except ImagistError as error:
            where = loaded.span_of(f"files[{number}].source")
            problems += [replace(problem, where=where) for problem in error.problems]
    if problems:
        raise InputError(problems)
    return found


def _read(file: File, trace: Trace) -> Iterator[DeclaredFile]:
    if file.source is None:
        yield _declare(file, file.path, (file.content or "").encode())
        return
    items = read_source(Path(file.source))
    trace.note(Note("source", file.source, digest_of(items)))
    for item in items:
        place = f"{file.path.rstrip('/')}/{item.path}" if item.path else file.path
        if item.kind == "file":
            yield _declare(file, place, item.data, executable=item.executable)
        else:
            yield DeclaredFile(
                place, b"", item.kind, item.link, file.uid, file.gid, None, file.mtime
            )


def _declare(file: File, place: str, data: bytes, *, executable: bool = False) -> DeclaredFile:
    mode = file.permissions
    if mode is None:
        mode = 0o755 if executable else 0o644
    return DeclaredFile(place, data, "file", "", file.uid, file.gid, mode, file.mtime)
