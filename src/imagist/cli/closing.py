"""What is closed when a command has ended, whoever opened it, unless the process ends with it."""

from __future__ import annotations

import contextlib
from typing import Final

UNTIL_THE_END: Final = contextlib.ExitStack()
"""Holds the stores that are open: their locks would keep others from pruning."""
