"""All packages that can be chosen for one architecture: several repositories as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from imagist.packages.apk.dependency import parse_provide
from imagist.packages.apk.index import Candidate, Package


class PackageSource(Protocol):
    """Packages found by name, such as `table.IndexTable`; the same package is the same object."""

    def __len__(self) -> int: ...
    def providers(self, name: str) -> Sequence[Package]:
        """Packages that have this name or provide it."""
        ...

    def names(self) -> Sequence[str]:
        """All names that `providers` finds something for."""
        ...

    def install_if(self) -> Sequence[Package]:
        """Packages that have install_if."""
        ...

    def install_if_on(self, name: str) -> Sequence[Package]:
        """Packages whose install_if asks for this name."""
        ...


class Repository(msgspec.Struct, frozen=True):
    """One repository for one architecture."""

    packages: PackageSource
    url: str
    """The folder that holds the index and the packages, without `/` at its end."""
    tag: str = ""
    """As in `@tag`, without `@`; packages of a tagged repository are chosen only for their tag."""


class Universe:
    """The candidates of one architecture, by name, in the order of their repositories.

    The same package of a repository is always the same `Candidate`, however it was found.
    """

    def __init__(self, repositories: Iterable[Repository]) -> None:
        self.repositories = tuple(repositories)
        self._candidates: dict[tuple[int, int], Candidate] = {}
        self._providers: dict[str, tuple[Candidate, ...]] = {}

    @classmethod
    def of(cls, *repositories: Iterable[Package]) -> Universe:
        """A universe of packages at hand, each argument an untagged repository."""
        sources = (Repository(PackageList(packages), "") for packages in repositories)
        return cls(sources)

    def __len__(self) -> int:
        return sum(len(repository.packages) for repository in self.repositories)

    def providers(self, name: str) -> Sequence[Candidate]:
        """All that have this name or provide it, of whatever version and tag."""
        found = self._providers.get(name)
        if found is None:
            found = tuple(
                self._offer(place, package)
                for place, repository in enumerate(self.repositories)
                for package in repository.packages.providers(name)
            )
            self._providers[name] = found
        return found

    def named(self, name: str) -> Sequence[Candidate]:
        """All whose own name this is."""
        return [found for found in self.providers(name) if found.package.name == name]

    def names(self) -> list[str]:
        """All names that `providers` finds something for, sorted."""
        return sorted({name for each in self.repositories for name in each.packages.names()})

    def install_if(self) -> Sequence[Candidate]:
        """All that install themselves when others are there."""
        return [
            self._offer(place, package)
            for place, repository in enumerate(self.repositories)
            for package in repository.packages.install_if()
        ]

    def install_if_on(self, name: str) -> Sequence[Candidate]:
        """Those of `install_if` that wait for this name, among others."""
        return [
            self._offer(place, package)
            for place, repository in enumerate(self.repositories)
            for package in repository.packages.install_if_on(name)
        ]

    def _offer(self, place: int, package: Package) -> Candidate:
        key = (place, id(package))
        known = self._candidates.get(key)
        if known is None:
            repository = self.repositories[place]
            url = f"{repository.url}/{package.file_name}" if repository.url else package.file_name
            known = Candidate(package, place, repository.tag, url)
            self._candidates[key] = known
        return known


class PackageList:
    """A `PackageSource` over packages in memory."""

    def __init__(self, packages: Iterable[Package]) -> None:
        self._packages = tuple(packages)
        self._offered: dict[str, dict[int, Package]] = {}
        self._awaited: dict[str, dict[int, Package]] = {}
        for place, package in enumerate(self._packages):
            for offered in (
                package.name,
                *(parse_provide(each).name for each in package.provides),
            ):
                self._offered.setdefault(offered, {})[place] = package
            for awaited in package.install_if:
                self._awaited.setdefault(parse_provide(awaited).name, {})[place] = package

    def __len__(self) -> int:
        return len(self._packages)

    def providers(self, name: str) -> Sequence[Package]:
        """Packages that have this name or provide it."""
        return tuple(self._offered.get(name, {}).values())

    def names(self) -> Sequence[str]:
        """All names that `providers` finds something for."""
        return sorted(self._offered)

    def install_if(self) -> Sequence[Package]:
        """Packages that have install_if."""
        return [package for package in self._packages if package.install_if]

    def install_if_on(self, name: str) -> Sequence[Package]:
        """Packages whose install_if asks for this name."""
        return tuple(self._awaited.get(name, {}).values())
