"""Fetching APKs into the store."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import BinaryIO, Final

import msgspec

from imagist.errors import InputError, Untrusted
from imagist.packages.apk.archive import ApkFiles, PackageLimits, verify_package
from imagist.packages.apk.database import with_record
from imagist.packages.apk.packed import FORMAT, decode_package_files, encode_package_files
from imagist.packages.blobs import Blobs
from imagist.packages.fetch import Fetcher, Identity
from imagist.packages.reading import Reader
from imagist.progress import SILENT, Meter
from imagist.store.memo import memo_key
from imagist.store.store import Store

STEP: Final = "apk"


class Wanted(msgspec.Struct, frozen=True):
    """A package that an index or a lock names."""

    name: str
    version: str
    arch: str
    checksum: str
    """`Q1...`, the identity of the package."""
    url: str
    size: int | None = None
    """Bytes of the .apk, where known."""
    datahash: str = ""
    """SHA-256 of the data segment in hex, where a lock knows it."""

    @property
    def identity(self) -> Identity:
        """The same wherever the package lies; a checksum alone may stand under two names."""
        return self.checksum, self.name, self.version


Recollected = Mapping[Identity, ApkFiles]
"""What somebody says of packages who is not to be trusted; whoever uses it checks the result."""
NOTHING: Final[Recollected] = MappingProxyType({})


class PackageFetcher(Fetcher[Wanted, ApkFiles]):
    """Gets APKs out of the store, or into it."""

    def __init__(
        self,
        store: Store,
        reader: Reader,
        *,
        jobs: int = 2,
        limits: PackageLimits | None = None,
        meter: Meter = SILENT,
        recollected: Recollected = NOTHING,
    ) -> None:
        """As `Fetcher`; `limits` are bounds on what is read."""
        super().__init__(store, reader, jobs=jobs, meter=meter, recollected=recollected)
        self._limits = limits

    def _recall(self, package: Wanted) -> ApkFiles | None:
        known = self._store.memo.get(STEP, _key(package.checksum))
        if known is None:
            return None
        files = decode_package_files(known)
        # A package of this checksum was verified, but was it this one? If not, verifying it anew
        # will say why not: what is in the store changes nothing about what is accepted.
        bound = (self._limits or PackageLimits()).tar.total
        return files if _is_wanted(files, package) and files.tar_size <= bound else None

    def _is_pinned(self, files: ApkFiles, package: Wanted) -> bool:
        # Only with the data hash that a lock knows is it certain which bytes it speaks of.
        return bool(package.datahash) and _is_wanted(files, package)

    def _verify(self, stream: BinaryIO, blobs: Blobs, package: Wanted) -> ApkFiles:
        return verify_package(
            stream,
            blobs,
            name=package.name,
            version=package.version,
            arch=package.arch,
            checksum=package.checksum,
            size=package.size,
            limits=self._limits,
        )

    def _check(self, files: ApkFiles, package: Wanted) -> None:
        if not _has_datahash(files, package):
            raise Untrusted(
                f"its data segment is {files.data}, where the lock has sha256:{package.datahash}",
                help="the lock and the package disagree; lock again if you trust the package",
            )

    def _remember(self, package: Wanted, files: ApkFiles) -> ApkFiles:
        with contextlib.suppress(InputError):  # a build that needs the record tells why not
            files = with_record(files)
        self._store.memo.put(
            STEP, _key(package.checksum), encode_package_files(files), blobs=[files.data]
        )
        return files


def _is_wanted(files: ApkFiles, wanted: Wanted) -> bool:
    """Whether `verify_package` would take a package that it took before for this one, too."""
    found = files.package
    return (
        (found.name, found.version) == (wanted.name, wanted.version)
        and found.arch in {wanted.arch or found.arch, "noarch", "all", ""}
        and wanted.size in {None, found.size}
        and _has_datahash(files, wanted)
    )


def _key(checksum: str) -> str:
    return memo_key(STEP, FORMAT, checksum)


def _has_datahash(files: ApkFiles, package: Wanted) -> bool:
    return not package.datahash or files.data == f"sha256:{package.datahash}"
