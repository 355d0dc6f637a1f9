"""The entry point: find the command, run it, turn errors into messages and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from imagist import __version__


def main(words: Sequence[str] | None = None) -> int:
    """Run one command line and return the exit code (`errors` says which means what)."""
    arguments = sys.argv[1:] if words is None else list(words)
    if arguments == ["--version"]:  # start-up is part of performance: nothing else is imported
        sys.stdout.write(f"imagist {__version__}\n")
        return 0
    from imagist.cli.run import run_command_line

    return run_command_line(arguments)
