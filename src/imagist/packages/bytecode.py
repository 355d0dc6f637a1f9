"""Compiling Python sources by an interpreter of this machine, for the same version elsewhere.

The results are what `py_compile` writes with an unchecked hash (PEP 552): no time is in them, and
nobody looks at the source before using them. The format belongs to a minor version of Python, not
to a machine.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from imagist.errors import InputError
from imagist.packages import compiler

_SIZE: Final = struct.Struct("<I")
_TIMEOUT: Final = 600
"""Seconds; a standard library takes one or two."""
_ARGUMENTS: Final = ("-I", "-S", "-B", "-X", "utf8")


class Source(msgspec.Struct, frozen=True):
    """A file to be compiled: its path in the image without leading slash, and its content."""

    path: str
    data: bytes


class Compiled(msgspec.Struct, frozen=True):
    """What an interpreter made of sources, and which one it was."""

    version: str
    """`sys.version`: compilers of two releases may give different bytes."""
    cache_tag: str
    """Such as `cpython-312`: part of the names of compiled files."""
    files: list[bytes]
    """Of each source the compiled file; nothing where it cannot be compiled."""


def compile_with(interpreter: str, sources: Sequence[Source] = ()) -> Compiled:
    """Compile sources in one process of an interpreter; none of their code is run.

    Raises:
        InputError: the interpreter failed.
    """
    frames = []
    for source in sources:
        for part in (f"/{source.path}".encode("utf-8", "surrogateescape"), source.data):
            frames += [_SIZE.pack(len(part)), part]
    greeting, *files = _run(interpreter, b"".join(frames)) or [b""]
    if len(files) != len(sources):
        raise InputError(f"{interpreter} did not compile what it was given")
    version, _, cache_tag = greeting.decode().partition("\n")
    return Compiled(version, cache_tag, files)


def _run(interpreter: str, frames: bytes) -> list[bytes]:
    """Run the compiler; the frames that it answers with."""
    try:
        done = subprocess.run(  # noqa: S603 - an interpreter of this machine, and our program
            [interpreter, *_ARGUMENTS, str(Path(compiler.__file__))],
            input=frames,
            capture_output=True,
            check=True,
            timeout=_TIMEOUT,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(f"{interpreter} cannot compile Python modules: {error}") from error
    answer, at = done.stdout, 0
    found = []
    while at < len(answer):
        (size,) = _SIZE.unpack_from(answer, at)
        found.append(answer[at + _SIZE.size : at + _SIZE.size + size])
        at += _SIZE.size + size
    return found
