"""Running one command: its module, its errors, its exit code."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from imagist import __version__
from imagist.cli import interrupt
from imagist.cli.parser import asks_for_json, parse_arguments
from imagist.cli.telling import tell_error
from imagist.errors import ImagistError, InputError


def run_command_line(words: Sequence[str]) -> int:
    """Parse, run and report; the result is the exit code. What is open (`closing`) stays so."""
    color = "auto"
    as_json = asks_for_json(words, os.environ)
    if as_json:
        interrupt.answer_in_json()
    _open_streams()
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
        _warn_of_variables(values)
        result = importlib.import_module(command.module).run(values)
        sys.stdout.flush()
        return int(result or 0)
    except ImagistError as error:
        tell_error(error, as_json=as_json, color=color)
        return error.exit_code
    except (RecursionError, MemoryError, OverflowError) as error:
        problem = InputError(
            f"an input is too deep or too large to be read ({type(error).__name__})",
            help="no image or declaration that is meant to be used is like that",
        )
        tell_error(problem, as_json=as_json, color=color)
        return problem.exit_code
    except BrokenPipeError:
        # The reader of our answer went away (`| head`): that is no error of ours.
        _silence()
        return 128 + signal.SIGPIPE
    except OSError as error:
        message = f"the answer could not be written: {error.strerror}"
        if error.filename is not None:
            message = f"{error.filename}: {error.strerror}"
        else:
            _silence()
        tell_error(InputError(message), as_json=as_json, color=color)
        return InputError.exit_code
    except SystemExit as leave:  # argparse's --help
        return int(leave.code or 0)


def _warn_of_variables(values: argparse.Namespace) -> None:
    """Say which IMAGIST_ variables nobody reads: a misspelt one would be missed silently."""
    ours = [name for name in os.environ if name.startswith("IMAGIST_")]
    if not ours or values.quiet:
        return
    from imagist.cli.messages import Messages
    from imagist.cli.variables import find_unknown

    messages = Messages(values)
    for warning in find_unknown(ours):
        messages.warn(warning)


def _open_streams() -> None:
    """Stand-ins for streams that were closed (`>&-`), which Python leaves out."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - until the end


def _silence() -> None:
    """Let nothing more go to stdout, not even what is still in its buffer at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _enter(directory: str) -> None:
    from imagist.errors import NotFound

    try:
        os.chdir(directory)
    except OSError as error:
        raise NotFound(f"-C {directory}: {error.strerror}") from error
