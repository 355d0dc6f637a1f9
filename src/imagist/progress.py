"""What long work tells of itself while it runs: bytes that passed, items that are done.

Whoever moves bytes takes a `Meter` and knows nothing of terminals; `cli` decides who looks at it.
"""

from __future__ import annotations

from typing import Final, Protocol


class Meter(Protocol):
    """Counts work on its way; any thread may call it, and it costs next to nothing."""

    def expect(self, size: int) -> None:
        """So many bytes more are to come."""
        ...

    def add(self, size: int) -> None:
        """So many bytes more have passed."""
        ...

    def finish(self, name: str, *, remembered: bool = False) -> None:
        """One item is done; `remembered` where it was in the store already."""
        ...


class SilentMeter:
    """A `Meter` that nobody looks at."""

    def expect(self, size: int) -> None:
        """Expect nothing."""

    def add(self, size: int) -> None:
        """Count nothing."""

    def finish(self, name: str, *, remembered: bool = False) -> None:
        """Say nothing."""


SILENT: Final[Meter] = SilentMeter()
