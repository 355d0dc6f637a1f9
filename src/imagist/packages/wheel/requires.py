"""Whether what is installed has what it requires; a lock made by hand may lack something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from imagist.packages.wheel.facts import WheelFacts
from imagist.packages.wheel.lock.model import normalize
from imagist.packages.wheel.lock.requirements import parse_requirement


def check_requires(wheels: Sequence[WheelFacts], environment: Mapping[str, str]) -> list[str]:
    """Warnings of distributions that are required and not there, each once.

    Versions are not compared: whoever locked may know better than a package's metadata. Nor are
    extras, of which the environment does not tell who asked for them.

    Args:
        wheels: all of an environment.
        environment: the variables of markers (PEP 508).
    """
    present = {normalize(wheel.name) for wheel in wheels}
    found: dict[str, str] = {}
    for wheel in wheels:
        for text in wheel.requires:
            requirement = parse_requirement(text)
            if requirement is None:
                continue  # old metadata, which pip passes over as well
            marker = requirement.marker
            if normalize(requirement.name) in present or (
                marker is not None and not marker.evaluate({**environment, "extra": ""})
            ):
                continue
            said = f"{wheel} requires `{requirement.name}`, which the lock does not bring"
            found.setdefault(requirement.name, said)
    return list(found.values())
