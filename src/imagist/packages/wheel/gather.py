"""Everything from a project's folder to its wheels in the store: lock, choice, fetching.

A choice is remembered by the bytes of the lock, what is asked of it, and where packages are looked
for; so a build whose lock did not change parses none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from imagist.digest import sha256
from imagist.errors import NotFound, Problem, RequestError, Span
from imagist.net.environment import Environment
from imagist.net.transport import Transport
from imagist.net.url import without_userinfo
from imagist.packages.wheel.choose import Choice
from imagist.packages.wheel.fetch import WheelFetcher
from imagist.packages.wheel.index import Finder
from imagist.packages.wheel.indexes import Configuration, Indexes, read_configuration
from imagist.packages.wheel.lock.find import NAMES, find_lock, read_lock
from imagist.packages.wheel.lock.model import Lock
from imagist.packages.wheel.selection import chosen_files, select_files
from imagist.packages.wheel.target import Target
from imagist.packages.wheel.upkeep import find_drift
from imagist.packages.wheel.wanted import wanted_packages
from imagist.progress import SILENT, Meter
from imagist.store.memo import memo_key
from imagist.store.store import Store

STEP: Final = "python-choice"
FORMAT: Final = "python-choice/1"
_NAMES_OTHERS: Final = re.compile(
    rb"^\s*(?:-[rcf]|--requirement|--constraint|--find-links)\b", re.MULTILINE
)
"""A requirements file that others belong to, whose digest alone does not say enough."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted of a project's lock."""

    folder: Path
    lock: str = ""
    """Relative to the folder; the first there is of the usual names where empty."""
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    sdists: tuple[str, ...] = ()
    """Packages whose source will do."""
    requirements: tuple[str, ...] = ()
    """What the project requires with these extras and groups, to see whether the lock has it."""
    where: Span | str = ""
    """Where the requirements stand."""
    variables: Mapping[str, str] | None = None
    """The environment, of pip, uv and requirements files; by default that of the process."""


class Gathered(msgspec.Struct, frozen=True):
    """What each target gets; the files are in the store by their SHA-256."""

    lock: Path
    choices: dict[Target, list[Choice]]


def find_project_lock(request: Request) -> Path:
    """The lock of a project.

    Raises:
        NotFound: it has none.
    """
    folder = request.folder
    name = request.lock or find_lock({path.name for path in folder.iterdir()})
    if name is None:
        raise NotFound(
            f"{folder} has no lock, so nothing says which packages are right",
            help="make one with `imagist lock`, or with your tool: one of " + ", ".join(NAMES),
        )
    if not (folder / name).is_file():
        raise NotFound(f"there is no {folder / name}", help="name a lock that exists")
    return folder / name


def gather_wheels(
    request: Request,
    targets: Sequence[Target],
    store: Store,
    environment: Environment,
    connect: Callable[[Environment], Transport],
    *,
    offline: bool = False,
    jobs: int = 8,
    meter: Meter = SILENT,
) -> Gathered:
    """Choose and fetch what a project needs on every target.

    Args:
        request: the project and what is wanted of it.
        targets: for which.
        store: where files go, and choices are remembered.
        environment: of the network; pip's own proxy and authorities are added.
        connect: makes the transport of the environment.
        offline: ask nobody.
        jobs: requests at a time.
        meter: counts the bytes of files.

    Raises:
        NotFound: there is no lock, or no index has a package.
        RequestError: the lock is wrong or old, or something does not fit a target.
        NetworkError: a server cannot be reached or refuses.
        Untrusted: a file is not the one that the lock means.
    """
    path = find_project_lock(request)
    configuration = read_configuration(request.folder, request.variables)
    transport = connect(configuration.network(environment))
    fetcher = WheelFetcher(store, transport, path.parent, jobs=jobs, offline=offline, meter=meter)

    def choose(*, anew: bool) -> dict[Target, list[Choice]]:
        lock = read_lock(
            path, extras=request.extras, groups=request.groups, variables=request.variables
        )
        _check_drift(request, lock, targets)
        indexes = _lazily(configuration, lock)
        finder = Finder(
            transport, store.memo, indexes, jobs=jobs, offline=offline, anew=anew and not offline
        )
        return select_files(
            lock,
            targets,
            finder,
            extras=request.extras,
            groups=request.groups,
            sdists=request.sdists,
        )

    key = _key(request, path, targets, configuration)
    recalled = _recall(store, key, targets)
    choices = recalled or choose(anew=False)
    try:
        fetcher.fetch(chosen_files(choices))
    except NotFound:  # files of an index may have moved since it was asked
        choices = choose(anew=True)
        fetcher.fetch(chosen_files(choices))
    if key is not None and choices is not recalled:
        chosen = [choices[target] for target in targets]
        store.memo.put(STEP, key, msgspec.msgpack.encode(chosen))
    return Gathered(path, choices)


def _lazily(configuration: Configuration, lock: Lock) -> Indexes:
    """The indexes, where the lock leaves anything to ask them."""
    if all(package.is_complete or package.index for package in lock.packages):
        return Indexes()
    return configuration.indexes(lock)


def _check_drift(request: Request, lock: Lock, targets: Sequence[Target]) -> None:
    problems: list[Problem] = []
    for target in targets if request.requirements else ():
        wanted = wanted_packages(lock, target, extras=request.extras, groups=request.groups)
        problems += find_drift(lock, target, wanted, request.requirements, request.where)
    if problems:
        raise RequestError(list(dict.fromkeys(problems)))


def _key(
    request: Request, path: Path, targets: Sequence[Target], configuration: Configuration
) -> str | None:
    """Of all that a choice depends on; None where that is more than one lock says."""
    data = path.read_bytes()
    if path.suffix == ".txt" and (_NAMES_OTHERS.search(data) or b"${" in data):
        return None
    beside = path.parent / "pyproject.toml"
    pyproject = sha256(beside.read_bytes()) if path.name == "uv.lock" and beside.is_file() else ""
    places = [
        without_userinfo(url)
        for settings in (configuration.uv, configuration.pip)
        for url in (settings.index, *settings.before, *settings.after, *settings.find_links)
    ]
    return memo_key(
        FORMAT,
        path.name,
        sha256(data),
        pyproject,
        [msgspec.json.encode(target).decode() for target in targets],
        request.extras,
        request.groups,
        request.sdists,
        request.requirements,
        places,
    )


def _recall(
    store: Store, key: str | None, targets: Sequence[Target]
) -> dict[Target, list[Choice]] | None:
    value = store.memo.get(STEP, key) if key else None
    if value is None:
        return None
    try:
        found = msgspec.msgpack.decode(value, type=list[list[Choice]])
    except msgspec.DecodeError:
        return None
    return dict(zip(targets, found, strict=True)) if len(found) == len(targets) else None
