"""Finding files in package indexes: where those lie that a lock knows by name or hash alone.

What was found is remembered for good: a file of a name and hash never becomes another. So of each
project an index is asked once in the life of a store, and not at all where the lock has URLs.
Signed URLs, which soon expire, are not kept: whoever needs such a file asks again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from imagist.errors import ImagistError, NetworkError, NotFound, Problem
from imagist.net.transport import Transport
from imagist.net.url import is_remote, local_path, redact, without_userinfo
from imagist.packages.wheel.credentials import learn_indexes, open_asking
from imagist.packages.wheel.indexes import Indexes
from imagist.packages.wheel.lock.model import File, Lock, Package, normalize
from imagist.packages.wheel.simple import ACCEPT, Link, read_page
from imagist.store.memo import Memo, memo_key

STEP: Final = "python-files"
FORMAT: Final = "python-files/3"
MAX_PAGE: Final = 64 << 20
"""Bytes of the page of one project; the largest on public indexes have a quarter of it."""


class Finder:
    """Completes what a lock says of files; safe for many threads."""

    def __init__(
        self,
        transport: Transport,
        memo: Memo,
        indexes: Indexes,
        *,
        jobs: int = 8,
        offline: bool = False,
        anew: bool = False,
    ) -> None:
        """Nothing is asked yet.

        Args:
            transport: makes requests; it learns the credentials in the indexes' URLs.
            memo: remembers what was found.
            indexes: where to look, in order; the first that knows a package is believed.
            jobs: how many projects are asked for at a time.
            offline: ask nobody; what is remembered must do.
            anew: believe nothing that is remembered.
        """
        self._transport = transport
        self._memo = memo
        self._find_links = learn_indexes(transport, indexes.find_links)
        self._urls = learn_indexes(transport, indexes.urls)
        self._jobs = jobs
        self._offline = offline
        self._anew = anew
        self._lock = threading.Lock()
        self._linked: list[Link] | None = None

    def complete(self, lock: Lock, packages: Iterable[Package]) -> dict[str, Package]:
        """The packages with names and locations of their files, by name and version.

        Args:
            lock: where they are from; told in messages.
            packages: those that are wanted; a package may come several times.

        Raises:
            NotFound: no index has a package, or none of its files has a hash that is allowed.
            NetworkError: an index cannot be reached or refuses.
        """
        unique = {package_key(package): package for package in packages}
        known = {key: self._recall(package) for key, package in unique.items()}
        missing = [unique[key] for key, package in known.items() if package is None]
        found: list[Package | ImagistError] = []
        if missing:
            with ThreadPoolExecutor(min(self._jobs, len(missing))) as pool:
                found = list(pool.map(lambda package: self._try(lock, package), missing))
        errors = [each for each in found if isinstance(each, ImagistError)]
        if errors:
            problems = [problem for error in errors for problem in error.problems]
            raise type(errors[0])(list(dict.fromkeys(problems)))
        complete = {key: package for key, package in known.items() if package is not None}
        for package in found:
            if isinstance(package, Package):
                complete[package_key(package)] = package
        return complete

    def _recall(self, package: Package) -> Package | None:
        """The package where all is known, from the lock or from earlier."""
        if package.is_complete:
            return package
        value = None if self._anew else self._memo.get(STEP, self._key(package))
        if value is None:
            return None
        try:
            files = msgspec.msgpack.decode(value, type=tuple[File, ...])
        except msgspec.DecodeError:
            return None
        return msgspec.structs.replace(package, files=files, allowed=frozenset())

    def _key(self, package: Package) -> str:
        stated = sorted(file.sha256 for file in package.files if not file.location)
        index = without_userinfo(package.index) if package.index else ""
        places = [index] if index else [*self._urls, *self._find_links]
        return memo_key(
            FORMAT, package.name, package.version, places, stated, sorted(package.allowed)
        )

    def _try(self, lock: Lock, package: Package) -> Package | ImagistError:
        try:
            return self._find(lock, package)
        except ImagistError as error:
            return error

    def _find(self, lock: Lock, package: Package) -> Package:
        if self._offline:
            raise NetworkError(
                f"where {package} lies is not in the store, and --offline forbids to ask",
                help="build once without --offline",
            )
        links, place = self._ask(lock, package)
        files = _match(package, links)
        if not files:
            raise NotFound(
                Problem(
                    f"{redact(place)} has no file of {package} with a hash of the lock",
                    lock.place(package),
                    "the lock is from another index, or its files are gone: name that index, or "
                    "lock again",
                )
            )
        kept = [file.without_secret() for file in files]
        self._memo.put(STEP, self._key(package), msgspec.msgpack.encode(kept))
        return msgspec.structs.replace(package, files=files, allowed=frozenset())

    def _ask(self, lock: Lock, package: Package) -> tuple[list[Link], str]:
        """What the first place offers that knows the package."""
        linked = [link for link in self._links() if _is_of(link, package)]
        if linked and _match(package, linked):
            return linked, "find-links"
        urls = learn_indexes(self._transport, [package.index]) if package.index else self._urls
        for url in urls:
            page = f"{url.rstrip('/')}/{quote(package.name)}/"
            links = self._read(page)
            if links is not None:
                return links, page
        where = ", ".join(map(redact, [*urls, *self._find_links])) or "there is no index"
        raise NotFound(
            Problem(
                f"no index has the package `{package.name}` ({where})",
                lock.place(package),
                "name the index that has it as pip or uv know it: PIP_INDEX_URL, UV_INDEX, "
                "pip.conf or [tool.uv]",
            )
        )

    def _read(self, url: str) -> list[Link] | None:
        """The links of a page; None where there is none."""
        try:
            with open_asking(
                self._transport, url, headers={"Accept": ACCEPT}, limit=MAX_PAGE
            ) as response:
                data = response.read()
                return read_page(data, response.headers.get("content-type", ""), response.url)
        except NotFound:
            return None

    def _links(self) -> list[Link]:
        """What lies in the places of `find-links`."""
        with self._lock:
            if self._linked is None:
                self._linked = []
                for place in self._find_links:
                    self._linked += (
                        _list_folder(place) if not is_remote(place) else (self._read(place) or [])
                    )
            return self._linked


def package_key(package: Package) -> str:
    """What a package of a lock is known by: the lock may have several versions of it."""
    return f"{package.name} {package.version} {package.where}"


def _match(package: Package, links: Sequence[Link]) -> tuple[File, ...]:
    """The files of a package, as far as the links tell where they are."""
    if package.allowed:
        # Without names in the lock, the index's own hash tells which file is meant.
        found = [link for link in links if link.sha256 in package.allowed]
        return tuple(File(link.name, link.sha256, link.size, link.url) for link in found)
    by_name: dict[str, Link] = {}
    for link in links:
        by_name.setdefault(link.name, link)
    files: list[File] = []
    for file in package.files:
        offered = by_name.get(file.name)
        if file.location:
            files.append(file)
        elif offered is not None and offered.sha256 in {"", file.sha256}:
            files.append(File(file.name, file.sha256, file.size or offered.size, offered.url))
    return tuple(files)


def _is_of(link: Link, package: Package) -> bool:
    """Whether a file of a folder of many packages is one of this package."""
    stem = link.name.removesuffix(".tar.gz").removesuffix(".zip")
    project = (
        link.name.partition("-")[0] if link.name.endswith(".whl") else stem.rpartition("-")[0]
    )
    return normalize(project) == package.name


def _list_folder(place: str) -> list[Link]:
    """The files of a local folder, with their own hashes; one that is absent has none."""
    import hashlib  # noqa: PLC0415 - few come here

    folder = Path(local_path(place))
    links: list[Link] = []
    for file in sorted(folder.glob("*")):
        if file.name.endswith((".whl", ".tar.gz", ".zip")) and file.is_file():
            with file.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            links.append(Link(file.name, str(file.absolute()), sha256, file.stat().st_size))
    return links
