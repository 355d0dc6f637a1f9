"""What maintainer scripts do to a system, as far as they are followed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Alternative(NamedTuple):
    """A command, or another file, of which several packages bring one (update-alternatives(1))."""

    link: str
    """Where it is looked for, `/usr/bin/editor`."""
    name: str
    """Of the link in /etc/alternatives."""
    path: str
    """What the package brings."""
    priority: int
    """The highest wins."""
    slaves: tuple[tuple[str, str, str], ...] = ()
    """Link, name and path of what goes with it, such as manual pages."""


class System(Protocol):
    """An image that is being made. Paths are absolute; symlinks are followed inside of it.

    What cannot be done raises `imagist.errors.InputError`.
    """

    def exists(self, path: str) -> bool:
        """Whether there is anything, at the end of symlinks."""

    def is_kind(self, path: str, kind: str) -> bool:
        """Whether there is a `file`, a `directory` or, not followed, a `symlink`."""

    def is_empty(self, path: str) -> bool:
        """Whether a file has no content, or a folder nothing in it."""

    def read_link(self, path: str) -> str | None:
        """The text of a symlink; None where there is none."""

    def read_text(self, path: str) -> str | None:
        """The text of a small file; None where there is none."""

    def glob(self, pattern: str) -> Sequence[str]:
        """The paths that match, in order."""

    def make_folder(self, path: str, mode: int) -> None:
        """Make a folder and those above it; one that is there keeps its mode."""

    def copy(self, source: str, target: str) -> None:
        """Copy a file, or a symlink, with its mode and owner."""

    def write(self, path: str, data: bytes) -> None:
        """Make a file, or replace its content."""

    def link(self, target: str, path: str) -> None:
        """Make a symlink in place of what is there; a folder there takes it in."""

    def move(self, source: str, target: str) -> None:
        """Rename."""

    def remove(self, path: str) -> None:
        """Remove a file, or a folder with what is in it."""

    def set_mode(self, path: str, mode: int, *, recursive: bool) -> None:
        """As chmod(1)."""

    def set_owner(
        self, path: str, user: str, group: str, *, recursive: bool, follow: bool
    ) -> None:
        """As chown(1); an empty name leaves what is there."""

    def has_user(self, name: str) -> bool:
        """Whether an account is there, or will be."""

    def has_group(self, name: str) -> bool:
        """Whether a group is there, or will be."""

    def add_alternative(self, alternative: Alternative) -> None:
        """Offer an alternative."""

    def prefer_alternative(self, name: str, path: str) -> None:
        """Choose an alternative, whatever the priorities."""

    def update_shells(self) -> None:
        """See that /etc/shells lists the shells of the packages (update-shells(8))."""
