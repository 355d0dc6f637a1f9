"""Fetching the indexes that a release lists, and making tables of them once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from imagist.digest import Digest
from imagist.errors import InputError, NotFound, Untrusted
from imagist.net.url import is_remote, origin_of, redact
from imagist.packages.deb.compression import uncompress
from imagist.packages.deb.index import MAX_INDEX
from imagist.packages.deb.release import ListedFile, Release
from imagist.packages.deb.releases import LoadedRelease
from imagist.packages.deb.sources import Source
from imagist.packages.deb.table import IndexTable
from imagist.packages.deb.universe import Suite
from imagist.packages.reading import Reader
from imagist.store.memo import memo_key
from imagist.store.store import Store

STEP: Final = "index-table"
# Seconds for a mebibyte of the compressed file: to fetch it at 20 MiB/s, and to uncompress it.
_COSTS: Final = {"zst": 0.055, "gz": 0.06, "xz": 0.105, "bz2": 0.35, "lzma": 0.105}


class LoadedIndex(msgspec.Struct, frozen=True):
    """One index of one suite, verified and ready to be searched."""

    source: Source
    arch: str
    component: str
    digest: Digest
    """Of the Packages file as it was listed and read, compressed or not."""
    suite: Suite
    table: IndexTable


class IndexLoader:
    """Loads indexes through a store that remembers which were parsed before."""

    def __init__(self, store: Store, reader: Reader, *, limit: int = MAX_INDEX) -> None:
        """`limit` bounds the bytes of an uncompressed index."""
        self._store = store
        self._reader = reader
        self._limit = limit
        self._making = threading.Lock()  # one at a time: each takes memory for its directory

    def load(self, loaded: LoadedRelease, component: str, arch: str) -> LoadedIndex:
        """Fetch one index, unless its table is known, and compare it with what is listed.

        Raises:
            NotFound: the suite has no such component or architecture.
            Untrusted: it is not what the release lists.
        """
        source, release = loaded.source, loaded.release
        folder = "" if source.is_flat else f"{_component(release, component)}/binary-{arch}/"
        listed = _order_files(release, folder)
        if not listed:
            raise _tell_absent(loaded, component, arch)
        table = next((t for file in listed if (t := self._recall(file)) is not None), None)
        digest = Digest(f"sha256:{listed[0].sha256}")
        if table is None:
            digest, table = self._fetch(loaded, listed)
        host = origin_of(source.uri).host if source.is_remote else ""
        suite = release.describe(component, host)
        return LoadedIndex(source, arch, component, digest, suite, table)

    def _recall(self, file: ListedFile) -> IndexTable | None:
        """The table of a file that was read before; what is damaged is made anew."""
        known = self._store.memo.get(STEP, _key(file))
        if known is None:
            return None
        try:
            return IndexTable.open_file(self._store.path(known.decode()))
        except InputError:
            with contextlib.suppress(OSError):
                Path(self._store.blobs.place(known.decode())).unlink()
            return None

    def _fetch(
        self, loaded: LoadedRelease, listed: Sequence[ListedFile]
    ) -> tuple[Digest, IndexTable]:
        """The first of some listed files that is there as it is listed.

        While a mirror is updated, one form may be newer than the release, and another not yet.
        """
        refused: list[Untrusted] = []
        for file in listed:
            try:
                data = self._read_listed(loaded, file)
            except Untrusted as error:
                refused.append(error)
                continue
            if data is not None:
                return Digest(f"sha256:{file.sha256}"), self._make(loaded.source, file, data)
        if refused:
            raise refused[0]
        names = ", ".join(file.path for file in listed)
        raise NotFound(
            f"{redact(loaded.source.folder)} lists {names}, and has none of them",
            help="the mirror is incomplete: try again later, or use another",
        )

    def _read_listed(self, loaded: LoadedRelease, file: ListedFile) -> bytes | None:
        """A file by its hash, where the archive can do that, else by its name."""
        source = loaded.source
        if file.size > self._limit:
            raise InputError(
                f"{redact(source.folder)} lists {file.path} with {file.size} bytes, where no more "
                f"than {self._limit} are read"
            )
        digest = f"sha256:{file.sha256}"
        if self._store.has(digest):
            return self._store.read(digest)
        by_hash = source.by_hash in {"yes", "force"} or (
            not source.by_hash and loaded.release.acquire_by_hash
        )
        folder, _, _ = file.path.rpartition("/")
        places = [_join(source.folder, file.path)]
        if by_hash:
            hashed = _join(source.folder, _join(folder, f"by-hash/SHA256/{file.sha256}"))
            places = [hashed] if source.by_hash == "force" else [hashed, *places]
        for place in places:
            url = quote(place, safe=":/%@~+,=") if is_remote(place) else place
            try:
                document = self._reader.find(url, limit=max(file.size, 1), optional=True)
            except Untrusted:
                raise _tell_mismatch(url, f"more than the {file.size} bytes") from None
            if document is None:
                continue
            if document.digest != digest:
                raise _tell_mismatch(url, f"{document.digest}, with sha256:{file.sha256}")
            return document.read()
        return None

    def _make(self, source: Source, file: ListedFile, data: bytes) -> IndexTable:
        from imagist.packages.deb.tablemaker import write_table  # noqa: PLC0415 - seldom needed

        what = redact(_join(source.folder, file.path))
        content = uncompress(BytesIO(data), _form(file.path), what=what, limit=self._limit)
        with self._making, self._store.writer() as writer:
            write_table(content, writer.write, what)
            table = writer.commit()
        self._store.memo.put(STEP, _key(file), table.encode(), blobs=[table])
        return IndexTable.open_file(self._store.path(table))


def _key(file: ListedFile) -> str:
    return memo_key(STEP, IndexTable.FORMAT, file.sha256)


def _join(folder: str, path: str) -> str:
    return f"{folder}/{path}" if folder else path


def _form(path: str) -> str:
    return path.rpartition("Packages")[2].removeprefix(".")


def _order_files(release: Release, folder: str) -> list[ListedFile]:
    """The listed forms of an index, the one that is had soonest first.

    The last is the uncompressed one: archives list it, and mostly do not have it.
    """
    found = [
        (cost * listed.size, listed)
        for form, cost in _COSTS.items()
        if (listed := release.files.get(f"{folder}Packages.{form}")) is not None
    ]
    plain = release.files.get(f"{folder}Packages")
    return [*(listed for _, listed in sorted(found)), *([plain] if plain else [])]


def _component(release: Release, component: str) -> str:
    """How a release calls a component: security suites may have `updates/` before it."""
    for prefix in ("", "updates/"):
        if any(path.startswith(f"{prefix}{component}/binary-") for path in release.files):
            return f"{prefix}{component}"
    return component


def _tell_absent(loaded: LoadedRelease, component: str, arch: str) -> NotFound:
    source, release = loaded.source, loaded.release
    if source.is_flat:
        return NotFound(f"{redact(source.folder)} lists no Packages file")
    known = [each.removeprefix("updates/") for each in release.components]
    if component not in known:
        return NotFound(
            f"{source.suite} has no component {component}",
            help=f"it has {', '.join(known)}" if known else "check the name",
        )
    return NotFound(
        f"{source.suite}/{component} has no packages for {arch}",
        help=f"it has {', '.join(release.architectures)}",
    )


def _tell_mismatch(url: str, what: str) -> Untrusted:
    return Untrusted(
        f"{redact(url)} is not what the release lists: it has {what} listed",
        help="the mirror is being updated, or somebody changed the file; try again later, or use "
        "another mirror",
    )
