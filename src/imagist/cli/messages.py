"""What is said on stderr beside errors: stages, warnings, and how far long work has come.

A terminal shows a live view of work that moves bytes (`cli.progress`), everything else gets lines,
and `--json` lines of JSON (`cli.jsonlines`). Work shorter than `QUIET` says nothing of itself.
"""

from __future__ import annotations

import _thread
import argparse
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Final, TextIO

from imagist.cli.count import Count
from imagist.progress import SILENT, Meter

if TYPE_CHECKING:
    from imagist.cli.progress import View

QUIET: Final = 0.3
"""Seconds of work of which nothing is told, unless every stage is asked for."""
_FRAME: Final = 0.1
"""Seconds between two states of the live view."""
_LINE: Final = 10.0
"""Seconds between two lines about the same work, where there is no live view."""
_JSON: Final = 1.0
_PATIENCE: Final = 0.2
"""Seconds to wait for a terminal that takes nothing."""


class Messages:
    """A `context.Report` on stderr; safe for many threads."""

    def __init__(self, values: argparse.Namespace) -> None:
        """Say only what the flags allow."""
        self.json: bool = values.json
        self._warnings = not values.quiet
        self._stages = not values.quiet and values.progress != "none"
        self._at_once = values.json or values.verbose or values.progress == "plain"
        self._stream = sys.stderr
        self._is_live = values.progress == "auto" and not values.json and _can_move(sys.stderr)
        self._color: str = values.color
        self._said: set[str] = set()
        self._begun: float | None = None
        self._pending = ""
        self._view: View | None = None
        self._lock = threading.Lock()

    def stage(self, text: str) -> None:
        """A step has begun. Until work has taken `QUIET` seconds, only the latest is kept."""
        if not self._stages:
            return
        with self._lock:
            left = self._quiet_left()
            if left <= 0:
                self._say("stage", text)
                return
            if not self._pending:
                _start(self._tell_later, left)
            self._pending = text

    def warn(self, text: str) -> None:
        """Something is odd, but not wrong; the same thing is said once."""
        if self._warnings and text not in self._said:
            self._said.add(text)
            with self._lock:
                self._say("warning", text)

    def meter(
        self, what: str, *, items: int = 0, size: int | None = None
    ) -> AbstractContextManager[Meter]:
        """Where bytes are counted while the block lasts; a thread of ours looks at it."""
        if not self._stages:
            return contextlib.nullcontext(SILENT)
        return _Metered(self, Count(what, items, size))

    def begin(self) -> float:
        """Work has begun; seconds until there is something to tell of it."""
        if not self._is_live:
            return _JSON if self.json else _LINE
        with self._lock:
            return self._quiet_left()

    def tell(self, count: Count) -> float:
        """Say how far work is; the seconds until it should be said again."""
        with self._lock:
            if count.is_over:
                return 0.0
            if self.json:
                self._tell_in_json(count)
                return _JSON
            if self._is_live:
                self._draw(count)
                return _FRAME
            from imagist.cli.progress import describe

            self._say("stage", describe(count))
            return _LINE

    def end(self, count: Count, *, failed: bool) -> None:
        """The work is over: erase the view, and say what it was in one line."""
        with self._lock:
            count.is_over = True
            if self._view is not None:
                self._view.erase()
                self._view = None
            if self.json:
                self._tell_in_json(count)
            elif count.passed and not failed and self._quiet_left() <= 0:
                from imagist.cli.progress import describe_end

                self._say("stage", describe_end(count))

    def leave(self) -> None:
        """Clear the live view for the last time: the lock stays taken, so nobody draws again."""
        if self._lock.acquire(timeout=_PATIENCE) and self._view is not None:
            self._view.erase()

    def _quiet_left(self) -> float:
        """Seconds until there is something to tell of the work, which has begun now or before."""
        if self._at_once:
            return 0.0
        now = time.monotonic()
        self._begun = self._begun or now
        return max(0.0, self._begun + QUIET - now)

    def _tell_later(self, wait: float) -> None:
        time.sleep(wait)
        with self._lock:
            if self._pending:
                self._say("stage", self._pending)

    def _say(self, kind: str, text: str) -> None:
        """Say a line, above the live view where there is one."""
        self._pending = ""
        if self.json:
            from imagist.cli.jsonlines import format_line

            self._write(format_line({kind: text}))
            return
        from imagist.text.diagnostics import printable

        line = "warning: " if kind == "warning" else ""
        line += printable(text.replace("\n", " ") if kind == "stage" else text) + "\n"
        if self._view is None:
            self._write(line)
        else:
            self._view.print_above(line)

    def _tell_in_json(self, count: Count) -> None:
        from imagist.cli.jsonlines import describe_progress

        self._write(describe_progress(count))

    def _draw(self, count: Count) -> None:
        if self._pending:
            self._say("stage", self._pending)
        if self._view is None:
            self._view = self._open_view(count)
        self._view.draw()

    def _open_view(self, count: Count) -> View:
        from imagist.cli import interrupt
        from imagist.cli.progress import View
        from imagist.text.diagnostics import is_colored

        interrupt.before_leaving(self.leave)
        color = is_colored(self._stream, self._color)
        return View(count, self._stream, self._write, color=color)

    def _write(self, text: str) -> None:
        """Write at once and whole, to the descriptor where there is one.

        A thread that is ended with the process must not hold the lock of a stream's buffer; and
        whoever listens no more to what is said ends no build.
        """
        with contextlib.suppress(OSError, ValueError):
            try:
                descriptor = self._stream.fileno()
            except OSError:
                self._stream.write(text)
                return
            data = memoryview(text.encode(self._stream.encoding, "backslashreplace"))
            while data:
                data = data[os.write(descriptor, data) :]


class _Metered(AbstractContextManager[Meter]):
    """A meter, and the thread that looks at it for as long as the block lasts."""

    def __init__(self, messages: Messages, count: Count) -> None:
        self._messages = messages
        self._count = count
        self._over = threading.Event()

    def __enter__(self) -> Meter:
        _start(self._look)
        return self._count

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._messages.end(self._count, failed=kind is not None)

    def _look(self) -> None:
        wait = self._messages.begin()
        while not self._over.wait(wait):
            wait = self._messages.tell(self._count)


def _start(action: Callable[..., object], *arguments: object) -> None:
    """Do something in a thread that nobody waits for, neither at its beginning nor at its end."""
    _thread.start_new_thread(action, arguments)


def _can_move(stream: TextIO) -> bool:
    """Whether a stream is a terminal whose cursor can be moved."""
    return stream.isatty() and os.environ.get("TERM", "") not in {"", "dumb"}
