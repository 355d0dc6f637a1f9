"""Contestants that do the same job, run in turn and compared in pairs."""

from __future__ import annotations

import os
import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import WORK
from realworld.tools import Spent, measure


class Unavailable(Exception):
    """A contestant that is not there yet."""


@dataclass(frozen=True)
class Contestant:
    """A command, and what goes with it untimed."""

    command: Sequence[str]
    folder: Path
    """Its own: nobody else works here."""
    before: Callable[[], None] = lambda: None
    """Makes the folder ready for the next run."""
    answer: Callable[[str], object] = lambda said: None  # noqa: ARG005
    """What the last run came to, given what it said; the same for all who run in turn."""

    def run(self) -> Spent:
        """Run once, in a fresh process, with nothing waiting to be written to disk."""
        temporary = WORK / "tmp"  # what apko leaves behind is no later run's burden
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        self.before()
        os.sync()
        return measure(self.command, self.folder, TMPDIR=str(temporary))


@dataclass(frozen=True)
class Aim:
    """What a row is to reach; None is no aim."""

    ratio: float | None = None
    """At least."""
    seconds: float | None = None
    """At most."""
    megabytes: int | None = None
    """Of memory, at most."""


@dataclass(frozen=True)
class Row:
    """One line of the table: two contestants of a heat."""

    case: str
    ours: str
    rival: str
    aim: Aim = Aim()
    quick: bool = True
    """Whether --quick keeps it."""


class Heat:
    """Contestants that run in turn, and the rows that their runs fill."""

    rows: Sequence[Row]
    repeat = 1
    """Runs in each round, for jobs of a few milliseconds."""
    most_rounds = 1000

    def set_up(self, names: Sequence[str]) -> Mapping[str, Contestant]:
        """Make ready what the contestants of these names need.

        Raises:
            Unavailable: one of them is not there yet.
        """
        raise NotImplementedError

    def before_round(self) -> None:
        """What changes between rounds, for all alike."""

    def tear_down(self) -> None:
        """Undo what `set_up` did to things of others."""


@dataclass(frozen=True)
class Result:
    """What a row measured."""

    row: Row
    ours: list[Spent] = field(default_factory=list)
    rival: list[Spent] = field(default_factory=list)
    trouble: str = ""
    """Why there is nothing."""

    @property
    def ratios(self) -> list[float]:
        """The rival's time over ours, of each pair that ran in turn."""
        pairs = zip(self.rival, self.ours, strict=True)
        return [theirs.seconds / ours.seconds for theirs, ours in pairs]

    def missed(self) -> list[str]:
        """The parts of the aim that were not reached."""
        aim = self.row.aim
        reached = {
            "ratio": aim.ratio is None or statistics.median(self.ratios) >= aim.ratio,
            "time": aim.seconds is None
            or statistics.median(run.seconds for run in self.ours) <= aim.seconds,
            "memory": aim.megabytes is None
            or max(run.peak for run in self.ours) <= aim.megabytes * 1_000_000,
        }
        return [name for name, is_reached in reached.items() if not is_reached]


def run_heat(heat: Heat, rows: Sequence[Row], rounds: int) -> list[Result]:
    """Run the contestants of some rows in turn; the order turns round with each round.

    A busy machine so disturbs all alike. What failed is told in the results of all rows.
    """
    names = list(dict.fromkeys(name for row in rows for name in (row.ours, row.rival)))
    spent: dict[str, list[Spent]] = {name: [] for name in names}
    try:
        contestants = heat.set_up(names)
        for number in range(min(rounds * heat.repeat, heat.most_rounds)):
            heat.before_round()
            for name in names[:: -1 if number % 2 else 1]:
                spent[name].append(contestants[name].run())
        _check_answers(
            {name: each.answer(spent[name][-1].said) for name, each in contestants.items()}
        )
    except (Unavailable, AssertionError) as trouble:
        return [Result(row, trouble=str(trouble)) for row in rows]
    finally:
        heat.tear_down()
    return [Result(row, spent[row.ours], spent[row.rival]) for row in rows]


def _check_answers(answers: Mapping[str, object]) -> None:
    """Whoever did another job, or none, is not measured."""
    first, *others = answers
    for name in others:
        assert answers[name] == answers[first], f"{name} and {first} came to different results"
