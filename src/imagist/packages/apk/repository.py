"""Loading repositories: fetch an index, verify it, parse it once in the life of its digest."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from imagist.digest import Digest, sha256
from imagist.errors import ImagistError, InputError, NotFound, Untrusted, raise_together
from imagist.net.url import redact
from imagist.packages.apk.index import MAX_INDEX, IndexArchive, split_index
from imagist.packages.apk.keys import TrustedKeys
from imagist.packages.apk.location import Location
from imagist.packages.apk.signature import Key, verify_signatures
from imagist.packages.apk.table import IndexTable
from imagist.packages.apk.universe import Repository, Universe
from imagist.packages.reading import Reader
from imagist.store.memo import memo_key
from imagist.store.store import Store

_CONNECTIONS: Final = 8
_Open = Callable[[], IndexArchive]
_MAX_COMPRESSED: Final = 256 << 20
UNSIGNED: Final = ""


class LoadedIndex(msgspec.Struct, frozen=True):
    """One index of one repository, verified and ready to be searched."""

    location: Location
    arch: str
    digest: Digest
    """Of APKINDEX.tar.gz as it was read."""
    key: str
    """The name of the trusted key that signed it; empty where signatures were not asked for."""
    table: IndexTable


class IndexLoader:
    """Loads indexes through a store that remembers which were verified and parsed before."""

    def __init__(
        self,
        store: Store,
        reader: Reader,
        keys: TrustedKeys,
        *,
        ignore_signatures: bool = False,
        limit: int = MAX_INDEX,
    ) -> None:
        """`limit` bounds the bytes of an uncompressed index."""
        self._store = store
        self._reader = reader
        self._keys = keys
        self._ignore_signatures = ignore_signatures
        self._limit = limit
        self._making = threading.Lock()  # one at a time: each takes memory for its directory

    def load_universes(
        self, locations: Sequence[Location], architectures: Sequence[str]
    ) -> tuple[dict[str, Universe], list[LoadedIndex], list[str]]:
        """Load all repositories for all architectures, several at once.

        A folder without an index is passed over with a warning where another repository has one:
        declarations name folders that are yet to be filled, and apko lets them.

        Returns:
            The packages on offer by architecture, repositories in the order given; each index
            that was loaded; and warnings.

        Raises:
            ImagistError: indexes that cannot be had or trusted; all of them at once.
        """
        wanted = [(location, arch) for arch in architectures for location in locations]

        def load(item: tuple[Location, str]) -> LoadedIndex | ImagistError:
            try:
                return self.load(*item)
            except ImagistError as error:
                return error

        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            loaded = list(pool.map(load, wanted))
        indexes = [each for each in loaded if isinstance(each, LoadedIndex)]
        served = {index.arch for index in indexes}
        errors: list[ImagistError] = []
        warnings: list[str] = []
        for (location, arch), each in zip(wanted, loaded, strict=True):
            if isinstance(each, NotFound) and not location.is_remote and arch in served:
                warnings += [problem.message for problem in each.problems]
            elif isinstance(each, ImagistError):
                errors.append(each)
        raise_together(errors)
        universes = {
            arch: Universe(
                Repository(each.table, f"{each.location.url}/{arch}", each.location.tag)
                for each in indexes
                if each.arch == arch
            )
            for arch in architectures
        }
        return universes, indexes, warnings

    def load(self, location: Location, arch: str) -> LoadedIndex:
        """Load one index.

        Raises:
            NotFound: the repository has nothing for the architecture.
            Untrusted: no trusted key signed it, or it is damaged.
            NetworkError: the server cannot be reached, or refuses.
        """
        url = location.index_url(arch)
        what = redact(url)
        document = self._reader.find(url, limit=_MAX_COMPRESSED, optional=True)
        if document is None and not location.is_remote and not Path(location.url).is_dir():
            raise NotFound(
                f"there is no folder {location.url}, which is a repository of the declaration",
                help="paths of repositories are relative to the working folder; see -C",
            )
        if document is None:
            raise NotFound(
                f"the repository {redact(location.url)} has no packages for {arch}: "
                f"there is no {what}",
                help="name only architectures it has, under `archs` or with --platform",
            )
        digest, read = document

        @functools.cache
        def open_archive() -> IndexArchive:
            return split_index(read(), self._limit, what=what)

        key = self._verify(open_archive, digest, self._keys.for_repository(location), what)
        return LoadedIndex(location, arch, digest, key, self._parse(open_archive, digest, what))

    def _verify(
        self, open_archive: _Open, digest: Digest, keys: Mapping[str, Key], what: str
    ) -> str:
        """Step 1 of the chain of trust: a trusted key signed the index."""
        if self._ignore_signatures:
            return UNSIGNED
        trusted = tuple(sorted((key.name, sha256(key.pem)) for key in keys.values()))
        question = memo_key("index-signature", digest, trusted)
        known = self._store.memo.get("index-signature", question)
        if known is not None:
            return known.decode()
        archive = open_archive()
        try:
            signer = verify_signatures(archive.signatures, archive.signed, keys, what)
        except Untrusted:
            for _ in archive.read_text():  # damage says more than a signature that is wrong for it
                pass
            raise
        self._store.memo.put("index-signature", question, signer.encode())
        return signer

    def _parse(self, open_archive: _Open, digest: Digest, what: str) -> IndexTable:
        question = memo_key("index-table", IndexTable.FORMAT, digest)
        known = self._store.memo.get("index-table", question)
        if known is not None:
            try:
                return IndexTable.open_file(self._store.path(known.decode()))
            except InputError:  # damaged: made anew, and not taken for what is made
                with contextlib.suppress(OSError):
                    Path(self._store.blobs.place(known.decode())).unlink()
        from imagist.packages.apk.tablemaker import write_table  # noqa: PLC0415 - seldom needed

        with self._making, self._store.writer() as writer:
            write_table(open_archive().read_text(), writer.write, what)
            table = writer.commit()
        self._store.memo.put("index-table", question, table.encode(), blobs=[table])
        return IndexTable.open_file(self._store.path(table))
