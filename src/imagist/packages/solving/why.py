"""Why a package was chosen: the chains from the world to it, and what was passed over for it.

Formats say themselves what spoke against another package; the chains are alike in all of them.
"""

from __future__ import annotations

from typing import Final, Generic

import msgspec

from imagist.oci.platform import Platform
from imagist.packages.solving.resolution import C_co, Chosen, Offer, Reason, Resolution

_MOST_CHAINS: Final = 5


class Link(msgspec.Struct, frozen=True):
    """One step of a chain: a package, and the requirement that it answers."""

    name: str
    version: str
    reason: Reason

    def __str__(self) -> str:
        match self.reason.kind:
            case "world":
                return (
                    f"the world asks for `{self.reason.requirement}`: {self.name}-{self.version}"
                )
            case "depends":
                needs = f"{self.reason.requirer} needs `{self.reason.requirement}`"
                return f"{needs}: {self.name}-{self.version}"
            case "install_if":
                return f"{self.name}-{self.version} comes with {self.reason.requirement}"
            case "essential":
                return f"{self.name}-{self.version} belongs to what makes a system run"
            case "installed":
                return f"the base image holds {self.name}-{self.version}"


class Alternative(msgspec.Struct, frozen=True):
    """A package that could have been chosen instead, and what spoke against it."""

    name: str
    version: str
    because: str


class Why(msgspec.Struct, Generic[C_co], frozen=True):
    """Everything that speaks for a chosen package."""

    chosen: Chosen[C_co]
    chains: tuple[tuple[Link, ...], ...]
    """From the world to the package, the shortest first; one for each reason, five at most."""
    alternatives: tuple[Alternative, ...]
    """Best first; empty where no universe was given."""


def find_chains(
    resolution: Resolution[Offer], platform: Platform, chosen: Chosen[Offer]
) -> tuple[tuple[Link, ...], ...]:
    """The chains for each reason of a chosen package, the shortest first; five at most."""
    chains = (_chain(resolution, platform, chosen, reason) for reason in chosen.reasons)
    return tuple(sorted(chains, key=len)[:_MOST_CHAINS])


def _chain(
    resolution: Resolution[Offer], platform: Platform, chosen: Chosen[Offer], reason: Reason
) -> tuple[Link, ...]:
    """From the world to a package. First reasons lead nearer to the world, so this ends."""
    links = [Link(chosen.name, chosen.version, reason)]
    while reason.kind == "depends":
        requirer = resolution.find(platform, reason.requirer)
        if requirer is None or len(links) > len(resolution.chosen[platform]):
            break
        reason = requirer.reasons[0]
        links.append(Link(requirer.name, requirer.version, reason))
    return tuple(reversed(links))
