"""Memory: an image far larger than what a build may hold of it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence

from benchmarks import WORK
from benchmarks.builders import Builder, apko_builders, imagist_builders
from benchmarks.measuring import Aim, Contestant, Heat, Row
from benchmarks.repositories import make_heavy_repository

_AIM = Aim(megabytes=150)


class Memory(Heat):
    """A cold build of packages that nothing compresses, one of them larger than the others."""

    most_rounds = 1  # peaks hardly vary, and apko writes four times the image

    def __init__(self, large: int, small: int, count: int) -> None:
        """Megabytes of the packages, and how many small ones there are."""
        self._sizes = (large, small, count)
        case = f"{(large + small * count) / 1000:.1f} GB image, cold"
        self.rows = (
            Row(case, "imagist", "apko", _AIM),
            Row(f"{case}, single layer", "imagist single", "apko", _AIM),
        )
        self._folder = WORK / "memory"

    def set_up(self, names: Sequence[str]) -> Mapping[str, Contestant]:
        """Make the packages where they are absent."""
        declaration = make_heavy_repository(*self._sizes).read_text()
        builders: dict[str, Builder] = {
            **imagist_builders(self._folder),
            **apko_builders(self._folder),
        }
        for name in names:
            builders[name].declare(declaration)
        return {name: builders[name].contestant(cold=True) for name in names}

    def tear_down(self) -> None:
        """Give back ten times the image's size of disk."""
        shutil.rmtree(self._folder, ignore_errors=True)
