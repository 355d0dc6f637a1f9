"""Wheels that tests make, opened and installed as a build does it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fixtures.wheelmaker import Made
from imagist.packages.wheel.archive import WheelArchive
from imagist.packages.wheel.facts import WheelFacts, facts_of
from imagist.packages.wheel.install import InstalledWheel, Origin, install_wheel
from imagist.packages.wheel.venv import Venv

VENV = Venv()
SITE = "opt/venv/lib/python3.12/site-packages"


@contextmanager
def opened(place: Path) -> Iterator[WheelArchive]:
    """A wheel of a folder."""
    with place.open("rb") as stream:
        yield WheelArchive(stream, place.name)


def install(
    made: Made, folder: Path, origin: Origin | None = None, venv: Venv = VENV
) -> tuple[InstalledWheel, dict[str, bytes]]:
    """A wheel as it is installed, with the content of every file."""
    with opened(made.write(folder)) as wheel:
        installed = install_wheel(wheel, venv, origin)
        return installed, contents_of(installed, wheel)


def contents_of(installed: InstalledWheel, wheel: WheelArchive) -> dict[str, bytes]:
    """The content of every installed file."""
    return {
        file.path: wheel.read(file.member) if file.member else file.data
        for file in installed.files
    }


def facts(made: Made, folder: Path) -> WheelFacts:
    """What is remembered of a wheel, ELF files included."""
    with opened(made.write(folder)) as wheel:
        installed = install_wheel(wheel, VENV)
        contents_of(installed, wheel)
        return facts_of(installed, wheel.objects, wheel.requires, wheel.lookups)
