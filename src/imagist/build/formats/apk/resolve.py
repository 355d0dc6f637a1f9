"""From a declaration to the APK packages of every platform: by solving, or out of a lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from imagist.build.context import Context, Options
from imagist.build.formats.apk.packaging import ApkState
from imagist.build.formats.format import Pin, Question, Resolved
from imagist.build.lockfile import Lock, LockedPackage
from imagist.build.lockproblems import folder_of
from imagist.build.resolve import check_lock, places_of
from imagist.build.solution import Solution, recall_solution, remember_solution, solution_key
from imagist.build.trace import Note
from imagist.declaration.model import Declaration
from imagist.errors import InputError, Problem, RequestError
from imagist.net.url import without_userinfo
from imagist.oci.platform import Platform
from imagist.packages.apk.dependency import parse_dependency
from imagist.packages.apk.fetch import Wanted
from imagist.packages.apk.index import Candidate
from imagist.packages.apk.keys import (
    TrustedKeys,
    discover_keys,
    load_keyring,
    load_known_key,
)
from imagist.packages.apk.location import Location, parse_location
from imagist.packages.apk.repository import IndexLoader
from imagist.packages.apk.signature import Key


class ApkResolved(Resolved, frozen=True, kw_only=True):
    """APK packages, and whom to trust for them."""

    repositories: tuple[str, ...]
    """Lines for /etc/apk/repositories."""
    keys: TrustedKeys
    tags: Mapping[str, str] = {}
    """Tag of the repository by name of the package that was taken from one."""

    def state(self, platform: Platform) -> ApkState:
        """What apk finds under /etc/apk of one platform's image.

        Raises:
            InputError: see `TrustedKeys.all`.
        """
        names = {package.name for package in self.packages[platform]}
        return ApkState(
            platform.apk,
            tuple(dict.fromkeys(self.world[platform])),
            self.repositories,
            {name: key.pem for name, key in self.keys.all().items()},
            {name: tag for name, tag in self.tags.items() if name in names},
        )

    def pin(self, wanted: Any) -> Pin:
        """See `Resolved.pin`."""
        return Pin(wanted.version, wanted.checksum, wanted.url, self.tags.get(wanted.name, ""))

    def is_offered(self, platform: Platform, name: str, pin: Pin) -> bool:
        """See `Resolved.is_offered`."""
        universe = self.universes.get(platform)
        return universe is not None and any(
            (candidate.package.version, candidate.package.checksum) == pin[:2]
            for candidate in universe.named(name)
        )


def _public_lines(declaration: Declaration) -> tuple[str, ...]:
    """Lines for /etc/apk/repositories: whoever has the image must not have the password."""
    contents = declaration.contents
    found = map(parse_location, (*contents.repositories, *contents.runtime_repositories))
    lines = (str(replace(each, url=without_userinfo(each.url))) for each in found)
    return tuple(dict.fromkeys(lines))


def resolve(question: Question, context: Context) -> ApkResolved:
    """Decide on the packages of every platform; see `Format.resolve`."""
    _, declaration, platforms, world, installed, options, reasons = question
    locations = find_locations(declaration, context)
    if options.lock is not None:
        return _from_lock(question, locations, context)
    architectures = [platform.apk for platform in platforms]
    keys = find_keys(declaration, locations, architectures, options, context)
    loader = IndexLoader(
        context.store,
        context.reader,
        keys,
        ignore_signatures=options.ignore_signatures,
        limit=options.limits.indexes,
    )
    by_arch, indexes, warnings = loader.load_universes(locations, architectures)
    for warning in warnings:
        context.report.warn(warning)
    universes = {platform: by_arch[platform.apk] for platform in platforms}
    read = [(each.location.url, each.location.tag, each.arch, each.digest) for each in indexes]
    key = solution_key(world, read, installed, options.preferred)
    solution = None if reasons else recall_solution(context.store, key, Wanted)
    if solution is not None:
        return ApkResolved(
            world,
            solution.packages,
            repositories=_public_lines(declaration),
            keys=keys,
            tags=solution.tags,
        )

    # A remembered solution needs none of the solver.
    from imagist.packages.apk.solver.solve import solve  # noqa: PLC0415

    resolution = solve(
        world,
        universes,
        installed=installed,
        locked=options.preferred,
        places=places_of(question.loaded),
    )
    packages = {
        platform: tuple(map(_wanted, resolution.packages(platform))) for platform in platforms
    }
    chosen = [candidate for each in platforms for candidate in resolution.packages(each)]
    tags = {candidate.package.name: candidate.tag for candidate in chosen if candidate.tag}
    remember_solution(context.store, key, Solution(packages, tags))
    return ApkResolved(
        world,
        packages,
        resolution,
        universes,
        repositories=_public_lines(declaration),
        keys=keys,
        tags=tags,
    )


def find_locations(declaration: Declaration, context: Context) -> tuple[Location, ...]:
    """The repositories to build from; credentials in a URL are used, and seen no more."""
    contents = declaration.contents
    lines = (*contents.build_repositories, *contents.repositories)
    found = dict.fromkeys(parse_location(line) for line in lines)
    return tuple(replace(each, url=context.reader.learn(each.url)) for each in found)


def find_keys(
    declaration: Declaration,
    locations: Sequence[Location],
    architectures: Sequence[str],
    options: Options,
    context: Context,
) -> TrustedKeys:
    """The declared keys, and what the repositories' servers announce."""
    declared = load_keyring(declaration.contents.keyring, context.reader)
    if options.ignore_signatures:
        return TrustedKeys(declared)
    if any(location.is_remote for location in locations):  # announced keys may expire
        context.trace.note(Note("day", context.today, ""))
    discovered, warnings = discover_keys(
        locations, architectures, context.reader, today=context.today
    )
    for warning in warnings:
        context.report.warn(warning)
    return TrustedKeys(declared, discovered)


