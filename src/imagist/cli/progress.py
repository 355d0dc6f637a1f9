"""The live view of long work on a terminal, and the same in words.

packages  ━━━━━━━━━━━━━━━━━━━━──────────  66 %  62.1 of 94.2 MB  41.3 MB/s  97 of 156  1 s left
glibc-2.40-r3

The block is redrawn where it stands. The cursor is never hidden, so that a process that is killed
leaves a terminal as it found it.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import Final, TextIO

from imagist.cli.count import Count
from imagist.text.diagnostics import columns, printable

_UNITS: Final = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3))
_MEMORY: Final = 2.0
"""Seconds over which the rate is smoothed."""
_WIDEST: Final = 30
_NARROWEST: Final = 8
"""Columns of the bar; below the second there is none."""
_CLEAR: Final = "\x1b[J"
"""Clears all that stands behind the cursor and below."""
_CLEAR_LINE: Final = "\x1b[K"
_GREEN: Final = "\x1b[32m"
_FAINT: Final = "\x1b[2m"
_RESET: Final = "\x1b[0m"


def describe(count: Count, rate: float = 0.0) -> str:
    """How far work is, in one line of words."""
    return "  ".join(filter(None, (_one_line(count.what), *_parts(count, rate))))


def describe_end(count: Count) -> str:
    """What work that is over has moved, in one line of words."""
    seconds = max(time.monotonic() - count.begun, 0.001)
    items = f"{count.done - count.remembered}, " if count.items else ""
    moved = f"{format_size(count.passed)} in {seconds:.1f} s"
    known = f"; {count.remembered} were there already" if count.remembered else ""
    rate = format_size(int(count.passed / seconds))
    return f"{_one_line(count.what)}: {items}{moved} ({rate}/s){known}"


def format_size(size: int) -> str:
    """A number of bytes in decimal units, as `94.2 MB`."""
    unit, one = _unit(size)
    return f"{size / one:.1f} {unit}" if one > 1 else f"{size} B"


def _unit(size: int) -> tuple[str, int]:
    return next(((unit, one) for unit, one in _UNITS if size >= one), ("B", 1))


def format_time(seconds: float) -> str:
    """How long something will take, no more exactly than anyone can know."""
    if seconds < 90:
        return f"{max(1, math.ceil(seconds))} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{math.ceil(minutes / 60)} h"


class Rate:
    """Bytes a second, smoothed; a jump counts in full only after some seconds."""

    def __init__(self, passed: int, now: float) -> None:
        """Begin at a number of bytes and a time in seconds."""
        self._passed = passed
        self._now = now
        self.value = 0.0

    def update(self, passed: int, now: float) -> float:
        """Take the next state, and give the rate."""
        elapsed = now - self._now
        if elapsed > 0:
            current = (passed - self._passed) / elapsed
            weight = 1.0 if not self.value else 1 - math.exp(-elapsed / _MEMORY)
            self.value += weight * (current - self.value)
            self._passed, self._now = passed, now
        return self.value


class View:
    """A block of lines at the bottom of a terminal; not for several threads at once."""

    def __init__(
        self, count: Count, stream: TextIO, write: Callable[[str], object], *, color: bool
    ) -> None:
        """Look at `count`, take the width from `stream`, and `write` whole frames."""
        self._count = count
        self._stream = stream
        self._write = write
        self._color = color
        self._is_unicode = (stream.encoding or "").lower().replace("-", "") == "utf8"
        self._rate = Rate(0, count.begun)
        self._lines: list[int] = []
        """The columns that each line takes of what stands there now."""

    def draw(self) -> None:
        """Draw the present state over the last one."""
        self._write(self._up() + self._frame())

    def erase(self) -> None:
        """Leave nothing of the block, and the cursor where it began."""
        self._write(self._up() + _CLEAR)
        self._lines = []

    def print_above(self, text: str) -> None:
        """Write whole lines, and the block anew below them."""
        self._write(self._up() + _CLEAR + text + self._frame())

    def _up(self) -> str:
        """To the beginning of the block.

        A terminal that became narrower has wrapped the lines that were too long for it.
        """
        if not self._lines:
            return ""
        width = self._width()
        rows = sum(max(1, math.ceil(taken / width)) for taken in self._lines)
        return (f"\x1b[{rows - 1}A" if rows > 1 else "") + "\r"

    def _frame(self) -> str:
        room = self._width() - 1  # a full line may or may not have moved the cursor on
        rate = self._rate.update(self._count.passed, time.monotonic())
        lines = [self._status(rate, room)]
        if self._count.name:
            lines.append((self._fit(_one_line(self._count.name), room), _FAINT))
        self._lines = [columns(text) for text, _ in lines]
        painted = (self._paint(text, style) + _CLEAR_LINE for text, style in lines)
        return "\n".join(painted) + _CLEAR

    def _status(self, rate: float, room: int) -> tuple[str, str]:
        """What, bar and numbers, as far as there is room; the numbers last in line go first."""
        what = _one_line(self._count.what)
        parts = [part for part in _parts(self._count, rate) if part]
        while parts and columns("  ".join((what, *parts))) > room:
            parts.pop()
        left = room - columns("  ".join((what, *parts))) - 2
        fraction = _fraction(self._count)
        if fraction is not None and left >= _NARROWEST:
            parts.insert(0, self._bar(fraction, min(left, _WIDEST)))
        return self._fit("  ".join((what, *parts)), room), _GREEN

    def _bar(self, fraction: float, width: int) -> str:
        full = int(fraction * width)
        if self._is_unicode:
            return "━" * full + "─" * (width - full)
        return "#" * full + "-" * (width - full)

    def _fit(self, text: str, room: int) -> str:
        """As much of a text as there is room for, in what the terminal can show."""
        if not self._is_unicode:
            text = text.encode("ascii", "replace").decode()
        text = text[: 4 * room]  # what takes no column of its own (accents) is not endless
        while columns(text) > room:
            text = text[:-1]
        return text

    def _paint(self, text: str, style: str) -> str:
        return f"{style}{text}{_RESET}" if self._color and text else text

    def _width(self) -> int:
        try:
            return max(2, os.get_terminal_size(self._stream.fileno()).columns or 80)
        except (OSError, ValueError):
            return 80


def _one_line(text: str) -> str:
    return printable(text.replace("\n", " "))


def _fraction(count: Count) -> float | None:
    """How much is done, from 0 to 1; None where nobody knows."""
    if count.size and not count.remembered:
        return min(1.0, count.passed / count.size)
    return min(1.0, count.done / count.items) if count.items else None


def _parts(count: Count, rate: float) -> list[str]:
    """The numbers, the most telling first; empty where one is not known."""
    fraction = _fraction(count)
    percent = "" if fraction is None else f"{int(100 * fraction)} %"
    items = f"{count.done} of {count.items}" if count.items else ""
    speed = f"{format_size(int(rate))}/s" if rate >= 1 else ""
    return [percent, _bytes(count), speed, _time_left(count, rate), items]


def _bytes(count: Count) -> str:
    if not count.size or count.remembered:
        # What is in the store already does not pass, so the sum of all tells nothing.
        return format_size(count.passed) if count.passed else ""
    unit, one = _unit(count.size)
    digits = 1 if one > 1 else 0
    return (
        f"{min(count.passed, count.size) / one:.{digits}f} of {count.size / one:.{digits}f} {unit}"
    )


def _time_left(count: Count, rate: float) -> str:
    if not count.size or count.remembered or rate < 1:
        return ""
    left = max(0, count.size - count.passed) / rate
    return f"{format_time(left)} left" if left < 86400 else ""
