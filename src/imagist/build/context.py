"""What a job is given: what was asked for (`Options`), and the world it works in (`Context`)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, BinaryIO, Protocol

import msgspec

from imagist.build.lockfile import Lock
from imagist.build.trace import Trace
from imagist.oci.image import Image, Index
from imagist.oci.platform import Platform
from imagist.packages.apk.archive import PackageLimits
from imagist.packages.apk.index import MAX_INDEX
from imagist.packages.reading import Reader
from imagist.progress import Meter
from imagist.store.store import Store

if TYPE_CHECKING:
    from imagist.registry.client import Registries


class Limits(msgspec.Struct, frozen=True):
    """Bounds on what is read; sizes in bytes."""

    indexes: int = MAX_INDEX
    """An uncompressed index."""
    packages: PackageLimits = PackageLimits()


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says beside the declaration."""

    platforms: tuple[Platform, ...] = ()
    """Build for these only; those of the declaration where empty."""
    keyring: tuple[str, ...] = ()
    build_repositories: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    lock: Lock | None = None
    lock_name: str = ""
    """The lock's file, for errors."""
    preferred: dict[str, str] = {}
    """Versions by package name that are kept as long as that is possible."""
    ignore_signatures: bool = False
    build_date: int | None = None
    """Seconds since 1970; the time written into the image where nothing else says it."""
    source_date_epoch: int | None = None
    """SOURCE_DATE_EPOCH: goes before every other time."""
    vcs_url: str = ""
    """`url@revision` of the declaration, where the declaration itself does not say."""
    format: str = ""
    limits: Limits = Limits()


class Report(Protocol):
    """Where a job says what it is doing."""

    def stage(self, text: str) -> None:
        """A step has begun or ended."""
        ...

    def warn(self, text: str) -> None:
        """Something is odd, but not wrong."""
        ...

    def meter(
        self, what: str, *, items: int = 0, size: int | None = None
    ) -> AbstractContextManager[Meter]:
        """Where work that moves many bytes counts them, for as long as the block lasts.

        Args:
            what: a noun for what moves, such as `packages`, or the name of a file.
            items: how many there are; 0 where that is not known.
            size: bytes of all of them; None where that is not known.
        """
        ...


class Target(Protocol):
    """Where the images will go: what is there already need not be made or fetched."""

    def find_image(self, digest: str) -> Image | Index | None:
        """An image or index that is there with everything it names; None where it is not.

        Raises:
            NetworkError: nobody can tell.
        """
        ...

    def find_memory(self) -> Image | None:
        """What a build before left beside its image, see `memory`; not to be trusted."""
        ...

    def open_blob(self, digest: str) -> BinaryIO:
        """Open a blob that is there, to be checked while it is read; the caller closes it.

        Raises:
            NotFound: it is not there.
            NetworkError: nobody can tell.
        """
        ...


class Context(msgspec.Struct, frozen=True):
    """The world a job works in."""

    store: Store
    reader: Reader
    report: Report
    today: str
    """ISO date, for keys that expire; nothing of it goes into an image."""
    jobs: int
    """Threads that verify and compress."""
    trace: Trace
    """Takes notes of what is read."""
    target: Target | None = None
    """Where the images go, if that is known and may be asked."""
    registries: Callable[[], Registries] | None = None
    """Where base images come from."""
