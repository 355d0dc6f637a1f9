"""Reading lock files: apko's v1 JSON, of which imagist's own locks are a superset."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable

import msgspec

from imagist.errors import InputError, Problem, RequestError
from imagist.oci.platform import Platform

VERSION = "v1"


class LockedRange(msgspec.Struct, frozen=True, kw_only=True):
    """One segment of a package: its bytes in the .apk, and their checksum."""

    range: str = ""
    checksum: str = ""


class LockedPackage(msgspec.Struct, frozen=True, kw_only=True):
    """One package for one architecture, in installation order."""

    name: str
    url: str
    version: str
    architecture: str
    checksum: str = ""
    signature: LockedRange = LockedRange()
    control: LockedRange = LockedRange()
    data: LockedRange = LockedRange()

    @property
    def datahash(self) -> str:
        """SHA-256 of the data segment in hex; empty where the lock does not say."""
        kind, _, encoded = self.data.checksum.partition("-")
        try:
            return base64.b64decode(encoded, validate=True).hex() if kind == "sha256" else ""
        except binascii.Error:
            return encoded  # no digest is this, so the package is refused


class LockedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key, embedded so that its rotation does not break old locks."""

    name: str
    url: str = ""
    content: str = ""


class LockedRepository(msgspec.Struct, frozen=True, kw_only=True):
    """A repository index as it was asked for."""

    name: str
    url: str
    architecture: str = ""


class LockedContents(msgspec.Struct, frozen=True, kw_only=True):
    """What the declaration's `contents` became."""

    keyring: tuple[LockedKey, ...] = ()
    build_repositories: tuple[LockedRepository, ...] = ()
    runtime_repositories: tuple[LockedRepository, ...] = ()
    repositories: tuple[LockedRepository, ...] = ()
    packages: tuple[LockedPackage, ...] = ()


class LockedConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The declaration the lock was made from; `checksum` covers it and all it includes."""

    name: str
    checksum: str


class Lock(msgspec.Struct, frozen=True, kw_only=True):
    """A lock file: which packages, from where, with which digests."""

    version: str
    config: LockedConfig | None = None
    contents: LockedContents = LockedContents()

    def packages_for(self, platform: Platform) -> list[LockedPackage]:
        """The packages of one platform, in the order they are installed.

        Raises:
            RequestError: the lock has none for it.
        """
        found = [p for p in self.contents.packages if p.architecture == platform.apk]
        if not found:
            locked = sorted({p.architecture for p in self.contents.packages})
            raise RequestError(
                f"the lock has no packages for {platform} ({platform.apk})",
                help=f"it was made for {', '.join(locked) or 'no architecture'}; lock again",
            )
        return found


def parse_lock(raw: bytes, name: str) -> Lock:
    """Read a lock file; fields that are not known here are left alone.

    Raises:
        InputError: not JSON, or not a lock.
        RequestError: a lock of another version, or one too old to build from.
    """
    try:
        lock = msgspec.json.decode(raw, type=Lock)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{name} is not a lock file: {error}", where=name) from error
    if lock.version != VERSION:
        raise RequestError(
            f"{name} is a lock of version {lock.version!r}; only {VERSION} is known", where=name
        )
    problems = [
        Problem(
            f"{package.name} {package.version} has no checksum in the lock", name, "lock again"
        )
        for package in lock.contents.packages
        if not package.checksum.startswith("Q1")
    ]
    if lock.config is None:
        problems.append(Problem("the lock does not say what it was made from", name, "lock again"))
    if problems:
        raise RequestError(problems)
    return lock


def declaration_checksum(sources: Iterable[bytes]) -> str:
    """Apko's checksum of a declaration: SHA-256 over its files' bytes, in the order loaded."""
    state = hashlib.sha256()
    for raw in sources:
        state.update(raw)
    return "sha256-" + base64.b64encode(state.digest()).decode()
