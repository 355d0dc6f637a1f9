"""Everything from a project's folder to its wheels: lock, choice, and fetching what is asked for.

A choice is remembered by the bytes of the lock, what is asked of it, and where packages are looked
for; so a build whose lock did not change parses none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from imagist.digest import sha256
from imagist.errors import NotFound, Problem, RequestError, Span
from imagist.net.environment import Environment
from imagist.net.transport import Refused, Transport
from imagist.net.url import without_userinfo
from imagist.packages.wheel.choose import Choice, chosen_files
from imagist.packages.wheel.indexes import Configuration, Indexes, read_configuration
from imagist.packages.wheel.lock.find import NAMES, find_lock
from imagist.packages.wheel.lock.model import File, Lock
from imagist.packages.wheel.lock.reading import check_regular, read_regular
from imagist.packages.wheel.target import Target, marker_environment
from imagist.progress import SILENT, Meter
from imagist.store.memo import memo_key
from imagist.store.store import Store

STEP: Final = "python-choice"
FORMAT: Final = "python-choice/4"
SIZE: Final = "wheel-size"
_NAMES_OTHERS: Final = re.compile(
    rb"^\s*(?:-[rcf]|--requirement|--constraint|--find-links)\b", re.MULTILINE
)
"""A requirements file that others belong to, whose digest alone does not say enough."""


_BESIDE: Final = {
    "uv.lock": ("pyproject.toml",),
    "pylock.toml": ("requirements.in", "requirements.txt"),
}
"""What else a lock is read with: what it is a part of, or was made of."""


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
    """What each target gets."""

    lock: Path
    choices: dict[Target, list[Choice]]
    bring: Callable[[Collection[str]], object] = lambda _: None
    """Fetches files that were chosen, by their digests (`sha256:...`), where they are not in the
    store; what is not asked for is not fetched, since layers may be remembered without it."""
    sizes: Mapping[str, int] = {}
    """Bytes of each file that was chosen, by its digest."""


def find_project_lock(request: Request) -> Path:
    """The lock of a project.

    Raises:
        NotFound: it has none.
        InputError: it is no regular file.
    """
    folder = request.folder
    name = request.lock or find_lock({path.name for path in folder.iterdir()})
    if name is None:
        raise NotFound(
            f"{folder} has no lock, so nothing says which packages are right",
            help="make one with `imagist lock`, or with your tool: one of " + ", ".join(NAMES),
        )
    try:
        check_regular(folder / name)
    except NotFound as error:
        raise NotFound(error.problems[0].message, help="name a lock that exists") from None
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
    """Choose what a project needs on every target, to be fetched when it is asked for.

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
        Untrusted: a file is not the one that the lock means; this and the last when files are
            fetched, too.
    """
    return _Gathering(
        request, targets, store, environment, connect, offline=offline, jobs=jobs, meter=meter
    ).run()


class _Gathering:
    def __init__(
        self,
        request: Request,
        targets: Sequence[Target],
        store: Store,
        environment: Environment,
        connect: Callable[[Environment], Transport],
        *,
        offline: bool,
        jobs: int,
        meter: Meter,
    ) -> None:
        self._request = request
        self._targets = targets
        self._store = store
        self._jobs = jobs
        self._offline = offline
        self._meter = meter
        self._lock = find_project_lock(request)
        self._configuration = read_configuration(request.folder, request.variables)
        self._connect = connect
        self._environment = environment
        self._transport: Transport | None = None
        self._key = _key(request, self._lock, targets, self._configuration)

    def run(self) -> Gathered:
        recalled = _recall(self._store, self._key, self._targets)
        choices = recalled or self._choose(anew=False)
        if recalled is None:
            self._remember(choices)
        files = {_digest(file): file for file in chosen_files(choices)}

        def bring(digests: Collection[str]) -> None:
            self._fetch([file for digest, file in files.items() if digest in digests])

        return Gathered(self._lock, choices, bring, self._sizes(files))

    def _sizes(self, files: Mapping[str, File]) -> dict[str, int]:
        """Bytes of files; those of which neither lock nor index nor memory tells are fetched."""
        memo = self._store.memo
        known = {
            digest: file.size if file.size is not None else memo.get(SIZE, memo_key(digest))
            for digest, file in files.items()
        }
        unknown = [digest for digest, size in known.items() if size is None]
        self._fetch([files[digest] for digest in unknown])
        for digest in unknown:
            known[digest] = size = self._store.size(digest)
            memo.put(SIZE, memo_key(digest), b"%d" % size)
        return {digest: int(size or 0) for digest, size in known.items()}

    def _fetch(self, files: Sequence[File]) -> None:
        if not files:
            return
        from imagist.packages.wheel.fetch import WheelFetcher  # noqa: PLC0415 - often not needed

        fetcher = WheelFetcher(
            self._store,
            self._open(),
            self._lock.parent,
            jobs=self._jobs,
            offline=self._offline,
            meter=self._meter,
        )
        try:
            fetcher.fetch(files)
        except (NotFound, Refused):  # files moved since, signatures expired, the lock has the user
            choices = self._choose(anew=True)
            wanted = {file.sha256 for file in files}
            fetcher.fetch([file for file in chosen_files(choices) if file.sha256 in wanted])
            self._remember(choices)

    def _choose(self, *, anew: bool) -> dict[Target, list[Choice]]:
        # Whoever remembers the answer needs nothing of all this.
        from imagist.packages.wheel.credentials import learn_indexes  # noqa: PLC0415
        from imagist.packages.wheel.index import Finder  # noqa: PLC0415
        from imagist.packages.wheel.lock.find import read_lock  # noqa: PLC0415
        from imagist.packages.wheel.selection import select_files  # noqa: PLC0415

        request = self._request
        lock = read_lock(
            self._lock,
            extras=request.extras,
            groups=request.groups,
            variables=request.variables,
            environments=list(map(marker_environment, self._targets)),
        )
        _check_drift(request, lock, self._targets)
        learn_indexes(self._open(), (*lock.indexes, *lock.extra_indexes, *lock.find_links))
        finder = Finder(
            self._open(),
            self._store.memo,
            _lazily(self._configuration, lock),
            jobs=self._jobs,
            offline=self._offline,
            anew=anew and not self._offline,
        )
        return select_files(
            lock,
            self._targets,
            finder,
            extras=request.extras,
            groups=request.groups,
            sdists=request.sdists,
        )

    def _open(self) -> Transport:
        if self._transport is None:
            from imagist.packages.wheel.credentials import learn_indexes  # noqa: PLC0415

            self._transport = self._connect(self._configuration.network(self._environment))
            learn_indexes(self._transport, self._configuration.places_with_users())
        return self._transport

    def _remember(self, choices: Mapping[Target, Sequence[Choice]]) -> None:
        if self._key is not None:
            chosen = [list(map(_without_secrets, choices[target])) for target in self._targets]
            self._store.memo.put(STEP, self._key, msgspec.msgpack.encode(chosen))


def _without_secrets(choice: Choice) -> Choice:
    """A choice as it is remembered: whoever lacks the file then, makes it anew."""
    package = replace(
        choice.package,
        files=tuple(file.without_secret() for file in choice.package.files),
        index=without_userinfo(choice.package.index),
    )
    return Choice(package, choice.file and choice.file.without_secret())


def _digest(file: File) -> str:
    return f"sha256:{file.sha256}"


def _lazily(configuration: Configuration, lock: Lock) -> Indexes:
    """The indexes, where the lock leaves anything to ask them."""
    if all(package.is_complete or package.index for package in lock.packages):
        return Indexes()
    return configuration.indexes(lock)


def _check_drift(request: Request, lock: Lock, targets: Sequence[Target]) -> None:
    from imagist.packages.wheel.upkeep import find_drift  # noqa: PLC0415 - often not needed
    from imagist.packages.wheel.wanted import wanted_packages  # noqa: PLC0415

    stated = ((text, request.where) for text in request.requirements)
    requirements = [*stated, *_listed(lock), *_pinned(lock)]
    problems: list[Problem] = []
    for target in targets if requirements else ():
        wanted = wanted_packages(lock, target, extras=request.extras, groups=request.groups)
        problems += find_drift(lock, target, wanted, requirements)
    if problems:
        raise RequestError(list(dict.fromkeys(problems)))


def _listed(lock: Lock) -> list[tuple[str, Span]]:
    """What the requirements file asks for that a lock was made of."""
    source = Path(lock.file).parent / lock.source
    if not lock.source.endswith((".txt", ".in")) or not source.is_file():
        return []
    from imagist.packages.wheel.lock.requirements import read_required  # noqa: PLC0415 - rare

    return read_required(lambda path: read_regular(Path(path)), str(source))


def _pinned(lock: Lock) -> list[tuple[str, Span]]:
    """What was pinned beside a lock that `imagist lock` made, of what is in it."""
    if not lock.source:
        return []
    from imagist.packages.wheel.pins import read_pins  # noqa: PLC0415 - often not needed

    names = {package.name for package in lock.packages}
    pins = read_pins(Path(lock.file).parent, lock.source)
    return [(str(pin), pin.where) for pin in pins if pin.name in names]


def _key(
    request: Request, path: Path, targets: Sequence[Target], configuration: Configuration
) -> str | None:
    """Of all that a choice depends on; None where that is more than one lock says."""
    data = read_regular(path)
    beside = {
        each.name: each.read_bytes()
        for each in (path.parent / name for name in _BESIDE.get(path.name, ()))
        if each.is_file()
    }
    for name, each in {path.name: data, **beside}.items():
        if name.endswith((".txt", ".in")) and (_NAMES_OTHERS.search(each) or b"${" in each):
            return None
    return memo_key(
        FORMAT,
        path.name,
        sha256(data),
        {name: sha256(each) for name, each in beside.items()},
        [msgspec.json.encode(target).decode() for target in targets],
        request.extras,
        request.groups,
        request.sdists,
        request.requirements,
        configuration.places(),
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
