"""Fetching .debs into the store: each is uncompressed and made a layer once in its life."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import BinaryIO, Final

import msgspec

from imagist.packages.blobs import Blobs
from imagist.packages.deb.archive import DebFiles, DebLimits, verify_deb
from imagist.packages.deb.packed import FORMAT, decode_deb_files, encode_deb_files
from imagist.packages.fetch import Fetcher, Identity
from imagist.packages.reading import Reader
from imagist.progress import SILENT, Meter
from imagist.store.memo import memo_key
from imagist.store.store import Store

STEP: Final = "deb"


class WantedDeb(msgspec.Struct, frozen=True):
    """A package that an index or a lock names."""

    name: str
    version: str
    arch: str
    """A Debian architecture, or `all`."""
    sha256: str
    """Of the .deb in hex."""
    url: str
    size: int | None = None
    """Bytes of the .deb, where known."""
    layer: str = ""
    """Digest of the layer that comes of it, where a lock knows that."""
    source: str = ""
    """What a lock calls the archive and suite that it is from: `Source.identity`."""
    path: str = ""
    """Its place below the archive."""

    @property
    def identity(self) -> Identity:
        """The same wherever the package lies."""
        return self.sha256, self.name, self.version


Recollected = Mapping[Identity, DebFiles]
"""What somebody says of packages who is not to be trusted; whoever uses it checks the result."""
NOTHING: Final[Recollected] = MappingProxyType({})


class DebFetcher(Fetcher[WantedDeb, DebFiles]):
    """Gets .debs out of the store, or into it."""

    def __init__(
        self,
        store: Store,
        reader: Reader,
        *,
        jobs: int = 2,
        limits: DebLimits | None = None,
        meter: Meter = SILENT,
        recollected: Recollected = NOTHING,
    ) -> None:
        """As `Fetcher`; `limits` are bounds on what is read."""
        super().__init__(store, reader, jobs=jobs, meter=meter, recollected=recollected)
        self._limits = limits

    def _recall(self, package: WantedDeb) -> DebFiles | None:
        known = self._store.memo.get(STEP, _key(package.sha256))
        if known is None:
            return None
        files = decode_deb_files(known)
        bound = (self._limits or DebLimits()).tar.total
        return files if _is_wanted(files, package) and files.tar_size <= bound else None

    def _is_pinned(self, files: DebFiles, package: WantedDeb) -> bool:
        # Only with the layer that a lock knows is it certain which bytes it speaks of.
        return files.data == package.layer and _is_wanted(files, package)

    def _verify(self, stream: BinaryIO, blobs: Blobs, package: WantedDeb) -> DebFiles:
        return verify_deb(
            stream,
            blobs,
            name=package.name,
            version=package.version,
            arch=package.arch,
            sha256=package.sha256,
            size=package.size,
            limits=self._limits,
        )

    def _remember(self, package: WantedDeb, files: DebFiles) -> DebFiles:
        value = encode_deb_files(files)
        self._store.memo.put(STEP, _key(package.sha256), value, blobs=[files.data])
        return files


def _is_wanted(files: DebFiles, wanted: WantedDeb) -> bool:
    """Whether `verify_deb` would take a package that it took before for this one, too."""
    found = files.package
    return (
        (found.name, found.version, files.sha256) == (wanted.name, wanted.version, wanted.sha256)
        and found.architecture in {wanted.arch, "all"}
        and wanted.size in {None, files.size}
    )


def _key(sha256: str) -> str:
    return memo_key(STEP, FORMAT, sha256)
