"""Loading archives: several suites, components and architectures at once, as one universe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from imagist.errors import ImagistError, NotFound, Span, raise_together
from imagist.packages.deb.dependency import ANY, parse_world
from imagist.packages.deb.fetch import WantedDeb
from imagist.packages.deb.index import ALL, MAX_INDEX
from imagist.packages.deb.indexes import IndexLoader, LoadedIndex
from imagist.packages.deb.openpgp import Keyring
from imagist.packages.deb.releases import LoadedRelease, ReleaseLoader
from imagist.packages.deb.sources import Source
from imagist.packages.deb.universe import Candidate, Pin, Repository, Universe
from imagist.packages.reading import Reader
from imagist.store.store import Store

_CONNECTIONS: Final = 8
A = TypeVar("A")
T = TypeVar("T")


class Loaded(msgspec.Struct, frozen=True):
    """Everything that is on offer."""

    universes: dict[str, Universe]
    """By Debian architecture."""
    releases: tuple[LoadedRelease, ...]
    indexes: tuple[LoadedIndex, ...]
    warnings: tuple[str, ...]


class ArchiveLoader:
    """Loads archives through a store that remembers which indexes were parsed before."""

    def __init__(
        self,
        store: Store,
        reader: Reader,
        *,
        now: float,
        keyrings: Sequence[Keyring] = (),
        root: Path = Path("/"),
        ignore_signatures: bool = False,
        limit: int = MAX_INDEX,
    ) -> None:
        """Nothing is read yet.

        Args:
            store: keeps what was fetched and made.
            reader: fetches.
            now: seconds since 1970, for releases that end.
            keyrings: declared keys, trusted for sources that do not name their own with
                `signed-by`; without any, the machine's own.
            root: the folder that has the machine's own keyrings.
            ignore_signatures: take releases unsigned.
            limit: bytes of an uncompressed index.
        """
        self._releases = ReleaseLoader(
            reader, now=now, keyrings=keyrings, root=root, ignore_signatures=ignore_signatures
        )
        self._indexes = IndexLoader(store, reader, limit=limit)

    def load(
        self,
        sources: Sequence[Source],
        architectures: Sequence[str],
        *,
        pins: Iterable[Pin] = (),
        foreign: Mapping[str, Sequence[str]] | None = None,
    ) -> Loaded:
        """Load all indexes of all sources, several at once.

        Args:
            sources: each with an address, see `sources.complete`.
            architectures: Debian names.
            pins: wishes as to priorities.
            foreign: by architecture, others whose packages may be chosen beside its own.

        Raises:
            ImagistError: releases and indexes that cannot be had or trusted; all of them at once.
        """
        others = {each for more in (foreign or {}).values() for each in more}
        wanted = list(dict.fromkeys((*architectures, *sorted(others))))
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            load = _catching(self._releases.load, lambda source: source.where)
            releases = _together(pool.map(load, sources))
            asked = [
                (loaded, component, arch)
                for loaded in releases
                for component in loaded.source.components or ("",)
                for arch in _indexes_of(loaded, wanted)
            ]
            load_index = _catching(self._load_index, lambda item: item[0].source.where)
            indexes = _together(pool.map(load_index, asked))
        served = {index.arch for index in indexes if not index.source.is_flat} - {ALL}
        universes = {
            arch: Universe(
                arch,
                _repositories(indexes, {arch, ALL, *(foreign or {}).get(arch, ())}),
                pins=pins,
                foreign=(foreign or {}).get(arch, ()),
            )
            for arch in architectures
        }
        missing = [arch for arch in wanted if arch not in served]
        if missing and not any(index.source.is_flat for index in indexes):
            raise NotFound(
                f"no source has packages for {', '.join(missing)}",
                help="name only architectures that the sources have",
            )
        warnings = tuple(each.warning for each in releases if each.warning)
        return Loaded(universes, tuple(releases), tuple(indexes), warnings)

    def _load_index(self, item: tuple[LoadedRelease, str, str]) -> LoadedIndex:
        return self._indexes.load(*item)


def want(candidate: Candidate) -> WantedDeb:
    """What to fetch for a chosen package."""
    package = candidate.package
    return WantedDeb(
        package.name,
        package.version,
        package.architecture,
        package.sha256,
        candidate.url,
        package.size,
        source=candidate.source,
        path=package.filename.removeprefix("./"),
    )


def foreign_architectures(world: Iterable[str], native: str) -> tuple[str, ...]:
    """The architectures that entries of a world name, beside the machine's own: `libc6:i386`."""
    found = {
        relation.arch
        for entry in parse_world(list(world), native)
        for relation in entry.clause.relations
    }
    return tuple(sorted(found - {"", ANY, ALL, native}))


def _indexes_of(loaded: LoadedRelease, wanted: Sequence[str]) -> Iterator[str]:
    """The architectures of a source to load: of those wanted what it is asked for and has."""
    source, release = loaded.source, loaded.release
    if source.is_flat:
        yield ALL
        return
    for arch in wanted:
        if source.architectures and arch not in source.architectures:
            continue
        if not release.architectures or arch in release.architectures:
            yield arch
    if release.splits_all:
        yield ALL


def _repositories(indexes: Iterable[LoadedIndex], architectures: set[str]) -> list[Repository]:
    return [
        Repository(each.table, each.suite, each.source.address, each.source.identity)
        for each in indexes
        if each.arch in architectures
    ]


def _catching(
    work: Callable[[A], T], place: Callable[[A], Span | str]
) -> Callable[[A], T | ImagistError]:
    """The same work, which gives its error, where the item is declared, instead of raising it."""

    def attempt(item: A) -> T | ImagistError:
        try:
            return work(item)
        except ImagistError as error:
            return error.placed(place(item))

    return attempt


def _together(results: Iterable[T | ImagistError]) -> list[T]:
    """Results in their order; errors are raised together."""
    found: list[T] = []
    errors: list[ImagistError] = []
    for result in results:
        if isinstance(result, ImagistError):
            errors.append(result)
        else:
            found.append(result)
    raise_together(errors)
    return found
