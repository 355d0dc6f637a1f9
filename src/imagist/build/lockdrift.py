"""Drift: in what a lock is not what would be locked now. No package is read to tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from imagist.build.lock import (
    Move,
    Pins,
    find_moves,
    pins_of_lock,
    pins_of_plan,
)
from imagist.build.lockfile import Lock, LockedRepository, declaration_checksum
from imagist.build.plan import Plan
from imagist.declaration.include import LoadedDeclaration
from imagist.errors import Problem
from imagist.net.url import redact, without_userinfo
from imagist.oci.platform import Platform

_KINDS: Final = ("build_repositories", "runtime_repositories", "repositories")


def find_drift(
    lock: Lock, plan: Plan, inputs: Mapping[Platform, str], *, name: str
) -> list[Problem]:
    """Everything in which a lock is not what a plan says; nothing where it is.

    What a lock of apko does not state (tags, images) is not missed.

    Args:
        lock: the lock.
        plan: what would be locked now, with the universes that it was chosen from.
        inputs: the fingerprint of each platform's image.
        name: the lock's file.
    """
    before = pins_of_lock(lock, plan.platforms)
    after = pins_of_plan(plan)
    platforms = {each.apk: each for each in plan.platforms}
    found = [
        *_check_declaration(lock, plan.loaded),
        *_check_platforms(lock, plan.platforms),
        *_check_repositories(lock, plan),
        *_check_keys(lock, plan),
        *_check_base(lock, plan),
        *(_tell_move(move, before, platforms, plan) for move in find_moves(before, after)),
        *_check_places(before, after, has_tags=bool(lock.images)),
    ]
    if not found:
        found = list(_check_inputs(lock, inputs))
    return [replace(problem, where=name) for problem in found]


def _check_declaration(lock: Lock, loaded: LoadedDeclaration) -> Iterator[Problem]:
    stated = lock.config.checksum if lock.config else ""
    sources = [file.data for file in loaded.files]
    if stated == declaration_checksum(sources):
        return
    paths = " or ".join(file.path for file in loaded.files)
    unix = [raw.replace(b"\r\n", b"\n") for raw in sources]
    dos = [raw.replace(b"\n", b"\r\n") for raw in unix]
    if stated in {declaration_checksum(unix), declaration_checksum(dos)}:
        yield Problem(
            f"the ends of lines in {paths} are others than when the lock was made",
            help="let git leave them alone: `*.yaml text eol=lf` in .gitattributes",
        )
    else:
        yield Problem(f"{paths} has changed since the lock was made")


def _check_platforms(lock: Lock, platforms: Sequence[Platform]) -> Iterator[Problem]:
    wanted = {platform.apk for platform in platforms}
    for architecture in sorted(wanted - lock.architectures):
        yield Problem(f"the lock was not made for {architecture}")
    for architecture in sorted(lock.architectures - wanted):
        yield Problem(f"the lock was made for {architecture} too, which is not asked for")


def _check_repositories(lock: Lock, plan: Plan) -> Iterator[Problem]:
    platforms = [each for each in plan.platforms if each.apk in lock.architectures]
    architectures = [each.apk for each in platforms]
    sources = plan.format.lock_sources(plan.question, plan.resolved, platforms)
    for kind in _KINDS:
        old = _urls_of(getattr(lock.contents, kind), architectures)
        new = _urls_of(getattr(sources, kind), architectures)
        what = kind.replace("_", " ")
        for url in (url for url in new if url not in old):
            yield Problem(f"the lock does not have {redact(url)} among its {what}")
        for url in (url for url in old if url not in new):
            yield Problem(f"the lock has {redact(url)} among its {what}, which is not asked for")
        if old != new and sorted(old) == sorted(new):
            yield Problem(f"the lock has its {what} in another order")


def _urls_of(repositories: Sequence[LockedRepository], architectures: Sequence[str]) -> list[str]:
    """Indexes by architecture: locks may differ in the order of these."""
    return [
        without_userinfo(each.url)
        for architecture in architectures
        for each in repositories
        if each.architecture == architecture
    ]


def _check_keys(lock: Lock, plan: Plan) -> Iterator[Problem]:
    old = {key.file_name: key.content for key in lock.contents.keyring}
    sources = plan.format.lock_sources(plan.question, plan.resolved, plan.platforms)
    new = {key.file_name: key.content for key in sources.keyring}
    for name in sorted({**old, **new}):
        if name not in new:
            yield Problem(f"the key {name} of the lock is not trusted any more")
        elif name not in old:
            yield Problem(f"the key {name} is trusted, and not in the lock")
        elif old[name] != new[name]:
            yield Problem(f"the key {name} is another one than in the lock")


def _tell_move(move: Move, before: Pins, platforms: Mapping[str, Platform], plan: Plan) -> Problem:
    """A move with its reason: an index that has something better, or has not what was locked."""
    if not move.before:
        return Problem(f"{move}, which the lock does not have")
    gone = [
        architecture
        for architecture in move.architectures
        if not plan.resolved.is_offered(
            platforms[architecture], move.name, before[architecture][move.name]
        )
    ]
    if not gone:
        return Problem(str(move))
    where = (
        "" if move.everywhere and len(gone) == len(move.architectures) else f" ({', '.join(gone)})"
    )
    instead = f"; now it would be {move.after}{move.origin}" if move.after else ""
    if move.after == move.before:
        instead = f"; there is another build of this version{move.origin}"
    return Problem(
        f"{move.name} {move.before} is no longer offered by any repository{where}{instead}"
    )


def _check_places(before: Pins, after: Pins, *, has_tags: bool) -> Iterator[Problem]:
    """What packages that did not move have otherwise: order, places, tags."""
    for architecture in before:
        old, new = before[architecture], after[architecture]
        if list(old) != list(new) and set(old) == set(new):
            yield Problem(f"packages would be installed in another order ({architecture})")
        for name in (name for name in old if name in new and old[name][:2] == new[name][:2]):
            was, becomes = old[name], new[name]
            if was.security != becomes.security:
                suites = f"{becomes.tag} instead of {was.tag}"
                yield Problem(f"{name} would be taken from {suites} ({architecture})")
                continue
            if was.url != becomes.url:
                yield Problem(f"{name} would be taken from {redact(becomes.url)}")
            if has_tags and was.tag != becomes.tag:
                yield Problem(f"{name} would be taken from another tag ({architecture})")


def _check_base(lock: Lock, plan: Plan) -> Iterator[Problem]:
    """Whether the tag of a base image names what it named."""
    base = plan.base
    if base is None or lock.base is None or lock.base.name != base.name:
        return  # where the declaration has changed, that is told
    if base.pin != lock.base.digest:
        yield Problem(
            f"the base image {redact(base.name)} is now {base.pin}, in the lock it is "
            f"{lock.base.digest}"
        )


def _check_inputs(lock: Lock, inputs: Mapping[Platform, str]) -> Iterator[Problem]:
    if not lock.images:
        return
    for platform, current in inputs.items():
        image = lock.image_for(platform)
        if image is None:
            yield Problem(f"the lock does not state the image for {platform}")
        elif image.inputs != current:
            yield Problem(
                f"the image for {platform} would be another one: local files, options, "
                "SOURCE_DATE_EPOCH or imagist itself have changed since"
            )
