"""How far long work has come: a `Meter` at which whoever tells of it may look."""

from __future__ import annotations

import threading
import time


class Count:
    """A `Meter` that can be looked at."""

    def __init__(self, what: str, items: int, size: int | None) -> None:
        """See `context.Report.meter`."""
        self.what = what
        self.items = items
        self.size = size
        self.passed = 0
        """Bytes that passed."""
        self.done = 0
        """Items that are done, remembered ones included."""
        self.remembered = 0
        self.name = ""
        """The item that was done last, and was not remembered."""
        self.begun = time.monotonic()
        self.is_over = False
        self._lock = threading.Lock()

    def expect(self, size: int) -> None:
        """See `Meter.expect`."""
        with self._lock:
            self.size = (self.size or 0) + size

    def add(self, size: int) -> None:
        """See `Meter.add`."""
        with self._lock:
            self.passed += size

    def finish(self, name: str, *, remembered: bool = False) -> None:
        """See `Meter.finish`."""
        with self._lock:
            self.done += 1
            if remembered:
                self.remembered += 1
            else:
                self.name = name