def _from_lock(question: Question, locations: Sequence[Location], context: Context) -> ApkResolved:
    options, world = question.options, question.world
    lock, name = options.lock, options.lock_name
    assert lock is not None  # noqa: S101 - the caller has looked
    check_lock(question.loaded, lock, name)
    locked = {platform: lock.packages_for(platform) for platform in world}
    _refuse_unlocked(options, lock)
    packages = {
        platform: tuple(_locked(package, context) for package in locked[platform])
        for platform in world
    }
    chosen = [package for platform in world for package in locked[platform]]
    tags = {each.name: tag for each in chosen if (tag := _tag_of(each, locations, context))}
    unknown = sorted(set(tags.values()) - {location.tag for location in locations})
    if unknown:
        raise RequestError(
            f"{name} has packages of a repository tagged @{unknown[0]}, which is not declared",
            where=name,
            help="lock again",
        )
    keys = TrustedKeys(_locked_keys(lock, name, context))
    repositories = _public_lines(question.declaration)
    return ApkResolved(world, packages, repositories=repositories, keys=keys, tags=tags)


def _tag_of(package: LockedPackage, locations: Sequence[Location], context: Context) -> str:
    """The tag of the repository of a package; a lock of apko tells it by the URL alone."""
    repository = folder_of(folder_of(context.reader.learn(package.url)))
    tags = {location.tag for location in locations if location.url == repository}
    return package.tag or ("" if "" in tags else min(tags, default=""))


def _locked_keys(lock: Lock, name: str, context: Context) -> tuple[Key, ...]:
    """The keys that a lock embeds.

    Raises:
        InputError: entries that are no keys; all of them.
    """
    keys: list[Key] = []
    problems: list[Problem] = []
    for number, locked in enumerate(lock.contents.keyring):
        try:
            pem = locked.content.encode()
            keys.append(load_known_key(locked.file_name, pem, context.reader))
        except InputError as error:
            where = f"{name}: contents.keyring[{number}]"
            problems += [replace(problem, where=where) for problem in error.problems]
    if problems:
        raise InputError(problems)
    return tuple(keys)


def _refuse_unlocked(options: Options, lock: Lock) -> None:
    """Refuse packages that the command line asks for, and the lock does not have."""
    names = {package.name for package in lock.contents.packages}
    unlocked = [
        text
        for text in options.packages
        if not (wanted := parse_dependency(text)).conflict and wanted.name not in names
    ]
    if unlocked:
        raise RequestError(
            f"{options.lock_name} does not have {', '.join(unlocked)}",
            where=options.lock_name,
            help="a lock decides the packages: give --package-append to `imagist lock`, too",
        )


def _locked(package: LockedPackage, context: Context) -> Wanted:
    return Wanted(
        package.name,
        package.version,
        package.architecture,
        package.checksum,
        context.reader.learn(package.url),
        package.size,
        package.datahash,
    )


def _wanted(candidate: Candidate) -> Wanted:
    package = candidate.package
    return Wanted(
        package.name,
        package.version,
        package.arch,
        package.checksum,
        candidate.url,
        package.size or None,
    )
