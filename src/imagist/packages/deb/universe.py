"""All packages that can be chosen for one platform: several indexes as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Protocol
from urllib.parse import quote

import msgspec

from imagist.net.url import is_remote
from imagist.packages.deb.index import Package
from imagist.packages.deb.relations import architecture_of
from imagist.packages.deb.version import sort_key

_Identity = tuple[str, str, str, str]
"""Name, architecture, version and SHA-256 of a package."""
_Copies = dict[_Identity, list[tuple[int, Package]]]
"""The same package in several indexes, by the place of each."""
INSTALLED = -1
"""The place of what a base image holds, where others have the place of their index."""
DEFAULT_PRIORITY = 500


class PackageSource(Protocol):
    """Packages found by name, such as `table.IndexTable`; the same package is the same object."""

    def __len__(self) -> int: ...
    def providers(self, name: str) -> Sequence[Package]:
        """Packages that have this name or provide it."""
        ...

    def names(self) -> Sequence[str]:
        """All names that `providers` finds something for."""
        ...

    def waiting(self) -> Sequence[Package]:
        """Packages that are essential."""
        ...


class Suite(msgspec.Struct, frozen=True):
    """What a release says of itself, as far as choosing between packages goes."""

    suite: str = ""
    codename: str = ""
    origin: str = ""
    label: str = ""
    version: str = ""
    component: str = ""
    host: str = ""
    """Where it came from: a host's name, or empty for a folder."""
    not_automatic: bool = False
    but_automatic_upgrades: bool = False

    @property
    def priority(self) -> int:
        """What apt gives to its packages where nobody says otherwise (apt_preferences(5))."""
        if not self.not_automatic:
            return DEFAULT_PRIORITY
        return 100 if self.but_automatic_upgrades else 1

    @property
    def names(self) -> tuple[str, str]:
        """What it can be called by."""
        return self.suite, self.codename

    def __str__(self) -> str:
        return f"{self.codename or self.suite}/{self.component}".rstrip("/")


class Pin(msgspec.Struct, frozen=True):
    """A wish as to priorities (apt_preferences(5)); empty fields match everything."""

    priority: int
    packages: tuple[str, ...] = ("*",)
    """Names, in which `*` and `?` stand for others."""
    version: str = ""
    suite: str = ""
    """A suite or a codename."""
    component: str = ""
    origin: str = ""
    label: str = ""
    host: str = ""

    def matches(self, package: Package, suite: Suite) -> bool:
        """Whether it says something of a package in a suite."""
        fields = (
            (self.version, package.version),
            (self.component, suite.component),
            (self.origin, suite.origin),
            (self.label, suite.label),
            (self.host, suite.host),
        )
        return (
            any(fnmatchcase(package.name, pattern) for pattern in self.packages)
            and (not self.suite or any(fnmatchcase(n, self.suite) for n in suite.names if n))
            and all(fnmatchcase(value, pattern) for pattern, value in fields if pattern)
        )

    @property
    def is_general(self) -> bool:
        """Whether it speaks of all packages, so that those that name some go before it."""
        return self.packages == ("*",)


class Repository(msgspec.Struct, frozen=True):
    """One index: a component of a suite for one architecture."""

    packages: PackageSource
    suite: Suite = Suite()
    url: str = ""
    """The folder that file names in the index are relative to, without `/` at its end."""
    source: str = ""
    """What a lock calls the archive and its suite: `Source.identity`."""


class Candidate(msgspec.Struct, frozen=True, eq=False):
    """A package in the index that offers it; the same one is always the same object."""

    package: Package
    repository: int
    """Place of its index, 0 first; `INSTALLED` for what a base image holds."""
    priority: int = DEFAULT_PRIORITY
    suite: Suite = Suite()
    url: str = ""
    """Location of the .deb."""
    source: str = ""
    """What a lock calls where it comes from; `package.filename` is its place there."""
    foreign: str = ""
    """Its architecture, where that is not the machine's."""

    def __str__(self) -> str:
        return f"{self.name}-{self.version}"

    @property
    def name(self) -> str:
        """The package's name, with `:ARCH` behind it where that is not the machine's."""
        name = self.package.name
        return f"{name}:{self.foreign}" if self.foreign else name

    @property
    def version(self) -> str:
        """The package's version."""
        return self.package.version

    def is_from(self, suite: str) -> bool:
        """Whether it is in a suite of this name, or held; all are where the name is empty."""
        return not suite or self.held or suite in self.suite.names

    @property
    def held(self) -> bool:
        """Whether a base image holds it."""
        return self.repository == INSTALLED


