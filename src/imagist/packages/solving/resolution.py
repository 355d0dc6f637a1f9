"""What a solved world is: for every platform its packages in order, and why each is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, Literal, Protocol, TypeVar

import msgspec

from imagist.oci.platform import Platform

Kind = Literal["world", "depends", "install_if", "installed", "essential"]


class Offer(Protocol):
    """A package that can be chosen, of any format."""

    @property
    def name(self) -> str:
        """What it is called on one platform, where no other has the name."""
        ...

    @property
    def version(self) -> str:
        """Its version."""
        ...


C_co = TypeVar("C_co", bound=Offer, covariant=True)


class Reason(msgspec.Struct, frozen=True):
    """One requirement that a chosen package answers.

    `kind` says who requires: the `world` (what the declaration lists), the dependencies of
    another package (`depends`), the package's own `install_if`, a base image that holds the
    package already (`installed`), or the wish for what makes a system run (`essential`).
    `requirer` is the name of the requiring package, empty where nothing but the declaration or
    the base image asks. `requirement` is the text as it was written, such as `so:libssl.so.3` or
    `openssl>3@edge`. `triggers` are the packages that an `install_if` found installed.
    """

    kind: Kind
    requirement: str
    requirer: str = ""
    triggers: tuple[str, ...] = ()


class Chosen(msgspec.Struct, Generic[C_co], frozen=True):
    """A package of the solution with every reason for it, the one nearest to the world first."""

    candidate: C_co
    reasons: tuple[Reason, ...]

    @property
    def name(self) -> str:
        """The package's name."""
        return self.candidate.name

    @property
    def version(self) -> str:
        """The package's version."""
        return self.candidate.version

    @property
    def kept(self) -> bool:
        """Whether a base image holds the package already, so that it is not installed again."""
        return any(reason.kind == "installed" for reason in self.reasons)


class Resolution(msgspec.Struct, Generic[C_co], frozen=True):
    """The solution of all platforms: per platform the packages, dependencies before dependants."""

    world: Mapping[Platform, tuple[str, ...]]
    chosen: Mapping[Platform, tuple[Chosen[C_co], ...]]

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """The platforms that were solved, sorted."""
        return tuple(sorted(self.chosen))

    def packages(self, platform: Platform) -> tuple[C_co, ...]:
        """The packages to install, in installation order; those of a base image are left out."""
        return tuple(c.candidate for c in self.chosen[platform] if not c.kept)

    def find(self, platform: Platform, name: str) -> Chosen[C_co] | None:
        """The chosen package of this name, or None."""
        return next((c for c in self.chosen[platform] if c.name == name), None)

    def __iter__(self) -> Iterator[tuple[Platform, Chosen[C_co]]]:
        """Every chosen package of every platform."""
        for platform in self.platforms:
            for chosen in self.chosen[platform]:
                yield platform, chosen
