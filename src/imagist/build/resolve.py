"""From a declaration to the packages of every platform: by solving, or out of a lock."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from imagist.build.context import Context, Options
from imagist.build.lockfile import Lock, LockedPackage, declaration_checksum
from imagist.build.lockproblems import folder_of
from imagist.build.solution import Solution, recall_solution, remember_solution, solution_key
from imagist.build.trace import Note
from imagist.declaration.include import LoadedDeclaration
from imagist.declaration.model import Declaration
from imagist.errors import InputError, Problem, RequestError, Span
from imagist.oci.platform import Platform, parse_platform
from imagist.packages.apk.dependency import parse_dependency
from imagist.packages.apk.fetch import Wanted
from imagist.packages.apk.index import Candidate, Package
from imagist.packages.apk.keys import (
    TrustedKeys,
    discover_keys,
    load_keyring,
    load_known_key,
)
from imagist.packages.apk.location import Location, parse_location
from imagist.packages.apk.repository import IndexLoader, LoadedIndex
from imagist.packages.apk.signature import Key
from imagist.packages.apk.universe import Universe

if TYPE_CHECKING:
    from imagist.packages.apk.solver.resolution import Resolution

INSTALLED: Mapping[Platform, Sequence[Package]] = {}


class Resolved(msgspec.Struct, frozen=True):
    """The packages of an image, and whom to trust for them."""

    world: dict[Platform, tuple[str, ...]]
    """What the declaration asks for, as it was written."""
    packages: dict[Platform, tuple[Wanted, ...]]
    """In installation order; what a base image has is not among them."""
    keys: TrustedKeys
    tags: dict[str, str] = {}
    """Tag of the repository by name of the package that was taken from one."""
    resolution: Resolution | None = None
    """What the solver found; None where a lock decided, or a solution was remembered."""
    universes: dict[Platform, Universe] = {}
    """What there was to choose from; empty where a lock decided."""
    indexes: tuple[LoadedIndex, ...] = ()
    """The indexes that were read; none where a lock decided."""


def add_options(declaration: Declaration, options: Options) -> Declaration:
    """The declaration with what the command line appends to it."""
    contents = declaration.contents
    contents = replace(
        contents,
        keyring=(*contents.keyring, *options.keyring),
        build_repositories=(*contents.build_repositories, *options.build_repositories),
        repositories=(*contents.repositories, *options.repositories),
        packages=(*contents.packages, *options.packages),
    )
    annotations = declaration.annotations | dict(options.annotations)
    return replace(
        declaration,
        contents=contents,
        annotations=annotations,
        format=options.format or declaration.format,
    )


def choose_platforms(declaration: Declaration, options: Options) -> tuple[Platform, ...]:
    """The platforms to build for: those asked for, else those declared; by name."""
    wanted = options.platforms or tuple(parse_platform(arch) for arch in declaration.archs)
    return tuple(sorted(set(wanted), key=lambda platform: platform.arch))


def world_of(declaration: Declaration, platform: Platform) -> tuple[str, ...]:
    """What is asked for on one platform, in the order written."""
    contents = declaration.contents
    return (*contents.packages, *contents.platform_packages.get(platform.arch, ()))


def resolve(
    loaded: LoadedDeclaration,
    declaration: Declaration,
    platforms: Sequence[Platform],
    options: Options,
    context: Context,
    installed: Mapping[Platform, Sequence[Package]] = INSTALLED,
    *,
    reasons: bool = False,
) -> Resolved:
    """Decide on the packages of every platform.

    Args:
        loaded: the declaration as it was read, for places and checksums.
        declaration: the same with options added and defaults filled in.
        platforms: what to resolve for.
        options: see `Options`; with a lock, nothing is solved and no index is read.
        context: where to read.
        installed: the packages of a base image, by platform.
        reasons: whether the solver's own answer is wanted, and not one that is remembered.

    Raises:
        Unsatisfiable: no packages fit.
        RequestError: the lock is of another declaration.
        ImagistError: a key or an index cannot be had or trusted.
    """
    world = {platform: world_of(declaration, platform) for platform in platforms}
    locations = find_locations(declaration, context)
    if options.lock is not None:
        return _from_lock(loaded, options, world, locations, context)
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
    question = solution_key(world, indexes, installed, options.preferred)
    solution = None if reasons else recall_solution(context.store, question)
    if solution is not None:
        return Resolved(world, solution.packages, keys, solution.tags, indexes=tuple(indexes))

    # A remembered solution needs none of the solver.
    from imagist.packages.apk.solver.solve import solve  # noqa: PLC0415

    resolution = solve(
        world,
        universes,
        installed=installed,
        locked=options.preferred,
        places=_places(loaded),
    )
    packages = {
        platform: tuple(map(_wanted, resolution.packages(platform))) for platform in platforms
    }
    chosen = [candidate for each in platforms for candidate in resolution.packages(each)]
    tags = {candidate.package.name: candidate.tag for candidate in chosen if candidate.tag}
    remember_solution(context.store, question, Solution(packages, tags))
    return Resolved(world, packages, keys, tags, resolution, universes, tuple(indexes))


def find_locations(declaration: Declaration, context: Context) -> tuple[Location, ...]:
    """The repositories to build from; credentials in a URL are used, and seen no more."""
    contents = declaration.contents
    lines = (*contents.build_repositories, *contents.repositories)
    found = dict.fromkeys(parse_location(line) for line in lines)
    return tuple(each._replace(url=context.reader.learn(each.url)) for each in found)


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


def _from_lock(
    loaded: LoadedDeclaration,
    options: Options,
    world: dict[Platform, tuple[str, ...]],
    locations: Sequence[Location],
    context: Context,
) -> Resolved:
    lock, name = options.lock, options.lock_name
    assert lock is not None  # noqa: S101 - the caller has looked
    checksum = declaration_checksum(file.data for file in loaded.files)
    if lock.config is not None and lock.config.checksum != checksum:
        path = loaded.files[0].path
        other = posixpath.basename(lock.config.name) != posixpath.basename(path)
        made = lock.config.name if other else f"another state of {path}"
        raise RequestError(
            f"{name} was made from {made}",
            where=name,
            help="lock again, or build without the lock; `imagist lock --check` says what differs",
        )
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
    return Resolved(world, packages, TrustedKeys(_locked_keys(lock, name, context)), tags)


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
            problems += [problem._replace(where=where) for problem in error.problems]
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


def _places(loaded: LoadedDeclaration) -> dict[str, Span]:
    """Where each entry of the world was written; what options added was written nowhere."""
    spans = {
        entry.strip(): loaded.span_of(f"contents.packages[{number}]")
        for number, entry in enumerate(loaded.declaration.contents.packages)
    }
    return {entry: span for entry, span in spans.items() if span is not None}
