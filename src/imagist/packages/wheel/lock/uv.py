"""`uv.lock`, read by uv itself: its export is the standard's lock, narrowed to what is wanted."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from imagist.errors import NotFound, RequestError, advise_part
from imagist.net.url import redact
from imagist.packages.wheel.lock.model import Lock
from imagist.packages.wheel.lock.pylock import read_pylock

_QUIET: Final = ("--quiet", "--color", "never", "--no-python-downloads")


def find_uv() -> str:
    """The path of uv: the one installed with imagist, or the one on PATH.

    Raises:
        NotFound: there is none.
    """
    try:
        from uv import find_uv_bin  # noqa: PLC0415 - an optional package

        found: str | None = find_uv_bin()
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if not found:
        raise NotFound("uv is not installed, and reads and makes locks", help=advise_part("lock"))
    return found


def run_uv(
    words: Sequence[str],
    folder: Path,
    *,
    what: str,
    variables: Mapping[str, str] = MappingProxyType({}),
    given: bytes = b"",
) -> bytes:
    """What uv writes to its standard output.

    Args:
        words: its arguments, which everybody on the machine can see.
        folder: where it runs.
        what: failed, should it fail.
        variables: to add to its environment.
        given: its standard input.

    Raises:
        NotFound: uv is not installed.
        RequestError: uv says no; with its words, since nobody knows better.
    """
    # What the caller's shell is in is no business of the project that is read.
    kept = {k: v for k, v in os.environ.items() if k not in {"VIRTUAL_ENV", "CONDA_PREFIX"}}
    done = subprocess.run(  # noqa: S603 - a path that we found, words that we made
        [find_uv(), *words, *_QUIET],
        cwd=folder,
        capture_output=True,
        check=False,
        env={**kept, **variables},
        input=given,
    )
    if done.returncode:
        said = redact(done.stderr.decode("utf-8", "replace").strip())
        raise RequestError(f"{what}: {said.removeprefix('error: ')}", where=str(folder))
    return done.stdout


def read_uv(
    path: Path, *, extras: Sequence[str] = (), groups: Sequence[str] | None = None
) -> Lock:
    """Read a `uv.lock`, which lies beside the `pyproject.toml` that it belongs to.

    Args:
        path: the lock.
        extras: those of the project that are wanted.
        groups: dependency groups that are wanted; None: none, since images are not for
            development, whatever uv's default groups say.

    Raises:
        NotFound: uv is not installed.
        RequestError: uv cannot read it, or an extra or group is not there.
    """
    words = ["export", "--frozen", "--offline", "--format", "pylock.toml", "--no-header"]
    words += ["--no-default-groups", "--no-emit-project"]
    words += [word for extra in extras for word in ("--extra", extra)]
    words += [word for group in groups or () for word in ("--group", group)]
    exported = run_uv(words, path.parent, what=f"uv cannot read {path.name}")
    lock = read_pylock(exported, str(path))
    # It holds what is wanted and nothing else, so all that was asked for is there.
    return msgspec.structs.replace(
        lock, extras=tuple(extras), groups=tuple(groups or ()), locate=lambda _: str(path)
    )
