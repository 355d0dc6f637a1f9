"""Running one command: its module, its errors, its exit code."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from imagist import __version__
from imagist.cli.parser import parse_arguments
from imagist.errors import ImagistError, InputError

INTERRUPTED = 130


class _Terminated(BaseException):
    """SIGTERM: leave as on Ctrl-C, so that what is half-way is cleaned up."""


def run_command_line(words: Sequence[str]) -> int:
    """Parse, run and report; the result is the exit code."""
    color = "auto"
    _open_streams()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        command, values = parse_arguments(words, os.environ)
        if values.version:
            sys.stdout.write(f"imagist {__version__}\n")
            return 0
        if command is None:
            return 2
        color = values.color
        if values.directory:
            _enter(values.directory)
        result = importlib.import_module(command.module).run(values)
        sys.stdout.flush()
        return int(result or 0)
    except ImagistError as error:
        from imagist.text.diagnostics import render

        sys.stderr.write(render(error, color=is_colored(sys.stderr, color)))
        return error.exit_code
    except _Terminated:
        return 128 + signal.SIGTERM
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our answer went away (`| head`): that is no error of ours.
        _silence()
        return 128 + signal.SIGPIPE
    except OSError as error:
        sys.stderr.write(f"error: the answer could not be written: {error.strerror}\n")
        _silence()
        return InputError.exit_code
    except SystemExit as leave:  # argparse's --help
        return int(leave.code or 0)


def _open_streams() -> None:
    """Stand-ins for streams that were closed (`>&-`), which Python leaves out."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - until the end


def _silence() -> None:
    """Let nothing more go to stdout, not even what is still in its buffer at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _terminate(number: int, frame: object) -> None:
    del number, frame
    raise _Terminated


def _enter(directory: str) -> None:
    from imagist.errors import NotFound

    try:
        os.chdir(directory)
    except OSError as error:
        raise NotFound(f"-C {directory}: {error.strerror}") from error


def is_colored(stream: TextIO, when: str) -> bool:
    """Whether to colour what goes to a stream: by flag, NO_COLOR, and whether it is a terminal."""
    if when != "auto":
        return when == "always"
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
