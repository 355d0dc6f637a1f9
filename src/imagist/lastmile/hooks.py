"""Build backends at work: run in an environment apart, by the hooks of PEP 517.

A backend is code of the project, which runs here with this user's rights, as in every build. It is
told which time it is, sees no variables for Python, and nothing of it stays.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from imagist.errors import InputError, RequestError, advise_part
from imagist.lastmile.backend import Backend, Options, are_requirements
from imagist.lastmile.buildenv import LOCAL, BuildEnvironment, BuildEnvironments
from imagist.lastmile.failure import read_failure
from imagist.lastmile.variables import steering
from imagist.net.url import redact
from imagist.store.memo import memo_key

if TYPE_CHECKING:
    from pyproject_hooks import BuildBackendHookCaller

_HEARD: Final = 1 << 20
"""Bytes of what a backend says, the last ones, that are read."""
_DESCRIBING: Final = ("pyproject.toml", "setup.cfg", "setup.py")
"""Files that say what a project is built with."""


def run_backend(
    backend: Backend,
    source: Path,
    output: Path,
    environments: BuildEnvironments,
    options: Options,
    *,
    project: Path,
) -> Path:
    """Build the wheel of a project into a folder that is not there yet; the wheel's file.

    Args:
        backend: what builds it.
        source: the project, or a copy.
        output: where the wheel goes.
        environments: where backends are installed.
        options: how it is built.
        project: its folder as people know it.

    Raises:
        RequestError: what runs backends is not installed, or may not be fetched.
        InputError: the backend failed, or cannot be had.
    """
    try:
        import pyproject_hooks  # noqa: PLC0415 - optional, and few need it
    except ImportError as error:
        raise RequestError(
            "building a project needs the package `pyproject-hooks`",
            help=f'{advise_part("project")}; or copy the project as source: mode = "source"',
        ) from error
    environment = environments.find(backend.requirements, offline=options.offline)
    said: list[str] = []

    def run(
        cmd: Sequence[str],
        cwd: str | None = None,
        extra_environ: Mapping[str, str] | None = None,
    ) -> None:
        said.append(_run(cmd, cwd, environment, options, {**(extra_environ or {}), **apart}))

    def hooks() -> BuildBackendHookCaller:
        return pyproject_hooks.BuildBackendHookCaller(
            str(source),
            backend.name,
            list(backend.path) or None,
            runner=run,
            python_executable=environment.python,
        )

    output.mkdir()
    apart = {} if source.is_relative_to(output.parent) else _keep_rests_apart(output.parent)
    try:
        # What a backend warns of, the library would warn of again, on our stderr.
        with warnings.catch_warnings(record=True, action="always") as warned:
            more = _find_more(backend, source, environment, options, hooks)
            if more:
                wanted = (*backend.requirements, *more)
                environment = environments.find(wanted, offline=options.offline)
            name = hooks().build_wheel(str(output), dict(options.settings))
    except (pyproject_hooks.HookMissing, subprocess.SubprocessError, OSError, ValueError) as error:
        if isinstance(error, subprocess.CalledProcessError):
            said.append(error.output)
        reason = "it ended without an answer" if isinstance(error, FileNotFoundError) else error
        failure = read_failure("".join(said), source, project)
        raise InputError(
            f"the project's build backend failed: {str(failure) or reason}",
            where=failure.where,
            help="see that `pip wheel --no-deps .` works in its folder",
        ) from error
    except pyproject_hooks.BackendUnavailable as error:
        failure = read_failure(redact(error.traceback), source, project)
        raise InputError(
            f"the project's build backend cannot be imported: {failure}",
            where=failure.where,
            help="see `requires` and `build-backend` in the [build-system] of its pyproject.toml",
        ) from error
    for text in (*said, *(str(each.message) for each in warned)):
        for line in text.splitlines():
            options.tell(line)
    return _find_wheel(output, name)


def _keep_rests_apart(work: Path) -> dict[str, str]:
    """Settings by which setuptools leaves what it makes on its way outside of the project.

    It packs what lies there from the last time: a module that was removed would stay in the wheel.
    """
    settings = work / "distutils.cfg"
    settings.write_text(f"[build]\nbuild_base = {work}/build\n[egg_info]\negg_base = {work}\n")
    return {"DIST_EXTRA_CONFIG": str(settings)}


def _find_wheel(output: Path, name: object) -> Path:
    """The file that a backend says it made, which must be one in the folder that it was given."""
    if isinstance(name, str) and "/" not in name:
        file = output / name
        if file.is_file() and not file.is_symlink():
            return file
    raise InputError(
        f"the project's build backend says that it made {name!r}, but there is no such wheel",
        help="see that `pip wheel --no-deps .` works in its folder",
    )


def _find_more(
    backend: Backend,
    source: Path,
    environment: BuildEnvironment,
    options: Options,
    hooks: Callable[[], BuildBackendHookCaller],
) -> list[str]:
    """What a backend asks for besides what is stated.

    To ask takes as long as to build, and the answer hangs on few files; so it is kept beside the
    backend, but not that of a backend which is a part of the project.
    """
    files = [_read(source / name) for name in _DESCRIBING]
    key = memo_key(files, dict(options.settings), steering(files))
    note = environment.folder / f"requires-{key[:24]}.json"
    if not backend.path:
        with contextlib.suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode(note.read_bytes(), type=list[str])
    found: object = hooks().get_requires_for_build_wheel(dict(options.settings))
    if not are_requirements(found):
        shown = redact(repr(found))
        raise InputError(
            f"the project's build backend asks for {shown}, which is no list of requirements",
            help="see that `pip wheel --no-deps .` works in its folder",
        )
    if local := next(filter(LOCAL.search, found), ""):
        raise InputError(
            f"the project's build backend asks for `{local}`, which may change unnoticed",
            help="name it in `requires` of [build-system] in pyproject.toml, which is compared",
        )
    if not backend.path:
        written = note.with_suffix(f".{os.getpid()}")
        written.write_bytes(msgspec.json.encode(found))
        written.replace(note)
    return found


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _run(
    command: Sequence[str],
    folder: str | None,
    environment: BuildEnvironment,
    options: Options,
    variables: Mapping[str, str],
) -> str:
    """Run a hook; what it said last.

    It may leave processes behind that hold what it was given: so it speaks into a file, whose end
    nobody waits for, and what of its group still runs is ended.

    Raises:
        CalledProcessError: it failed; with what it said.
    """
    more = {"SOURCE_DATE_EPOCH": str(options.mtime), **variables}
    if options.offline:
        more["PIP_NO_INDEX"] = "1"
    with tempfile.TemporaryFile() as heard:
        process = subprocess.Popen(  # noqa: S603 - the backend that the project names
            list(command),
            cwd=folder,
            env=environment.variables(more),
            stdin=subprocess.DEVNULL,
            stdout=heard,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        try:
            code = process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        heard.seek(max(0, heard.seek(0, os.SEEK_END) - _HEARD))
        said = redact(heard.read().decode(errors="replace"))
    if code:
        raise subprocess.CalledProcessError(code, list(command), said)
    return said
