"""Telling what is wrong, to a person or to a program."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence

from imagist.cli import interrupt
from imagist.errors import ImagistError


def tell_moves(moves: Sequence[object], values: argparse.Namespace, *, is_new: bool) -> None:
    """Say on stderr what of a lock moved, unless there was none before."""
    if values.quiet:
        return
    from imagist.text.diagnostics import printable

    said = [printable(str(move)) for move in moves]
    if not said and not is_new:
        said = ["nothing moved"]
    sys.stderr.write("".join(f"{line}\n" for line in said))


def tell_error(error: ImagistError, *, as_json: bool, color: str) -> None:
    """Tell a person, or a program, what is wrong."""
    if interrupt.is_stopping():  # what fails now fails because of the signal
        raise KeyboardInterrupt
    if as_json:
        from imagist.cli.jsonlines import describe_error

        text = describe_error(error)
    else:
        from imagist.text.diagnostics import is_colored, render

        text = render(error, color=is_colored(sys.stderr, color))
    with contextlib.suppress(OSError):  # the exit code says it, too
        sys.stderr.write(text)
        sys.stderr.flush()
