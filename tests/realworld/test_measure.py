"""What the benchmarks measure with."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from realworld.tools import measure

MEGABYTE = 1 << 20


def test_the_peak_is_the_commands_and_not_that_of_who_measures(tmp_path: Path) -> None:
    ours = b"x" * (200 * MEGABYTE)
    assert measure(["true"], tmp_path).peak < 50 * MEGABYTE
    spent = measure([sys.executable, "-c", "len(b'x' * (100 << 20))"], tmp_path)
    assert 100 * MEGABYTE < spent.peak < 150 * MEGABYTE
    assert len(ours)


def test_a_command_that_fails_is_not_measured(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no such thing"):
        measure(["sh", "-c", "echo no such thing >&2; exit 3"], tmp_path)


def test_time_and_what_was_said_are_the_commands(tmp_path: Path) -> None:
    spent = measure(["sh", "-c", "sleep 0.2; echo $PLACE; pwd"], tmp_path, PLACE="here")
    assert spent.seconds >= 0.2
    assert spent.said.split() == ["here", str(tmp_path)]
