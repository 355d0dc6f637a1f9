"""From a declaration to the Debian packages of every platform: by solving, or out of a lock."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from imagist.build.context import Context
from imagist.build.formats.deb.packaging import MERGERS, DebState
from imagist.build.formats.deb.sliced import read_slices
from imagist.build.formats.format import EVERY_REPOSITORY, Pin, Question, Resolved, TrustedKey
from imagist.build.lockfile import LockedPackage
from imagist.build.resolve import check_lock, places_of
from imagist.build.solution import Solution, recall_solution, remember_solution, solution_key
from imagist.build.sources import source_digest
from imagist.build.trace import Note
from imagist.declaration.include import LoadedDeclaration
from imagist.declaration.model import Contents
from imagist.errors import ImagistError, InputError, RequestError
from imagist.net.url import without_userinfo
from imagist.oci.platform import Platform
from imagist.packages.deb.dependency import parse_world
from imagist.packages.deb.fetch import WantedDeb
from imagist.packages.deb.machine import Machine, complete, locate, security_suite
from imagist.packages.deb.openpgp import MAX_KEYRING, Key, Keyring, read_keys
from imagist.packages.deb.relations import qualify
from imagist.packages.deb.releases import LoadedRelease, ReleaseLoader
from imagist.packages.deb.repository import ArchiveLoader, foreign_architectures, want
from imagist.packages.deb.slices import Slice
from imagist.packages.deb.solver.solve import FORMAT, solve
from imagist.packages.deb.sources import Source, parse_sources

_KEYRINGS = ("etc/apt/trusted.gpg.d", "etc/apt/keyrings", "usr/share/keyrings")


class DebResolved(Resolved, frozen=True, kw_only=True):
    """Debian packages, and what is to become of them."""

    contents: Contents
    sources: tuple[Source, ...]
    """Each with an address."""
    slices: Mapping[Platform, tuple[Slice, ...]] = {}

    def packaging(self, platform: Platform) -> DebState:
        """What is declared of the packaging of one platform's image."""
        contents = self.contents
        return DebState(
            platform.deb,
            contents.database or "status.d",
            contents.alternatives,
            contents.pycache,
            contents.scripts or "warn",
            self.slices.get(platform, ()),
            self.world.get(platform, ()),
            not MERGERS.isdisjoint(each.name for each in self.packages[platform]),
        )

    def state(self, platform: Platform) -> DebState:
        """See `Resolved.state`."""
        return self.packaging(platform)

    def pin(self, wanted: WantedDeb) -> Pin:
        """See `Resolved.pin`."""
        checksum, security = f"sha256:{wanted.sha256}", security_suite(wanted.source)
        return Pin(wanted.version, checksum, wanted.path, wanted.source, security)

    def label(self, wanted: WantedDeb, platform: Platform) -> str:
        """See `Resolved.label`: `libc6:i386` on amd64."""
        return qualify(wanted.name, wanted.arch, platform.deb)

    def is_offered(self, platform: Platform, name: str, pin: Pin) -> bool:
        """See `Resolved.is_offered`."""
        universe = self.universes.get(platform)
        return universe is not None and any(
            (candidate.version, f"sha256:{candidate.package.sha256}") == pin[:2]
            for candidate in universe.named(*name.split(":", 1))
        )


def resolve(question: Question, context: Context) -> DebResolved:
    """Decide on the packages of every platform; see `Format.resolve`."""
    contents, options = question.declaration.contents, question.options
    sources = _read_sources(contents, context, question.loaded)
    slices = read_slices(contents.slices, question.platforms, context, question.loaded)
    world = _with_sliced(question.world, slices)
    if options.lock is not None:
        return _from_lock(question, sources, slices)
    alone = _alone(question.world, slices)
    loader = ArchiveLoader(
        context.store,
        context.reader,
        now=time.time(),
        keyrings=_read_keyrings(contents, context, question.loaded),
        ignore_signatures=options.ignore_signatures,
        limit=options.limits.indexes,
    )
    foreign = {
        platform.deb: foreign_architectures(asked, platform.deb)
        for platform, asked in world.items()
    }
    loaded = loader.load(sources, list(foreign), foreign=foreign)
    for warning in loaded.warnings:
        context.report.warn(warning)
    _note_ends(loaded.releases, context)
    universes = {platform: loaded.universes[platform.deb] for platform in question.platforms}
    essential = contents.essential or ("none" if question.installed or alone else "minimal")
    read = [
        (each.source.identity, each.arch, each.component, each.digest) for each in loaded.indexes
    ]
    unneeded = contents.unneeded
    asked = [FORMAT, essential, unneeded, sorted(alone.items()), *read]
    key = solution_key(world, asked, question.installed, options.preferred)
    solution = None if question.reasons else recall_solution(context.store, key, WantedDeb)
    if solution is not None:
        return DebResolved(
            question.world, solution.packages, contents=contents, sources=sources, slices=slices
        )
    resolution = solve(
        world,
        universes,
        essential=essential,
        installed=question.installed,
        locked=dict.fromkeys(question.platforms, options.preferred),
        unneeded=unneeded,
        alone=alone,
        places={**places_of(question.loaded, "unneeded"), **places_of(question.loaded)},
    )
    packages = {
        platform: tuple(map(want, resolution.packages(platform)))
        for platform in question.platforms
    }
    remember_solution(context.store, key, Solution(packages, {}))
    return DebResolved(
        question.world,
        packages,
        resolution,
        universes,
        contents=contents,
        sources=sources,
        slices=slices,
    )


