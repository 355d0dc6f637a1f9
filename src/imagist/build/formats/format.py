"""What building an image asks of a format of packages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from imagist.build.context import Context, Options
from imagist.build.formats.packaging import Packaging
from imagist.build.lockfile import LockedContents, LockedPackage
from imagist.declaration.include import LoadedDeclaration
from imagist.declaration.model import BaseImage, Declaration
from imagist.oci.platform import Platform
from imagist.packages.fetch import Fetcher, Identity
from imagist.packages.files import PackageFiles
from imagist.packages.solving.why import Why
from imagist.progress import SILENT, Meter
from imagist.rootfs.content import Contents
from imagist.rootfs.tree import Tree


class Question(NamedTuple):
    """What is to be resolved."""

    loaded: LoadedDeclaration
    """The declaration as it was written, for places and checksums."""
    declaration: Declaration
    """The same with options added and defaults filled in."""
    platforms: tuple[Platform, ...]
    world: Mapping[Platform, tuple[str, ...]]
    """What is asked for, as it was written."""
    installed: Mapping[Platform, Sequence[Any]]
    """The packages of a base image, as `Format.read_installed` gives them."""
    options: Options
    """With a lock, nothing is solved and no index is read."""
    reasons: bool = False
    """Whether the solver's own answer is wanted, and not one that is remembered."""


class Resolved(msgspec.Struct, frozen=True):
    """The packages of an image; each format adds what else its images need to know."""

    world: Mapping[Platform, tuple[str, ...]]
    """What the declaration asks for, as it was written."""
    packages: Mapping[Platform, tuple[Any, ...]]
    """What is wanted, in installation order; what a base image has is not among it."""
    resolution: Any = None
    """What the solver found; None where a lock decided, or a solution was remembered."""
    universes: Mapping[Platform, Any] = {}
    """What there was to choose from; empty where a lock decided."""

    def state(self, platform: Platform) -> object:
        """What else decides the bytes of one platform's image; it has no path and no secret."""
        raise NotImplementedError

    def pin(self, wanted: Any) -> Pin:
        """What a lock holds a package to."""
        raise NotImplementedError

    def label(self, wanted: Any, platform: Platform) -> str:  # noqa: ARG002 - others need it
        """What tells a wanted package from all others of one platform: its name, mostly."""
        name: str = wanted.name
        return name

    def is_offered(self, platform: Platform, name: str, pin: Pin) -> bool:
        """Whether a repository still offers what a lock holds a package to."""
        raise NotImplementedError


class Pin(NamedTuple):
    """What a lock holds a package to."""

    version: str
    checksum: str
    url: str
    tag: str
    security: str = ""
    """The suite of security updates that it is from; empty where it is from another."""


class TrustedKey(NamedTuple):
    """A key, and what is taken for true where it has signed it."""

    name: str
    """A file's name or a fingerprint, with what else tells people whose it is."""
    trusted_for: str
    """A repository, several, or `EVERY_REPOSITORY`."""
    text: str
    """The key itself, as text."""


EVERY_REPOSITORY: Final = "every repository"


class Format(Protocol):
    """One format of packages."""

    packed: str
    """Names the bytes of `encode`, which change with what verification finds out."""

    def resolve(self, question: Question, context: Context) -> Resolved:
        """Decide on the packages of every platform.

        Raises:
            Unsatisfiable: no packages fit.
            RequestError: the lock is of another declaration.
            ImagistError: a key or an index cannot be had or trusted.
        """
        ...

    def list_keys(
        self,
        declaration: Declaration,
        platforms: Sequence[Platform],
        options: Options,
        context: Context,
    ) -> list[TrustedKey]:
        """Whom a declaration trusts.

        Raises:
            ImagistError: a key cannot be had or read.
        """
        ...

    def open_fetcher(
        self,
        context: Context,
        options: Options,
        *,
        meter: Meter = SILENT,
        recollected: Mapping[Identity, Any] = {},
    ) -> Fetcher[Any, Any]:
        """What gets packages into the store; see `fetch.Fetcher`."""
        ...

    def find_data(self, wanted: Any) -> str:
        """The digest of a wanted package's blob, where a lock knows it; else empty."""
        ...

    def encode(self, files: Any) -> bytes:
        """A verified package as bytes."""
        ...

    def decode(self, raw: bytes) -> PackageFiles:
        """The verified package of some bytes.

        Raises:
            InputError: they are of another version.
        """
        ...

    def identity(self, files: Any) -> Identity:
        """What a verified package is wanted by."""
        ...

    def read_installed(
        self,
        tree: Tree,
        contents: Contents,
        declared: BaseImage,
        platform: Platform,
        context: Context,
    ) -> tuple[Any, ...]:
        """What is installed in a base image."""
        ...

    def describe_installed(self, installed: Sequence[Any]) -> Sequence[Any]:
        """The same as the solver takes it."""
        ...

    def select(
        self, packages: Sequence[Any], resolved: Any, platform: Platform
    ) -> Sequence[PackageFiles]:
        """The packages without the files that the format itself leaves out."""
        ...

    def open_packaging(
        self, resolved: Any, platform: Platform, base: Sequence[Any]
    ) -> Packaging[Any]:
        """What an image has of the format beside the packages; `base` are those below it."""
        ...

    def why(self, resolution: Any, platform: Platform, name: str, universe: Any) -> Why[Any]:
        """Why a package is in an image.

        Raises:
            NotFound: it is not in it.
        """
        ...

    def describe(self, wanted: Any, offer: Any) -> dict[str, object]:
        """What `show packages` tells of a wanted package; `offer` is what an index knows of it."""
        ...

    def lock_sources(
        self, question: Question, resolved: Any, platforms: Sequence[Platform]
    ) -> LockedContents:
        """What a lock says of keys and repositories; its packages come beside.

        Raises:
            InputError: a key that no lock can hold.
        """
        ...

    def lock_package(
        self, wanted: Any, files: Any, platform: Platform, resolved: Any
    ) -> LockedPackage:
        """What a lock says of a package of one platform."""
        ...
