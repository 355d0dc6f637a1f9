"""When a request is tried again, and after how long."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Final

import msgspec

TRIED_AGAIN: Final = frozenset({408, 425, 429, 499, 500, 502, 503, 504, 522})
"""Answers that may be other ones a moment later."""
_SECONDS: Final = r"[0-9]{1,9}"


class Patience(msgspec.Struct, frozen=True):
    """How long to keep trying; times in seconds."""

    attempts: int = 4
    """Requests for one answer, the first included."""
    resumptions: int = 5
    """How often a body that broke off is taken up again where it broke."""
    base: float = 0.25
    """The longest first wait; it doubles each time."""
    ceiling: float = 30.0
    """The longest wait of all, also where a server asks for a longer one."""
    connect: float = 30.0
    """For a connection to be made."""
    stall: float = 60.0
    """For the next byte to come."""


class Manner(msgspec.Struct, frozen=True):
    """What a caller wants of a request beyond its answer."""

    repeat: bool | None = None
    """Whether it may be sent again where no answer came: None where its method decides."""
    any_status: bool = False
    """Give also an answer that says "not now" when patience has ended, instead of an error."""
    resume: bool = True
    """Take a body that breaks off up again; a caller that knows better how does it itself."""
    follow: bool = True
    """Follow redirections; who sends secrets looks at each of them first."""


HASTY: Final = Patience(attempts=2, resumptions=0, connect=5.0, stall=10.0)
"""For what can be done without."""


class Waiter:
    """Waits between attempts; sleeping and chance can be replaced by a test."""

    def __init__(
        self,
        *,
        sleep: Callable[[float], object] = time.sleep,
        chance: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sleep = sleep
        self._chance = chance or _draw
        self._clock = clock

    def wait(self, patience: Patience, attempt: int, retry_after: str = "") -> bool:
        """Wait after an attempt (the first is 1) that failed.

        Exponential with full jitter, and never shorter than the server's Retry-After.

        Returns:
            False, without waiting, where the server asks for more than our patience.
        """
        asked = parse_retry_after(retry_after, self._clock())
        if asked > patience.ceiling:
            return False
        longest = min(patience.ceiling, patience.base * 2 ** (attempt - 1))
        self._sleep(max(asked, longest * self._chance()))
        return True


def _draw() -> float:
    """A number from 0 to 1."""
    import random  # noqa: PLC0415 - most commands need none

    return random.random()  # noqa: S311 - no secret


def parse_retry_after(value: str, now: float) -> float:
    """Seconds of a Retry-After header (RFC 9110, section 10.2.3), a number or a date; else 0."""
    value = value.strip()
    if re.fullmatch(_SECONDS, value):
        return float(value)
    try:
        from imagist.net.date import parse_date  # noqa: PLC0415 - few servers ask to wait so

        return max(0.0, parse_date(value) - now)
    except ValueError:
        return 0.0
