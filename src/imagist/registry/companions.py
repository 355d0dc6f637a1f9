"""Where an image lies and what lies beside it: in a repository, or in a layout or archive."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

from imagist.errors import NotFound
from imagist.oci import derive, lazy
from imagist.oci.image import Image, Index
from imagist.oci.manifest import Descriptor
from imagist.oci.referrer import describe_referrer, fallback_tag
from imagist.registry.repository import Repository
from imagist.registry.source import RegistrySource
from imagist.registry.tree import Companions
from imagist.store.layout import REF_NAME, LayoutSource, read_index


class Beside(Companions, Protocol):
    """`Companions` that can be had, not only looked at."""

    def load(self, digest: str) -> Image | Index:
        """One of them.

        Raises:
            NotFound: it is not there.
        """
        ...


class RemoteCompanions:
    """The `Companions` of an image in a registry."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._source = RegistrySource(repository)

    def referrers(self, digest: str) -> Sequence[Descriptor]:
        """See `Repository.referrers`."""
        return self._repository.referrers(digest)

    def tagged(self, tag: str) -> tuple[bytes, str] | None:
        """The manifest under a tag."""
        try:
            return self._repository.get_tagged(tag)
        except NotFound:
            return None

    def load(self, digest: str) -> Image | Index:
        """See `Beside.load`."""
        return self._source.load(digest)


class IndexedCompanions:
    """The `Companions` of an image in a layout or archive: what its `index.json` lists.

    Tools put referrers there without a name, or list them under the fallback tag.
    """

    def __init__(self, source: lazy.BlobSource, items: Sequence[Descriptor]) -> None:
        """Take the blobs, and the descriptors of `index.json`."""
        self._source = source
        self._items = items

    def referrers(self, digest: str) -> Sequence[Descriptor]:
        """What has this subject, or is listed under the fallback tag."""
        found = {item.digest: item for item in self._by_subject.get(digest, ())}
        listed = self.tagged(fallback_tag(digest))
        if listed is not None:
            found |= {item.digest: item for item in derive.parse_index(listed[0]).manifests}
        return list(found.values())

    def tagged(self, tag: str) -> tuple[bytes, str] | None:
        """The manifest that has this name."""
        for item in self._items:
            if item.annotations.get(REF_NAME) == tag:
                return lazy.read_document(self._source, item), item.media_type
        return None

    def load(self, digest: str) -> Image | Index:
        """See `Beside.load`."""
        return lazy.load_digest(self._source, digest)

    @cached_property
    def _by_subject(self) -> dict[str, list[Descriptor]]:
        found: dict[str, list[Descriptor]] = {}
        for item in filter(derive.is_child, self._items):
            raw = lazy.read_document(self._source, item)
            described = describe_referrer(raw, item.media_type)
            if described is not None:
                found.setdefault(described[1], []).append(described[0])
        return found


class NoCompanions:
    """The `Companions` of an image in the store, where nothing lies beside another."""

    def referrers(self, digest: str) -> Sequence[Descriptor]:
        """None."""
        del digest
        return ()

    def tagged(self, tag: str) -> None:
        """None."""
        del tag

    def load(self, digest: str) -> Image | Index:
        """See `Beside.load`."""
        raise NotFound(f"nothing lies beside the image, and so not {digest}")


def companions_at(path: Path | None) -> Beside:
    """What lies beside an image at a path; nothing where it is elsewhere.

    Raises:
        InputError: `index.json` is damaged.
    """
    if path is None:
        return NoCompanions()
    if path.is_dir():
        return IndexedCompanions(LayoutSource(path), read_index(path))
    from imagist.store.tarsource import TarSource  # noqa: PLC0415 - it loads three compressors

    archive = TarSource(path)
    if "index.json" not in archive.members:
        return NoCompanions()
    return IndexedCompanions(archive, derive.parse_index(archive.read("index.json")).manifests)
