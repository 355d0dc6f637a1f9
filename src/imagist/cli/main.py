"""The entry point: find the command, run it, turn errors into messages and exit codes."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

from imagist import __version__

_ALLOCATIONS = 100_000
"""New objects after which cycles are looked for."""


def main(words: Sequence[str] | None = None) -> int:
    """Run one command line and return the exit code (`errors` says which means what).

    Without `words` it is this process' own, and the process may end here, on a signal.
    """
    arguments = sys.argv[1:] if words is None else list(words)
    if arguments == ["--version"]:  # start-up is part of performance: nothing else is imported
        sys.stdout.write(f"imagist {__version__}\n")
        return 0
    if words is None:
        return _run_process(arguments)
    from imagist.cli.closing import UNTIL_THE_END
    from imagist.cli.run import run_command_line

    try:
        return run_command_line(arguments)
    finally:
        UNTIL_THE_END.close()


def _run_process(arguments: Sequence[str]) -> int:
    """Run the command line that is all the process is for."""
    # Looking for cycles while modules load is a tenth of a short command, and finds none.
    gc.set_threshold(_ALLOCATIONS)
    try:
        from imagist.cli import interrupt

        interrupt.watch()
        from imagist.cli.run import run_command_line

        code = run_command_line(arguments)
        interrupt.finish()
        _end(code)
    except KeyboardInterrupt as stop:
        from imagist.cli.interrupt import leave

        leave(getattr(stop, "number", 2))
    except Exception:
        if interrupt.is_stopping():  # the signal met something that could not be ended so
            interrupt.leave(2)
        raise
    return code


def _end(code: int) -> None:
    """End the process without taking the interpreter apart, which takes longer than many a build.

    Nor is anything closed: the last one to close the memo would wait for the disk three times, to
    write back a journal that the next one goes on with.
    What is still in a buffer and cannot be written is left to the usual end, which tells of it.
    """
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return
    os._exit(code)
