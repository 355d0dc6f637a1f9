"""`imagist lock`: writes down what a declaration is built from and becomes, or checks it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from imagist.build.construct import fetch_packages
from imagist.build.context import Context, Options
from imagist.build.fingerprint import fingerprint_image
from imagist.build.job import build_plan
from imagist.build.local_files import read_declared_files
from imagist.build.lock import (
    Move,
    find_moves,
    make_lock,
    pins_of_lock,
    pins_of_plan,
    preferred_versions,
)
from imagist.build.lockdrift import find_drift
from imagist.build.lockfile import SUFFIX, Lock, format_lock, parse_lock
from imagist.build.plan import Plan, plan_images
from imagist.build.trace import Trace
from imagist.cli.answer import print_json
from imagist.cli.options import read_build_options, read_vcs_url
from imagist.cli.session import load_thing, open_context, read_file
from imagist.cli.telling import tell_moves
from imagist.cli.things import is_project, settle_thing
from imagist.declaration.include import LoadedDeclaration
from imagist.errors import CheckFailed, InputError, NotFound, Problem, RequestError
from imagist.packages.apk.index import provides_of
from imagist.store.output import replace_file
from imagist.text.suggest import did_you_mean


class _Task(msgspec.Struct, frozen=True):
    """What the command line asks for."""

    place: Path
    loaded: LoadedDeclaration
    options: Options
    context: Context

    def plan(self, *, reasons: bool = False) -> Plan:
        """What would be locked."""
        return plan_images(self.loaded, self.options, self.context, reasons=reasons)


def run(values: argparse.Namespace) -> None:
    """Lock, update a lock, or check one; the answer is its path."""
    if values.check and values.update:
        raise RequestError(
            "--check changes nothing, and --update would", help="leave one of them out"
        )
    settle_thing(values)
    if is_project(values.thing):
        from imagist.cli.projectlock import lock_project

        lock_project(values)
        return
    task = _read_task(values)
    if values.check:
        _check(task, values)
    else:
        _write(task, values)


def _read_task(values: argparse.Namespace) -> _Task:
    trace = Trace()
    named = Path(values.thing) if values.thing.endswith(SUFFIX) else None
    values.lock = ""  # this command makes locks, and takes nothing from one
    options = read_build_options(values, read_vcs_url(values), trace)
    # A lock that is named as the thing says what it is a lock of, and no more.
    options = replace(options, lock=None, lock_name="")
    place = Path(values.output) if values.output else named or _beside(values.thing)
    if place.is_dir() or str(place) == "-":
        raise RequestError(f"{place} is no file", help=f"name one that ends in {SUFFIX}")
    return _Task(place, load_thing(values, trace), options, open_context(values, trace))


def _beside(thing: str) -> Path:
    """Where apko has the lock of a declaration, too."""
    return Path(thing).with_suffix(SUFFIX)


def _check(task: _Task, values: argparse.Namespace) -> None:
    try:
        lock = parse_lock(read_file(str(task.place)), str(task.place))
    except NotFound:
        raise CheckFailed(
            f"there is no lock {task.place}", help=f"`imagist lock {values.thing}` writes it"
        ) from None
    plan = task.plan(reasons=True)
    files = read_declared_files(plan.declaration.files, plan.loaded, task.context.trace)
    inputs = {
        each: fingerprint_image(plan, each, files, task.options).inputs for each in plan.platforms
    }
    drift = find_drift(lock, plan, inputs, name=str(task.place))
    if drift:
        if drift[-1].help is None:
            step = f"`imagist lock {values.thing}` writes what is so now"
            drift[-1] = replace(drift[-1], help=step)
        raise CheckFailed(drift)
    if values.json:
        # The digests it states are not told: without building, nothing vouches for them.
        print_json({"path": str(task.place), "changed": False})
    else:
        sys.stdout.write(f"{task.place}\n")


def _write(task: _Task, values: argparse.Namespace) -> None:
    before = _read_existing(task, must=bool(values.update))
    if values.update and before is not None:
        task = _prefer(task, before, values.update)
    plan = task.plan()
    packages = fetch_packages(plan, plan.platforms, task.options, task.context)
    built = build_plan(plan, task.options, task.context)
    lock = make_lock(built, packages, name=_name(task))
    data = format_lock(lock)
    changed = not task.place.is_file() or task.place.read_bytes() != data
    if changed:
        replace_file(task.place, data)
    moves = _moves(before, plan)
    if values.json:
        answer = {"path": str(task.place), "changed": changed, "moved": list(map(_row, moves))}
        print_json({**answer, **_describe(lock)})
        return
    tell_moves(moves, values, is_new=before is None)
    sys.stdout.write(f"{task.place}\n")


def _read_existing(task: _Task, *, must: bool) -> Lock | None:
    """The lock that is to be replaced; None where there is none, or one too old to be read.

    What is no lock is an error, since it might be something else that -o should not name.
    """
    place = str(task.place)
    if task.place.exists() and not task.place.is_file():
        raise InputError(f"{place} is no file", help="name a file for the lock with -o")
    try:
        data = read_file(place)
    except NotFound:
        if must:
            raise RequestError(
                f"there is no lock {place} to update", help="leave --update out to write it anew"
            ) from None
        return None
    try:
        return parse_lock(data, place)
    except RequestError as error:
        if must:
            raise
        task.context.report.warn(f"{place} is written anew: {error}")
    return None


def _prefer(task: _Task, before: Lock, words: Sequence[str]) -> _Task:
    """The same task, keeping to the lock's versions but for the packages to update.

    The declaration may have changed since: what the lock has is kept wherever it still fits.
    """
    names = {package.name for package in before.contents.packages}
    unknown = [word for word in words if word not in names]
    updated = set(words) - set(unknown)
    if unknown:
        kept = _with_preferred(task, preferred_versions(before, updated))
        updated |= _find_providers(kept.plan(reasons=True), unknown, names, str(task.place))
    return _with_preferred(task, preferred_versions(before, updated))


def _with_preferred(task: _Task, versions: dict[str, str]) -> _Task:
    return replace(task, options=replace(task.options, preferred=versions))


def _find_providers(plan: Plan, words: Sequence[str], names: set[str], place: str) -> set[str]:
    """The packages of a plan that provide some names, or have them though the lock does not.

    Raises:
        RequestError: names that nothing has; all of them.
    """
    providers: dict[str, set[str]] = {}
    resolution = plan.resolved.resolution
    assert resolution is not None  # noqa: S101 - it was asked for
    for _, chosen in resolution:
        for provide in provides_of(chosen.candidate.package):
            providers.setdefault(provide.name, set()).add(chosen.name)
    problems = [
        Problem(
            f"`{word}` is no package of the lock, nor anything one provides",
            place,
            did_you_mean(word, names | providers.keys()),
        )
        for word in words
        if word not in providers
    ]
    if problems:
        raise RequestError(problems)
    return set[str]().union(*(providers[word] for word in words))


def _name(task: _Task) -> str:
    """The declaration's path from the lock's folder, so that the two may be moved together."""
    declared = Path(task.loaded.files[0].path).absolute()
    return Path(os.path.relpath(declared, task.place.absolute().parent)).as_posix()


def _moves(before: Lock | None, plan: Plan) -> list[Move]:
    if before is None:
        return []
    return find_moves(pins_of_lock(before, plan.platforms), pins_of_plan(plan))


def _row(move: Move) -> dict[str, object]:
    return {
        "name": move.name,
        "before": move.before or None,
        "after": move.after or None,
        "architectures": move.architectures,
    }


def _describe(lock: Lock) -> dict[str, object]:
    """The digests that a lock states; those of apko state none."""
    images = {
        image.platform: {
            "digest": image.digest,
            "media_type": image.media_type,
            "size": image.size,
        }
        for image in lock.images
    }
    return {"digest": lock.index.digest if lock.index else None, "platforms": images}
