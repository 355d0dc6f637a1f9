"""Leaving on Ctrl-C, SIGTERM or SIGHUP: soon, wherever the work is, with nothing left behind.

The main thread is told by an exception, so that `with` blocks clean up as they do after an error.
But it may be waiting for threads that wait for a server, or sit in a library that does not look
up (SQLite, while another process writes). So a thread, woken by the signal itself, grants it
`GRACE` seconds, and then removes what is unfinished and ends the process.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Final, NoReturn

from imagist.store import unfinished

GRACE: Final = 0.25
_WORDS: Final = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "terminated",
}
_STDERR: Final = 2


class Stopped(KeyboardInterrupt):
    """A signal asks the process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _State:
    """One for the process, as signal handlers are."""

    number = 0
    """The signal that came, 0 before."""
    working = True
    """Whether there is anything that an exception would let clean up."""
    as_json = False
    leaving = _thread.allocate_lock()
    leaver = 0
    """The thread that is leaving."""
    clear_screen: Callable[[], object] = staticmethod(lambda: None)


def watch() -> None:
    """Take over the signals; to be called once, by the process' own entry point."""
    taken = [number for number in _WORDS if signal.getsignal(number) != signal.SIG_IGN]
    for number in taken:
        signal.signal(number, _take_signal)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    _thread.start_new_thread(_grant_grace, (reading,))


def finish() -> None:
    """Say that the work is done: a signal from now on ends the process without more ado."""
    _State.working = False


def answer_in_json() -> None:
    """Have the last word as a line of JSON (`--json`)."""
    _State.as_json = True


def before_leaving(clear_screen: Callable[[], object]) -> None:
    """Have something done before the last word; one action, the latest."""
    _State.clear_screen = staticmethod(clear_screen)


def is_stopping() -> bool:
    """Whether a signal came: what fails now fails because of it."""
    return _State.number != 0


def leave(number: int) -> NoReturn:
    """End the process: nothing unfinished stays, and no thread is waited for.

    The signal that came is told, whatever a library in between has made of it.
    """
    number = _State.number or number
    if not _State.leaving.acquire(blocking=False):
        while _State.leaver != _thread.get_ident():  # another thread is leaving
            time.sleep(1)
        os._exit(128 + number)  # a second signal met us on our way
    _State.leaver = _thread.get_ident()
    unfinished.remove_all()
    with contextlib.suppress(Exception):
        _State.clear_screen()
    _say_last_word(number)
    os._exit(128 + number)


def _take_signal(number: int, frame: FrameType | None) -> None:
    if _State.number or not _State.working:
        leave(number)
    _State.number = number
    if _is_called_by_msgspec(frame):
        return  # the thread that waits will end the process
    # An exception that ends up where none can be raised is told by this hook; nobody needs it.
    sys.unraisablehook = lambda _: None
    raise Stopped(number)


def _is_called_by_msgspec(frame: FrameType | None) -> bool:
    """Whether msgspec is asking Python for a type: an exception there ends in a crash of it."""
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).startswith("msgspec"):
            return True
        frame = frame.f_back
    return False


def _grant_grace(reading: int) -> None:
    while (number := os.read(reading, 1)[0]) not in _WORDS:
        pass
    time.sleep(GRACE)
    leave(number)


def _say_last_word(number: int) -> None:
    """Say it only where nobody makes us wait: a full pipe must not keep the process alive."""
    import select

    word = _WORDS[signal.Signals(number)]
    if _State.as_json:
        word = f'{{"error":{{"message":"{word}"}},"exit_code":{128 + number}}}'
    with contextlib.suppress(OSError, ValueError):
        if select.select([], [_STDERR], [], 0.1)[1]:
            os.write(_STDERR, f"{word}\n".encode())
