"""Processes that are asked to end in the middle of their work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from build.commandline import environment

_LAUNCH = (
    "import os, signal, sys\n"
    "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's `&` ignores it
    "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # and so does nohup
    "from imagist.cli.main import main\n"
    "os.write(int(sys.argv.pop(1)), b'!')\n"
    "sys.exit(main())\n"
)
PATIENCE = 20.0
"""Seconds after which a process that still runs counts as one that does not end."""


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    out: str
    err: str
    """Empty where it goes elsewhere."""


class Job:
    """An imagist process that is at work."""

    def __init__(
        self, *words: str | Path, cwd: Path, stderr: int = subprocess.PIPE, **variables: str
    ) -> None:
        reading, writing = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCH, str(writing), *map(str, words)],
            cwd=cwd,
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            pass_fds=[writing],
            text=True,
        )
        os.close(writing)
        with os.fdopen(reading, "rb") as ready:
            ready.read(1)

    def wait_for(self, condition: Callable[[], object]) -> bool:
        """Wait until something is so; False where the process ended before."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if condition():
                return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.001)
        raise AssertionError("what the test waits for does not happen")

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGINT) -> Ended:
        """Ask it to end, and wait until it has."""
        self.send(number)
        return self.wait()

    def wait(self) -> Ended:
        try:
            out, err = self.process.communicate(timeout=PATIENCE)
        finally:
            self.process.kill()
        return Ended(self.process.returncode, out, err or "")
