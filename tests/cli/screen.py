"""A terminal that a test can read: a pseudo-terminal with a process on it, and what it shows."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PATIENCE = 20.0
_TOKEN = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)")


def _take_terminal() -> None:
    """Make the terminal that of the process, so that Ctrl-C reaches it."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Screen:
    """The lines that a terminal shows, and those that went by; knows the codes that we write."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.rows = [""]
        self._row = self._column = 0

    def feed(self, text: str) -> None:
        position = 0
        while position < len(text):
            token = _TOKEN.match(text, position)
            assert token, f"an unknown code: {text[position : position + 10]!r}"
            position = token.end()
            if token[2]:
                self._steer(token[1], token[2])
            elif token[3]:
                self._column = 0
            elif token[4]:
                self._down()
            else:
                self._put(token[5])

    @property
    def text(self) -> list[str]:
        """The rows that are not empty."""
        return [row.rstrip() for row in self.rows if row.strip()]

    def _steer(self, number: str, code: str) -> None:
        row = self.rows[self._row]
        match code:
            case "A":
                self._row = max(0, self._row - int(number or 1))
            case "K":
                self.rows[self._row] = row[: self._column]
            case "J":
                self.rows[self._row] = row[: self._column]
                del self.rows[self._row + 1 :]
            case "m":
                pass
            case _:
                raise AssertionError(f"an unknown code: {number}{code}")

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self.rows):
            self.rows.append("")

    def _put(self, text: str) -> None:
        for character in text:
            if self._column == self.columns:
                self._down()
                self._column = 0
            row = self.rows[self._row].ljust(self._column)
            self.rows[self._row] = row[: self._column] + character + row[self._column + 1 :]
            self._column += 1


class Terminal:
    """A process whose stderr is a terminal; its stdout is a pipe."""

    def __init__(
        self, words: Sequence[str], *, cwd: Path, env: Mapping[str, str], columns: int = 80
    ) -> None:
        self._main, self._side = pty.openpty()
        modes = termios.tcgetattr(self._side)
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(self._side, termios.TCSANOW, modes)
        self.resize(columns)
        self.screen = Screen(columns)
        self.written = ""
        self.process = subprocess.Popen(
            words,
            cwd=cwd,
            env=env,
            stdin=self._side,
            stdout=subprocess.PIPE,
            stderr=self._side,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - it takes no lock
        )
        os.close(self._side)

    def resize(self, columns: int) -> None:
        size = struct.pack("HHHH", 25, columns, 0, 0)
        fcntl.ioctl(self._main, termios.TIOCSWINSZ, size)

    def type(self, text: str) -> None:
        os.write(self._main, text.encode())

    def show(self, condition: Callable[[], object] = lambda: False) -> bool:
        """Show what comes until something is so; False where the process ended before."""
        end = time.monotonic() + _PATIENCE
        while not condition():
            assert time.monotonic() < end, self.screen.text
            if not select.select([self._main], [], [], 0.05)[0]:
                if self.process.poll() is not None:
                    return False
                continue
            try:
                text = os.read(self._main, 65536).decode()
            except OSError:  # the other end is closed
                return False
            self.written += text
            self.screen.feed(text)
        return True

    def wait(self) -> tuple[int, str]:
        """Show the rest; the exit code, and what went to stdout."""
        try:
            self.show()
            out, _ = self.process.communicate(timeout=_PATIENCE)
        finally:
            self.process.kill()
            os.close(self._main)
        return self.process.returncode, out.decode()
