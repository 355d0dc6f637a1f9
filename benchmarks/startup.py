"""Start-up: what every command costs before it does anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import WORK
from benchmarks.builders import find_apko, find_imagist
from benchmarks.measuring import Aim, Contestant, Heat, Row


class StartUp(Heat):
    """`imagist --version` beside a Python that does nothing, and beside apko's."""

    repeat = 4
    rows = (
        Row("start-up", "imagist", "bare Python", Aim(ratio=round(1 / 1.5, 2))),
        Row("start-up", "imagist", "apko version"),
    )

    def set_up(self, names: Sequence[str]) -> Mapping[str, Contestant]:
        """Every file is in the page cache after one run."""
        WORK.mkdir(parents=True, exist_ok=True)
        commands = {
            "imagist": lambda: [find_imagist(), "--version"],
            "bare Python": lambda: [str(Path(find_imagist()).with_name("python")), "-c", "pass"],
            "apko version": lambda: [find_apko(), "version"],
        }
        contestants = {name: Contestant(commands[name](), WORK) for name in names}
        for contestant in contestants.values():
            contestant.run()
        return contestants
