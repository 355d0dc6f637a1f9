"""What a registry gives from: repositories of a store, or an OCI layout that is there already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from imagist.digest import Digest
from imagist.oci.manifest import Descriptor
from imagist.store.repositories import Content, Stored


class Source(Protocol):
    """A repository to read from."""

    name: str

    def exists(self) -> bool:
        """Whether there is such a repository."""

    def find_blob(self, digest: Digest) -> Content | None:
        """A blob that is a member."""

    def find_manifest(self, digest: Digest) -> tuple[Stored, Content] | None:
        """What is known of a manifest, and where its bytes are."""

    def find_tag(self, tag: str) -> Digest | None:
        """The digest that a tag stands for."""

    def tags(self) -> list[str]:
        """All tags, in order."""

    def referrers(self, subject: Digest) -> Sequence[Descriptor]:
        """Descriptors of the manifests that refer to one."""


class Sources(Protocol):
    """Repositories to read from."""

    def get(self, name: str) -> Source:
        """A repository by its name, which must be a valid one; it need not exist."""

    def names(self) -> list[str]:
        """The names of all repositories, in order."""
