"""Building W38 and W156: cold, warm, with one package changed, from a lock.

Every contestant has a folder of its own, with its own cache. All build from one copy of the
repository, whose packages are in the page cache. Cold: no cache folder. Warm: the same build ran
before. Changed: the same build ran before one package got a version that nobody has seen. From a
lock: the repository is not there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from benchmarks import ROOT, WORK
from benchmarks.builders import Builder, apko_builders, imagist_builders
from benchmarks.measuring import Aim, Contestant, Heat, Row
from benchmarks.repositories import MovingRepository
from realworld.workload import Name, make_workload

_FLOOR = Aim(ratio=round(1 / 1.5, 2))
_COLD: Mapping[Name, Aim] = {"W38": Aim(), "W156": Aim(ratio=5)}
_WARM: Mapping[Name, Aim] = {"W38": Aim(seconds=0.15), "W156": Aim(ratio=30, seconds=0.15)}
_CHANGED: Mapping[Name, Aim] = {"W38": Aim(), "W156": Aim(ratio=15)}
_PACKAGES: Mapping[Name, Sequence[str]] = {"W38": ("tzdata", "libc6"), "W156": ("tzdata", "git")}
"""A small one and a large one, that no other package needs in exactly this version."""

_WAYS = ("", ", single layer")


class Yard:
    """A workload's repository and its builders, shared by heats and made when first needed."""

    def __init__(self, name: Name) -> None:
        """`name`: of the workload."""
        self.name = name
        self.folder = WORK / name
        self.builders: Mapping[str, Builder] = {
            **imagist_builders(self.folder),
            **apko_builders(self.folder),
        }

    @cached_property
    def repository(self) -> MovingRepository:
        """The copy that all build from."""
        return MovingRepository(make_workload(self.name), self.folder / "source")

    def declare(self, names: Sequence[str]) -> dict[str, Builder]:
        """The builders of these names, with the declaration written."""
        chosen = {name: self.builders[name] for name in names if name in self.builders}
        for builder in chosen.values():
            builder.declare(self.repository.declaration)
        return chosen

    def fill(self, names: Sequence[str]) -> dict[str, Contestant]:
        """Builders that have built the same before."""
        contestants = {name: each.contestant() for name, each in self.declare(names).items()}
        for contestant in contestants.values():
            contestant.run()
        return contestants


class Cold(Heat):
    """Nothing cached."""

    def __init__(self, yard: Yard) -> None:
        """`yard`: where to build."""
        self._yard = yard
        case = f"{yard.name} cold"
        self.rows = (
            *_rows(case, _COLD[yard.name], (*_WAYS, ", by origin")),
            Row(case, "imagist", "floor", _FLOOR),
        )

    def set_up(self, names: Sequence[str]) -> Mapping[str, Contestant]:
        """Read the packages."""
        paths = self._yard.repository.read()
        builders = self._yard.declare(names)
        contestants = {name: each.contestant(cold=True) for name, each in builders.items()}
        if "floor" in names:
            answer = next(iter(contestants.values())).answer
            command = [sys.executable, str(Path(ROOT, "benchmarks", "floor.py")), *paths]
            contestants["floor"] = Contestant(command, self._yard.folder, answer=answer)
        return contestants


class Warm(Heat):
    """The same build ran before."""

    def __init__(self, yard: Yard) -> None:
        """`yard`: where to build."""
        self._yard = yard
        self.rows = _rows(
            f"{yard.name} warm", _WARM[yard.name], (*_WAYS, ", by origin", ", layout")
        )

    def set_up(self, names: Sequence[str]) -> Mapping[str, Contestant]:
        """Build once with each."""
        return self._yard.fill(names)


class Changed(Heat):
    """One package has a new version in each round."""

    def __init__(self, yard: Yard, package: str) -> None:
        """`package`: the one that changes."""
        self._yard = yard
        self._package = package
        case = f"{yard.name}, {package} changed"
        self.rows = _rows(case, _CHANGED[yard.name], quick=package == _PACKAGES[yard.name][0])

    def set_up(self, names: Sequence[str]) -> Mapping[str, Contestant]:
        """Build once with each."""
        return self._yard.fill(names)

    def before_round(self) -> None:
        """Release."""
        self._yard.repository.release(self._package)


class Locked(Heat):
    """From a lock, the packages in the cache, the repository gone."""

    def __init__(self, yard: Yard) -> None:
        """`yard`: where to build."""
        self._yard = yard
        self.rows = _rows(f"{yard.name} lock only", Aim())

    def set_up(self, names: Sequence[str]) -> Mapping[str, Contestant]:
        """Lock, build once, and hide the repository."""
        builders = self._yard.declare(names)
        for builder in builders.values():
            builder.lock()
        contestants = {name: each.contestant(locked=True) for name, each in builders.items()}
        for contestant in contestants.values():
            contestant.run()
        self._yard.repository.hide()
        return contestants

    def tear_down(self) -> None:
        """Give the repository back."""
        self._yard.repository.show()


def list_heats(name: Name) -> Iterator[Heat]:
    """The heats of a workload, in an order that fills caches for the next."""
    yard = Yard(name)
    yield Cold(yard)
    yield Warm(yard)
    for package in _PACKAGES[name]:
        yield Changed(yard, package)
    yield Locked(yard)


def _rows(
    case: str, aim: Aim, ways: Sequence[str] = _WAYS, *, quick: bool = True
) -> tuple[Row, ...]:
    """Rows against apko; the aim is for apko's default, a single layer in an archive."""
    rows = {
        "": Row(case, "imagist", "apko", aim, quick),
        ", single layer": Row(f"{case}, single layer", "imagist single", "apko", aim, quick),
        ", by origin": Row(case, "imagist", "apko by origin", quick=False),
        ", layout": Row(f"{case}, layout", "imagist layout", "apko layout", quick=False),
    }
    return tuple(rows[way] for way in ways)
