"""A verified package of any format, as merging, layering and locking know it.

Each format adds what is its own: its records and scripts, and how its packages name each other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, Protocol, Self

from msgspec import Struct
from msgspec.structs import replace

from imagist.digest import Digest
from imagist.rootfs.elf import SharedObject
from imagist.rootfs.entry import Entry


class Described(Protocol):
    """What a package says of itself, and how it stands to others of its format."""

    @property
    def name(self) -> str:
        """Unique among the packages of one image."""

    @property
    def version(self) -> str:
        """In the format's own spelling."""

    @property
    def origin(self) -> str:
        """What it was built from, together with others; may be empty."""

    @property
    def installed_size(self) -> int:
        """Bytes on a disk, as its maker counted them."""

    @property
    def build_time(self) -> int:
        """Seconds since 1970; 0 where it is not told."""

    def offered_names(self) -> Collection[str]:
        """Its own name, then those it provides."""

    def needed_names(self) -> Iterable[str]:
        """The names it depends on, those of all alternatives."""

    def replaces_files_of(self, other: Self) -> bool:
        """Whether it may overwrite files of another."""

    def prevails_over(self, earlier: Self) -> bool | None:
        """Whether its file takes the place of one that an earlier package has, different from it.

        Returns:
            False where the earlier one stays, None where the two cannot be together.
        """


CUT: Final = "some of its files are left out"


class PackageFiles(Struct, frozen=True, gc=False):
    """A verified package whose files are a gzip'd tar in the store."""

    package: Described
    data: Digest
    """The tar as a blob."""
    data_size: int
    diff_id: Digest
    """SHA-256 of the tar, which is what a layer's diffID is."""
    tar_size: int
    """Bytes of the tar."""
    entries: tuple[Entry, ...] = ()
    """In tar order; offsets point into the tar."""
    libraries: tuple[SharedObject, ...] = ()
    """Shared libraries by the names ldconfig looks at, in tar order."""
    verbatim: str = ""
    """Why the blob cannot be a layer as it is; empty where it can."""

    @property
    def provenance(self) -> str:
        """What a history tells of the blob as a layer, after the package's name."""
        return ""

    def with_entries(self, entries: tuple[Entry, ...]) -> Self:
        """The same package, of which there are only some entries; its blob has all of them."""
        paths = {entry.path for entry in entries}
        libraries = tuple(each for each in self.libraries if each.path in paths)
        return replace(self, entries=entries, libraries=libraries, verbatim=self.verbatim or CUT)
