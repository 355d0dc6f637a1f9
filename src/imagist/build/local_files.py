"""Reading the local files that a declaration puts into an image."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from imagist.build.derived.files import DeclaredFile
from imagist.build.trace import Note, Trace, source_digest
from imagist.declaration.include import LoadedDeclaration
from imagist.declaration.model import File
from imagist.errors import ImagistError, InputError, NotFound, Problem

MAX_FILE: Final = 1 << 30
"""Bytes of the largest local file; larger things belong into packages."""


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
            if file.source is not None:
                trace.note(Note("source", file.source, source_digest(file.source)))
            found.extend(_read(file))
        except ImagistError as error:
            where = loaded.span_of(f"files[{number}].source")
            problems += [problem._replace(where=where) for problem in error.problems]
    if problems:
        raise InputError(problems)
    return found


def _read(file: File) -> Iterator[DeclaredFile]:
    if file.source is None:
        yield _declare(file, file.path, (file.content or "").encode())
        return
    source = Path(file.source)
    try:
        status = source.stat()
    except OSError as error:
        raise NotFound(f"`{source}` cannot be read: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode):
        yield _read_one(file, source, file.path)
        return
    yield DeclaredFile(file.path, b"", "directory", "", file.uid, file.gid, None, file.mtime)
    for path in sorted(source.rglob("*"), key=lambda p: p.parts):
        place = f"{file.path.rstrip('/')}/{path.relative_to(source).as_posix()}"
        if path.is_symlink():
            target = str(path.readlink())
            yield DeclaredFile(place, b"", "symlink", target, file.uid, file.gid, None, file.mtime)
        elif path.is_dir():
            yield DeclaredFile(place, b"", "directory", "", file.uid, file.gid, None, file.mtime)
        else:
            yield _read_one(file, path, place)


def _read_one(file: File, source: Path, place: str) -> DeclaredFile:
    try:
        # A pipe without a writer would keep the opening waiting for ever.
        if not stat.S_ISREG(source.stat().st_mode):
            raise InputError(f"`{source}` is neither a file nor a folder")
        with source.open("rb") as stream:
            status = os.fstat(stream.fileno())
            data = stream.read(MAX_FILE + 1)
    except OSError as error:
        raise InputError(f"`{source}` cannot be read: {error.strerror}") from error
    if len(data) > MAX_FILE:
        raise InputError(f"`{source}` has more than {MAX_FILE} bytes; put it into a package")
    return _declare(file, place, data, executable=bool(status.st_mode & stat.S_IXUSR))


def _declare(file: File, place: str, data: bytes, *, executable: bool = False) -> DeclaredFile:
    mode = file.permissions
    if mode is None:
        mode = 0o755 if executable else 0o644
    return DeclaredFile(place, data, "file", "", file.uid, file.gid, mode, file.mtime)
