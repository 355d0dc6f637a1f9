"""What every lock says, whatever its format: packages, their files, and when each is wanted."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, Self

import msgspec

from imagist.errors import Problem, Span
from imagist.net.url import has_secret
from imagist.packages.wheel.lock.graph import Graph

_SEPARATORS: Final = re.compile(r"[-_.]+")
_DIGITS: Final = 64
_SHA256: Final = f"[0-9a-f]{{{_DIGITS}}}"
_SHOWN: Final = 80

MAIN: Final = "main"
"""The group of what a project cannot do without, as locks with groups call it here."""


class File(msgspec.Struct, frozen=True):
    """A wheel or source distribution that a lock allows."""

    name: str
    """Its file name, which says what it fits."""
    sha256: str
    """In hex; nothing enters an image without it."""
    size: int | None = None
    location: str = ""
    """URL, or path relative to the lock's folder; empty where only an index or the lock knows."""

    @property
    def is_wheel(self) -> bool:
        """Whether it can be installed without running code of it."""
        return self.name.endswith(".whl")

    def without_secret(self) -> Self:
        """The same as it may be kept: without a location that tells a password or is signed."""
        return msgspec.structs.replace(self, location="") if has_secret(self.location) else self


class Origin(msgspec.Struct, frozen=True):
    """Where a package is from that is no file of an index."""

    kind: Literal["vcs", "directory"]
    location: str
    """URL, or path relative to the lock's folder."""
    revision: str = ""
    """The commit, of version control."""


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a package, and when it is wanted."""

    name: str
    """Normalised (PEP 503): lower case, hyphens."""
    version: str = ""
    """Empty where only its source tells."""
    files: tuple[File, ...] = ()
    allowed: frozenset[str] = frozenset()
    """SHA-256 of the files that may be taken, where the lock does not say what they are called."""
    index: str = ""
    """URL of the index it must come from; empty: the configured ones."""
    origin: Origin | None = None
    subdirectory: str = ""
    """Folder of the project in what its source is unpacked to."""
    marker: str = ""
    requires_python: str = ""
    groups: Mapping[str, str] = {}
    """Groups that want it, each with a marker of its own; none where the marker says it all."""
    where: str = ""
    """Its path in the lock, such as `packages[3].name`, which `Lock.locate` turns into a place."""

    @property
    def is_complete(self) -> bool:
        """Whether its files are known and can be had without asking an index."""
        return bool(self.origin) or (not self.allowed and all(f.location for f in self.files))

    def __str__(self) -> str:
        return f"{self.name} {self.version}".rstrip()


class Lock(msgspec.Struct, frozen=True, kw_only=True):
    """All packages that a project may need, on any platform."""

    file: str
    """Its path, as messages name it."""
    packages: tuple[Package, ...]
    requires_python: str = ""
    environments: tuple[str, ...] = ()
    """Markers, one of which must hold; none: it is for every environment."""
    extras: tuple[str, ...] | None = None
    """Those it knows of; None where the format does not list them."""
    groups: tuple[str, ...] | None = None
    default_groups: tuple[str, ...] = ()
    """Those that are wanted in any case."""
    extras_are_groups: bool = False
    """Whether an extra is to be asked for as a group of that name."""
    indexes: tuple[str, ...] = ()
    """Indexes that the lock names for all packages, in order; none: the configured ones."""
    extra_indexes: tuple[str, ...] = ()
    """Indexes that it names beside those."""
    find_links: tuple[str, ...] = ()
    """More places with files: folders or pages of links."""
    source: str = ""
    """The file whose requirements it was made of, relative to its folder; empty where it does not
    say."""
    is_narrow: bool = False
    """Whether it holds just what its extras and groups want, and so is for these alone."""
    graph: Graph | None = None
    """Who needs whom, of locks that do not say of each package when it is wanted."""
    locate: Callable[[str], Span | str] = str

    def place(self, package: Package) -> Span | str:
        """Where a package stands in the lock."""
        return self.locate(package.where) if package.where else self.file


Read = Callable[[str], bytes]
"""Bytes of a file by path; FileNotFoundError or NotFound where there is none."""


def normalize(name: str) -> str:
    """A package's, extra's or group's name as it is compared (PEP 503, PEP 685)."""
    return _SEPARATORS.sub("-", name).lower()


def pick_sha256(hashes: Mapping[str, Any]) -> str:
    """The SHA-256 of a table of hashes; empty where there is none that is one."""
    value = hashes.get("sha256", "")
    found = value.lower() if isinstance(value, str) else ""
    return found if re.fullmatch(_SHA256, found) else ""


def read_hash(text: str) -> str:
    """The hex digits of `sha256:...`; empty where it is something else."""
    algorithm, _, value = text.partition(":")
    return pick_sha256({algorithm: value})


def _tell_flaw(text: str) -> str:
    """Why a hash will not do: it is of another kind, or somebody's slip."""
    algorithm, _, digits = text.partition(":")
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    if algorithm.lower() != "sha256" or not digits:
        return f"`{shown}` is of another kind"
    wrong = re.search("[^0-9a-fA-F]", digits)
    if wrong:
        return f"`{shown}` holds `{wrong[0]}`, which is no hex digit"
    return f"`{shown}` has {len(digits)} hex digits, not {_DIGITS}"


def unhashed(what: str, where: Span | str | None, stated: Iterable[str] = ()) -> Problem:
    """What is wrong with a file that nothing vouches for.

    Args:
        what: names it.
        where: it stands.
        stated: hashes that it has, `algorithm:digits`; none of them will do.
    """
    reasons = [_tell_flaw(text) for text in stated if text]
    return Problem(
        "; ".join([f"{what} has no SHA-256 hash in the lock", *reasons]),
        where,
        "lock again with hashes; without them nothing tells whether a file is the right one",
    )