def _read_sources(
    contents: Contents, context: Context, loaded: LoadedDeclaration | None = None
) -> tuple[Source, ...]:
    """The sources that are declared, those without an address with that of this machine's apt."""
    declared = [
        replace(source, where=(loaded and loaded.span_of(f"contents.{key}[{number}]")) or "")
        for key in ("build_repositories", "repositories")
        for number, line in enumerate(getattr(contents, key))
        for source in parse_sources(line)
    ]
    machine = Machine()
    if any(not source.uri for source in declared):
        for path in ("etc/apt/sources.list", "etc/apt/sources.list.d", "etc/os-release"):
            _note_machine(machine.root / path, context)
    found = complete(declared, machine, with_keys=not contents.keyring)
    return tuple(_without_secret(source, context) for source in found)


def _without_secret(source: Source, context: Context) -> Source:
    """A source whose user and password are used, and seen no more."""
    if not source.is_remote or without_userinfo(source.uri) == source.uri:
        return source
    return replace(source, uri=context.reader.learn(source.uri))


def list_keys(contents: Contents, context: Context) -> list[TrustedKey]:
    """Whose signatures are believed, and of which sources.

    Raises:
        ImagistError: a keyring is not there, or holds no keys.
    """
    sources = _read_sources(contents, context)
    releases = ReleaseLoader(
        context.reader, now=time.time(), keyrings=_read_keyrings(contents, context)
    )
    trusted: dict[Key, list[str]] = {}
    for source in sources:
        for key in read_keys(releases.keyrings(source)):
            trusted.setdefault(key, []).append(str(source))
    return [
        TrustedKey(
            f"{key.fingerprint} ({key.owner})",
            EVERY_REPOSITORY if len(found) == len(sources) else ", ".join(found),
            key.armored,
        )
        for key, found in trusted.items()
    ]


def _read_keyrings(
    contents: Contents, context: Context, loaded: LoadedDeclaration | None = None
) -> list[Keyring]:
    """The declared keys; where there are none, the machine's own will do."""
    if not contents.keyring:
        for folder in _KEYRINGS:
            _note_machine(Path("/", folder), context)
    found = []
    for number, location in enumerate(contents.keyring):
        try:
            data = context.reader.read(location, limit=MAX_KEYRING)
        except ImagistError as error:
            where = loaded.span_of(f"contents.keyring[{number}]") if loaded else None
            raise error.placed(where) from None
        found.append(Keyring(location, data or b""))
    return found


def _note_ends(releases: Sequence[LoadedRelease], context: Context) -> None:
    """A build that is answered from memory must not outlive what it believed."""
    if any(each.signers for each in releases):  # keys may expire
        context.trace.note(Note("day", context.today, ""))
    for each in releases:
        if each.end is not None:
            context.trace.note(Note("until", str(each.end), ""))


def _note_machine(path: Path, context: Context) -> None:
    """A build that is answered from memory must see what apt is told otherwise."""
    context.trace.note(Note("source", str(path), source_digest(str(path))))


def _with_sliced(
    world: Mapping[Platform, tuple[str, ...]], slices: Mapping[Platform, Sequence[Slice]]
) -> dict[Platform, tuple[str, ...]]:
    """The world with the packages that slices are of."""
    return {
        platform: tuple(
            dict.fromkeys((*asked, *(each.package for each in slices.get(platform, ()))))
        )
        for platform, asked in world.items()
    }


def _alone(
    world: Mapping[Platform, tuple[str, ...]], slices: Mapping[Platform, Sequence[Slice]]
) -> dict[Platform, list[str]]:
    """Packages that are there for their slices alone: slices say themselves what they need."""
    found = {}
    for platform, cut in slices.items():
        asked = {
            relation.name
            for each in parse_world(world[platform], platform.deb)
            for relation in each.clause.relations
        }
        found[platform] = sorted({each.package for each in cut} - asked)
    return {platform: names for platform, names in found.items() if names}


def _from_lock(
    question: Question,
    sources: tuple[Source, ...],
    slices: Mapping[Platform, tuple[Slice, ...]],
) -> DebResolved:
    options = question.options
    lock, name = options.lock, options.lock_name
    assert lock is not None  # noqa: S101 - the caller has looked
    check_lock(question.loaded, lock, name)
    packages = {
        platform: tuple(_locked(each, sources, name) for each in lock.packages_for(platform))
        for platform in question.platforms
    }
    return DebResolved(
        question.world,
        packages,
        contents=question.declaration.contents,
        sources=sources,
        slices=slices,
    )


def _locked(package: LockedPackage, sources: Sequence[Source], name: str) -> WantedDeb:
    if not package.source:
        raise InputError(
            f"{package.name} of the lock is no Debian package", where=name, help="lock again"
        )
    try:
        url = locate(sources, package.source, package.url)
    except RequestError as error:
        raise error.placed(name) from None
    return WantedDeb(
        package.name,
        package.version,
        package.debian_architecture,
        package.checksum.removeprefix("sha256:"),
        url,
        package.size,
        package.layer.digest if package.layer else "",
        package.source,
        package.url,
    )
