"""Versions pinned by hand in a requirements.txt, beside the file that says what is required.

They are constraints for whoever locks, and not mere preferences: both files are the team's word,
so both hold as long as they are there, and where they contradict each other somebody must know.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from imagist.errors import Problem, Span
from imagist.packages.wheel.lock.model import normalize
from imagist.packages.wheel.lock.reading import read_regular
from imagist.packages.wheel.lock.requirements import PINNED, parse_requirement, read_required

PINS: Final = "requirements.txt"


class Pin(msgspec.Struct, frozen=True):
    """A package, and the version that it shall have."""

    name: str
    """Normalised."""
    version: str
    marker: str
    """Where it holds (PEP 508); empty: everywhere."""
    where: Span

    def __str__(self) -> str:
        return f"{self.name}=={self.version}" + (f" ; {self.marker}" if self.marker else "")


def read_pins(folder: Path, source: str) -> tuple[Pin, ...]:
    """The pins of a project whose requirements are in another file; none where there are none.

    Raises:
        NotFound: the file names another one, which is not there.
        InputError: it is no regular file.
        RequestError: it is not UTF-8.
    """
    file = folder / PINS
    if source == PINS or not file.exists():
        return ()
    pins: list[Pin] = []
    for text, where in read_required(lambda path: read_regular(Path(path)), str(file)):
        requirement = parse_requirement(text)
        pinned = PINNED.fullmatch(str(requirement.specifier)) if requirement else None
        if requirement and pinned:
            name, marker = normalize(requirement.name), str(requirement.marker or "")
            pins.append(Pin(name, pinned[1], marker, where))
    return tuple(pins)


def find_contradictions(
    pins: Iterable[Pin], requirements: Iterable[str], source: str
) -> list[Problem]:
    """Pins that a requirement excludes; whether two markers can both hold, the resolver knows."""
    problems: list[Problem] = []
    asked = [each for each in map(parse_requirement, requirements) if each and not each.marker]
    for pin in pins:
        for requirement in asked:
            if (
                normalize(requirement.name) == pin.name
                and not pin.marker
                and not requirement.specifier.contains(pin.version, prereleases=True)
            ):
                problems.append(
                    Problem(
                        f"{PINS} pins `{pin}`, but {source} requires `{requirement}`",
                        pin.where,
                        "change one of them, or remove the pin",
                    )
                )
    return problems


def find_unneeded(pins: Iterable[Pin], locked: Collection[str]) -> list[str]:
    """Names that are pinned, but that nothing requires."""
    return sorted({pin.name for pin in pins} - set(locked))


def refuse_moves(pins: Sequence[Pin], update: Iterable[str]) -> list[Problem]:
    """What is wrong with asking for newer versions of packages that are pinned."""
    pinned = {pin.name: pin for pin in pins}
    return [
        Problem(
            f"`{name}` cannot be updated: {PINS} pins `{pinned[normalize(name)]}`",
            pinned[normalize(name)].where,
            "write the version there that it shall have, or remove the pin",
        )
        for name in update
        if normalize(name) in pinned
    ]
