"""An OCI layout as a registry to pull from: one repository, called after the folder.

The images that `index.json` lists are its manifests, with everything below them; their names are
its tags. Nothing is copied, and the folder is not written to. Layouts come from others, so links
are not followed: one could lead to any file of this machine.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

from imagist.digest import Digest
from imagist.errors import InputError
from imagist.oci.manifest import AnyManifest, Descriptor, decode
from imagist.oci.reference import is_tag
from imagist.server.routes import is_media_type
from imagist.store.layout import REF_NAME, read_index
from imagist.store.repositories import Content, Stored

_NOT_IN_A_NAME: Final = re.compile("[^a-z0-9]+")
_UNNAMED: Final = "latest"
_LARGEST: Final = 16 << 20


class LayoutSources:
    """The one repository of a layout; see `sources.Sources`."""

    def __init__(self, folder: Path) -> None:
        """Read every manifest of the layout.

        Raises:
            InputError: a document of it is damaged, or lies elsewhere.
        """
        folder = folder.resolve()
        for each in (folder / "oci-layout", folder / "index.json"):
            if _find_file(each) is None:
                raise InputError(
                    f"{each} is no file of this layout", help="links are not followed"
                )
        name = _NOT_IN_A_NAME.sub("-", folder.name.lower()).strip("-") or "layout"
        self._source = LayoutSource(folder, name)

    def names(self) -> list[str]:
        """Its name."""
        return [self._source.name]

    def get(self, name: str) -> LayoutSource:
        """The repository, or an empty one of another name."""
        return self._source if name == self._source.name else LayoutSource(None, name)


class LayoutSource:
    """What a layout holds; see `sources.Source`."""

    def __init__(self, folder: Path | None, name: str) -> None:
        """Read the layout; without one there is nothing."""
        self.name = name
        self._folder = folder
        self._tags: dict[str, Digest] = {}
        self._stored: dict[Digest, Stored] = {}
        self._referrers: dict[str, list[Descriptor]] = {}
        self._blobs: set[str] = set()
        if folder is not None:
            listed = read_index(folder)
            for item in listed:
                self._add(item)
                if tag := _tag(item, is_alone=len(listed) == 1):
                    self._tags[tag] = Digest(item.digest)

    def exists(self) -> bool:
        """Whether there is a layout."""
        return self._folder is not None

    def find_blob(self, digest: Digest) -> Content | None:
        """A blob that a manifest names."""
        return self._find(digest) if digest in self._blobs else None

    def find_manifest(self, digest: Digest) -> tuple[Stored, Content] | None:
        """A manifest that `index.json` or an index names."""
        stored, content = self._stored.get(digest), self._find(digest)
        return (stored, content) if stored and content else None

    def find_tag(self, tag: str) -> Digest | None:
        """The image of this name."""
        return self._tags.get(tag)

    def tags(self) -> list[str]:
        """The names of images."""
        return sorted(self._tags)

    def referrers(self, subject: Digest) -> list[Descriptor]:
        """What refers to a manifest."""
        return self._referrers.get(subject, [])

    def _add(self, item: Descriptor) -> None:
        digest = Digest(item.digest)
        content = self._find(digest)
        if digest in self._stored or content is None or content.size > _LARGEST:
            return  # a layout may be sparse
        if not is_media_type(item.media_type):
            raise InputError(f"{item.media_type!r} is no media type", where=str(self._folder))
        document = decode(
            AnyManifest, Path(content.path).read_bytes(), f"{digest} in {self._folder}"
        )
        subject = document.subject.digest if document.subject else ""
        self._stored[digest] = Stored(item.media_type, content.size, digest, subject)
        if subject:
            referrer = Descriptor(
                media_type=item.media_type,
                digest=digest,
                size=content.size,
                artifact_type=document.kind,
                annotations=document.annotations,
            )
            self._referrers.setdefault(subject, []).append(referrer)
        self._blobs.update(blob.digest for blob in document.blobs)
        for child in document.manifests or ():
            self._add(child)

    def _find(self, digest: Digest) -> Content | None:
        if self._folder is None:
            return None
        path = self._folder / "blobs" / digest.algorithm / digest.hex
        status = _find_file(path)
        return Content(digest, str(path), status.st_size) if status else None


def _find_file(path: Path) -> os.stat_result | None:
    """The status of a file, None where there is none, or a link on the way to it."""
    try:
        status = path.lstat()
    except OSError:
        return None
    is_there = stat.S_ISREG(status.st_mode) and os.path.realpath(path) == str(path)
    return status if is_there else None


def _tag(item: Descriptor, *, is_alone: bool) -> str:
    """The tag of an image: its name, or the tag in its name if that is a whole reference."""
    name = item.annotations.get(REF_NAME, "")
    if not name:
        return _UNNAMED if is_alone else ""
    tag = name.partition("@")[0].rpartition("/")[2].rpartition(":")[2]
    return tag if is_tag(tag) else ""
