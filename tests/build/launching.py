"""Starting imagist many times a second, as processes that can be killed: one warm parent forks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from build.commandline import environment

_PARENT = """
import importlib, json, os, pkgutil, sys
import imagist
from imagist.cli.main import main
for module in pkgutil.walk_packages(imagist.__path__, "imagist."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
for line in sys.stdin:
    what, *rest = json.loads(line)
    if what == "wait":
        print(os.waitstatus_to_exitcode(os.waitpid(rest[0], 0)[1]), flush=True)
        continue
    pid = os.fork()
    if not pid:
        folder, answer, words = rest
        os.chdir(folder)
        for number, name in ((0, os.devnull), (1, answer + ".out"), (2, answer + ".err")):
            os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC), number)
        code = main(words)
        sys.stdout.flush()
        os._exit(code)
    print(pid, flush=True)
"""


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    """The exit code; a signal's number below zero."""
    out: str
    err: str
    killed: bool


class Started:
    """One imagist that runs."""

    def __init__(self, launcher: Launcher, pid: int, answer: str) -> None:
        self.pid = pid
        self._launcher = launcher
        self._answer = answer

    def kill(self) -> Ended:
        """End it without a chance to clean up."""
        os.kill(self.pid, signal.SIGKILL)  # it is waited for below, so the number is still its own
        return self.wait()

    def wait(self) -> Ended:
        """Wait for its end."""
        code = self._launcher.ask("wait", self.pid)
        files = [Path(self._answer + end) for end in (".out", ".err")]
        # One that was killed at once has not come as far as to open them.
        out, err = (file.read_text() if file.exists() else "" for file in files)
        return Ended(code, out, err, killed=code == -signal.SIGKILL)


class Launcher:
    """Starts imagist without the time that Python needs to start."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self._folder = folder
        self._count = 0
        self._parent = subprocess.Popen(
            [sys.executable, "-c", _PARENT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(**variables),
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._parent.communicate()

    def start(self, *words: str | Path) -> Started:
        """Start a command."""
        self._count += 1
        answer = str(self._folder / f".answer-{self._count}")
        pid = self.ask("start", str(self._folder), answer, [str(word) for word in words])
        return Started(self, pid, answer)

    def run(self, *words: str | Path) -> Ended:
        """Run a command to its end."""
        return self.start(*words).wait()

    def ask(self, *words: object) -> int:
        """Put one question to the parent."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(json.dumps(words) + "\n")
        self._parent.stdin.flush()
        return int(self._parent.stdout.readline())


def wait_for(folder: Path, pattern: str, seconds: float = 1.0) -> bool:
    """Wait until something of this name is in a folder."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if next(folder.glob(pattern), None) is not None:
            return True
    return False