class Universe:
    """The candidates of one platform by name, in the order in which apt would take them.

    The same package is always the same `Candidate`, however it was found.
    """

    def __init__(
        self,
        native: str,
        repositories: Iterable[Repository],
        *,
        pins: Iterable[Pin] = (),
        foreign: Iterable[str] = (),
    ) -> None:
        """Nothing is read yet.

        Args:
            native: the machine's Debian architecture.
            repositories: the indexes, in the order of the declaration.
            pins: wishes as to priorities, the first that matches decides; those that name
                packages go before those that do not.
            foreign: other architectures whose packages may be chosen.
        """
        self.native = native
        self.foreign = tuple(foreign)
        self.repositories = tuple(repositories)
        self._pins = sorted(pins, key=lambda pin: pin.is_general)
        self._providers: dict[str, tuple[Candidate, ...]] = {}
        self._named: dict[tuple[str, str], tuple[Candidate, ...]] = {}
        self._candidates: dict[_Identity, Candidate] = {}
        self._copies: dict[str, _Copies] = {}

    @classmethod
    def of(cls, *packages: Iterable[Package], native: str = "amd64") -> Universe:
        """A universe of packages at hand, each argument an index."""
        return cls(native, [Repository(PackageList(each)) for each in packages])

    def __len__(self) -> int:
        return sum(len(repository.packages) for repository in self.repositories)

    def providers(self, name: str) -> Sequence[Candidate]:
        """All that have this name or provide it, in the order of their indexes."""
        found = self._providers.get(name)
        if found is None:
            offered = {
                id(candidate): candidate
                for repository in self.repositories
                for package in repository.packages.providers(name)
                if (candidate := self._offer(package)) is not None
            }
            found = self._providers[name] = tuple(offered.values())
        return found

    def named(self, name: str, architecture: str = "") -> Sequence[Candidate]:
        """All whose own name this is, best first: by priority, then by version.

        Args:
            name: a package's name.
            architecture: the machine's own where empty.
        """
        arch = architecture or self.native
        found = self._named.get((name, arch))
        if found is None:
            own = [
                candidate
                for candidate in self.providers(name)
                if candidate.package.name == name
                and architecture_of(candidate.package, self.native) == arch
            ]
            own.sort(key=lambda candidate: sort_key(candidate.version), reverse=True)
            own.sort(key=lambda candidate: -candidate.priority)
            found = self._named[name, arch] = tuple(own)
        return found

    def names(self) -> list[str]:
        """All names that `providers` finds something for, sorted."""
        return sorted({name for each in self.repositories for name in each.packages.names()})

    def essential(self) -> list[str]:
        """The names of all packages of the machine's architecture that are essential, sorted."""
        return sorted(
            {
                package.name
                for repository in self.repositories
                for package in repository.packages.waiting()
                if package.essential and architecture_of(package, self.native) == self.native
            }
        )

    def _offer(self, package: Package) -> Candidate | None:
        """A package as a candidate; None for architectures that nobody asks for.

        What several indexes have is one candidate: with the highest of the priorities, and from
        the first of the indexes.
        """
        arch = architecture_of(package, self.native)
        if arch != self.native and arch not in self.foreign:
            return None
        key = (package.name, package.architecture, package.version, package.sha256)
        known = self._candidates.get(key)
        if known is not None:
            return known
        offers = [
            (other, self._priority(found, self.repositories[other].suite))
            for other, found in self._find_copies(package.name)[key]
        ]
        priority = max(priority for _, priority in offers)
        first = next(other for other, given in offers if given == priority)
        repository = self.repositories[first]
        url = place_below(repository.url, package.filename)
        foreign = "" if arch == self.native else arch
        candidate = Candidate(
            package, first, priority, repository.suite, url, repository.source, foreign
        )
        return self._candidates.setdefault(key, candidate)

    def _find_copies(self, name: str) -> _Copies:
        """All packages of a name, those that several indexes have together."""
        found = self._copies.get(name)
        if found is None:
            found = self._copies[name] = {}
            for place, repository in enumerate(self.repositories):
                for each in repository.packages.providers(name):
                    key = (each.name, each.architecture, each.version, each.sha256)
                    found.setdefault(key, []).append((place, each))
        return found

    def _priority(self, package: Package, suite: Suite) -> int:
        for pin in self._pins:
            if pin.matches(package, suite):
                return pin.priority
        return suite.priority


def place_below(archive: str, filename: str) -> str:
    """Where a file of an archive is, by its `Filename`, which is no URL but may be quoted."""
    path = filename.removeprefix("./")
    if is_remote(archive):
        path = quote(path, safe="/%:~+!$&'()*,;=@")
    return f"{archive}/{path}" if archive else path


class PackageList:
    """A `PackageSource` over packages in memory."""

    def __init__(self, packages: Iterable[Package]) -> None:
        self._packages = tuple(packages)
        self._offered: dict[str, dict[int, Package]] = {}
        for place, package in enumerate(self._packages):
            for name in (package.name, *(offer.name for offer in package.offers)):
                self._offered.setdefault(name, {})[place] = package

    def __len__(self) -> int:
        return len(self._packages)

    def providers(self, name: str) -> Sequence[Package]:
        """Packages that have this name or provide it."""
        return tuple(self._offered.get(name, {}).values())

    def names(self) -> Sequence[str]:
        """All names that `providers` finds something for."""
        return sorted(self._offered)

    def waiting(self) -> Sequence[Package]:
        """Packages that are essential."""
        return [package for package in self._packages if package.essential]
