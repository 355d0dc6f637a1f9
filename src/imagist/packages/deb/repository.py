"""Loading archives: fetch a release, verify it, make tables of the indexes that it vouches for.

The chain of trust: a trusted key signed the release; the release has the SHA-256 of each index; an
index has the SHA-256 of each .deb.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Final, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec

from imagist.digest import Digest
from imagist.errors import ImagistError, InputError, NotFound, Untrusted, raise_together
from imagist.net.url import is_remote, origin_of, redact
from imagist.packages.deb.compression import uncompress
from imagist.packages.deb.index import ALL, MAX_INDEX
from imagist.packages.deb.openpgp import (
    Keyring,
    Verified,
    load_keyring_file,
    machine_keyrings,
    select_keys,
    verify_clearsigned,
    verify_detached,
)
from imagist.packages.deb.release import (
    MAX_RELEASE,
    ListedFile,
    Release,
    check_date,
    parse_release,
    warn_of_name,
)
from imagist.packages.deb.sources import SNAPSHOT, Source
from imagist.packages.deb.table import IndexTable
from imagist.packages.deb.universe import Pin, Repository, Suite, Universe
from imagist.packages.reading import Reader
from imagist.store.memo import memo_key
from imagist.store.store import Store

STEP: Final = "index-table"
_CONNECTIONS: Final = 8
_MAX_SIGNATURE: Final = 1 << 20
# Seconds for a mebibyte of the compressed file: to fetch it at 20 MiB/s, and to uncompress it.
_COSTS: Final = {"": 0.05, "zst": 0.055, "gz": 0.06, "xz": 0.105, "bz2": 0.35, "lzma": 0.105}
A = TypeVar("A")
T = TypeVar("T")


class LoadedRelease(NamedTuple):
    """One suite of one archive, verified."""

    source: Source
    release: Release
    signers: tuple[str, ...]
    """Fingerprints of the trusted keys that signed it; empty where it was taken without."""
    warning: str = ""


class LoadedIndex(msgspec.Struct, frozen=True):
    """One index of one suite, verified and ready to be searched."""

    source: Source
    arch: str
    component: str
    digest: Digest
    """Of the Packages file as it was listed and read, compressed or not."""
    suite: Suite
    table: IndexTable


class Loaded(NamedTuple):
    """Everything that is on offer."""

    universes: dict[str, Universe]
    """By Debian architecture."""
    releases: tuple[LoadedRelease, ...]
    indexes: tuple[LoadedIndex, ...]
    warnings: tuple[str, ...]


class ArchiveLoader:
    """Loads archives through a store that remembers which indexes were parsed before."""

    def __init__(
        self,
        store: Store,
        reader: Reader,
        *,
        now: float,
        keyrings: Sequence[Keyring] = (),
        root: Path = Path("/"),
        ignore_signatures: bool = False,
        limit: int = MAX_INDEX,
    ) -> None:
        """Nothing is read yet.

        Args:
            store: keeps what was fetched and made.
            reader: fetches.
            now: seconds since 1970, for releases that end.
            keyrings: declared keys, trusted for sources that do not name their own with
                `signed-by`; without any, the machine's own.
            root: the folder that has the machine's own keyrings.
            ignore_signatures: take releases unsigned.
            limit: bytes of an uncompressed index.
        """
        self._store = store
        self._reader = reader
        self._now = now
        self._declared = tuple(keyrings)
        self._root = root
        self._ignore_signatures = ignore_signatures
        self._limit = limit
        self._making = threading.Lock()  # one at a time: each takes memory for its directory

    def load(
        self,
        sources: Sequence[Source],
        architectures: Sequence[str],
        *,
        pins: Iterable[Pin] = (),
        foreign: Mapping[str, Sequence[str]] | None = None,
    ) -> Loaded:
        """Load all indexes of all sources, several at once.

        Args:
            sources: each with an address, see `sources.complete`.
            architectures: Debian names.
            pins: wishes as to priorities.
            foreign: by architecture, others whose packages may be chosen beside its own.

        Raises:
            ImagistError: releases and indexes that cannot be had or trusted; all of them at once.
        """
        others = {each for more in (foreign or {}).values() for each in more}
        wanted = list(dict.fromkeys((*architectures, *sorted(others))))
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            releases = _together(pool.map(_catching(self.load_release), sources))
            asked = [
                (loaded, component, arch)
                for loaded in releases
                for component in loaded.source.components or ("",)
                for arch in _indexes_of(loaded, wanted)
            ]
            indexes = _together(pool.map(_catching(lambda item: self.load_index(*item)), asked))
        served = {index.arch for index in indexes if not index.source.is_flat} - {ALL}
        universes = {
            arch: Universe(
                arch,
                _repositories(indexes, {arch, ALL, *(foreign or {}).get(arch, ())}),
                pins=pins,
                foreign=(foreign or {}).get(arch, ()),
            )
            for arch in architectures
        }
        missing = [arch for arch in wanted if arch not in served]
        if missing and not any(index.source.is_flat for index in indexes):
            raise NotFound(
                f"no source has packages for {', '.join(missing)}",
                help="name only architectures that the sources have",
            )
        warnings = tuple(each.warning for each in releases if each.warning)
        return Loaded(universes, tuple(releases), tuple(indexes), warnings)

    def load_release(self, source: Source) -> LoadedRelease:
        """Fetch and verify one release.

        Raises:
            NotFound: the archive has no such suite.
            Untrusted: no trusted key signed it, or it is over.
            NetworkError: the server cannot be reached, or refuses.
        """
        source = self._pin(source)
        what = f"{redact(source.folder)}/InRelease"
        verified, what = self._verify(source, what)
        release = parse_release(verified.text, what)
        moment = source.pinned
        check_date(
            release,
            what,
            now=self._now if moment is None else moment,
            check=source.check_valid_until,
        )
        return LoadedRelease(
            source, release, verified.signers, warn_of_name(release, source.suite, what)
        )

    def _pin(self, source: Source) -> Source:
        """A source with a moment, at the address where its archive has snapshots."""
        if not source.snapshot or SNAPSHOT in source.uri:
            return source
        today = msgspec.structs.replace(source, snapshot="")
        release = self.load_release(today).release
        if not release.snapshots or SNAPSHOT not in release.snapshots:
            raise InputError(
                f"{source} does not say where its snapshots are",
                help=f"write the address of an archive of snapshots, with {SNAPSHOT} in it",
            )
        # The field has the address of the archive, behind which `dists` and `pool` follow.
        return msgspec.structs.replace(source, uri=release.snapshots.rstrip("/"))

    def _verify(self, source: Source, what: str) -> tuple[Verified, str]:
        """The text of a release that somebody vouches for, and what it is called."""
        lax = self._ignore_signatures or source.trusted
        message = self._read(f"{source.folder}/InRelease", MAX_RELEASE)
        if message is not None and not lax:
            return verify_clearsigned(message, self._keyrings(source), what), what
        if message is not None and b"-----BEGIN PGP SIGNED MESSAGE-----" in message[:64]:
            return Verified(_unwrap(message), ()), what
        if message is not None:
            return Verified(message, ()), what
        what = f"{redact(source.folder)}/Release"
        text = self._read(f"{source.folder}/Release", MAX_RELEASE)
        if text is None:
            raise NotFound(
                f"there is no release at {redact(source.folder)}: neither InRelease nor Release",
                help="check the address and the suite of the source",
            )
        if lax:
            return Verified(text, ()), what
        signature = self._read(f"{source.folder}/Release.gpg", _MAX_SIGNATURE)
        if signature is None:
            raise Untrusted(
                f"{what} is not signed: there is no Release.gpg",
                help="ask whoever publishes it; a source with `trusted=yes` is taken without",
            )
        return verify_detached(text, signature, self._keyrings(source), what), what

    def _read(self, url: str, limit: int) -> bytes | None:
        return self._reader.read(url, limit=limit, optional=True)

    def _keyrings(self, source: Source) -> list[Keyring]:
        """Who may have signed a source.

        Raises:
            InputError: nobody could have; or a keyring is not there.
        """
        if source.keys:
            return [Keyring("`signed-by`", source.keys.encode())]
        paths = [each for each in source.signed_by if "/" in each]
        fingerprints = [each for each in source.signed_by if "/" not in each]
        if paths:
            found = [load_keyring_file(Path(path)) for path in paths]
        else:
            found = list(self._declared) or machine_keyrings(self._root)
        if not found:
            raise InputError(
                f"there is no key to verify {source} with",
                help="name a keyring with `signed-by=/path` or in `contents.keyring`",
            )
        return select_keys(found, fingerprints)

    def load_index(self, loaded: LoadedRelease, component: str, arch: str) -> LoadedIndex:
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
        """The first of some listed files that is there."""
        for file in listed:
            data = self._read_listed(loaded, file)
            if data is not None:
                return Digest(f"sha256:{file.sha256}"), self._make(loaded.source, file, data)
        names = ", ".join(file.path for file in listed)
        raise NotFound(
            f"{redact(loaded.source.folder)} lists {names}, and has none of them",
            help="the mirror is incomplete: try again later, or use another",
        )

    def _read_listed(self, loaded: LoadedRelease, file: ListedFile) -> bytes | None:
        """A file by its hash, where the archive can do that, else by its name."""
        source = loaded.source
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
    """The listed forms of an index, the one that is had soonest first."""
    found = [
        (cost * listed.size, listed)
        for form, cost in _COSTS.items()
        if (listed := release.files.get(f"{folder}Packages{form and f'.{form}'}")) is not None
    ]
    return [listed for _, listed in sorted(found)]


def _component(release: Release, component: str) -> str:
    """How a release calls a component: security suites may have `updates/` before it."""
    for prefix in ("", "updates/"):
        if any(path.startswith(f"{prefix}{component}/binary-") for path in release.files):
            return f"{prefix}{component}"
    return component


def _indexes_of(loaded: LoadedRelease, wanted: Sequence[str]) -> Iterator[str]:
    """The architectures of a source to load: of those wanted what it is asked for and has."""
    source, release = loaded.source, loaded.release
    if source.is_flat:
        yield ALL
        return
    for arch in wanted:
        if source.architectures and arch not in source.architectures:
            continue
        if not release.architectures or arch in release.architectures:
            yield arch
    if release.splits_all:
        yield ALL


def _repositories(indexes: Iterable[LoadedIndex], architectures: set[str]) -> list[Repository]:
    return [
        Repository(each.table, each.suite, each.source.address, each.source.identity)
        for each in indexes
        if each.arch in architectures
    ]


def _unwrap(message: bytes) -> bytes:
    """The text of a clearsigned message that nobody verifies (RFC 9580, section 7)."""
    _, _, rest = message.replace(b"\r\n", b"\n").partition(b"\n\n")
    text, _, _ = rest.partition(b"\n-----BEGIN PGP SIGNATURE-----")
    return b"\n".join(line.removeprefix(b"- ") for line in text.split(b"\n")) + b"\n"


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


def _catching(work: Callable[[A], T]) -> Callable[[A], T | ImagistError]:
    """The same work, which gives its error instead of raising it."""

    def attempt(item: A) -> T | ImagistError:
        try:
            return work(item)
        except ImagistError as error:
            return error

    return attempt


def _together(results: Iterable[T | ImagistError]) -> list[T]:
    """Results in their order; errors are raised together."""
    found: list[T] = []
    errors: list[ImagistError] = []
    for result in results:
        if isinstance(result, ImagistError):
            errors.append(result)
        else:
            found.append(result)
    raise_together(errors)
    return found
