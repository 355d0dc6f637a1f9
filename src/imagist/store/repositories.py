"""Repositories of a registry: names for manifests and blobs of the store, as small files.

root/repositories/<name>/_manifests/<algorithm>/<hex>   what a manifest is, and its content
root/repositories/<name>/_blobs/<algorithm>/<hex>       the blob is a member of the repository
root/repositories/<name>/_tags/<tag>                    the digest of a manifest
root/repositories/<name>/_referrers/<algorithm>/<hex>/  descriptors of what refers to a manifest
root/repositories/<name>/_uploads/<id>                  the bytes of an upload so far
root/repositories/<name>/_lock                          held while manifests and tags change

Content lies in the store under its SHA-256, whatever it is called in a repository; a name in
SHA-512 is a small file that tells it. Each file appears by rename, content before what names it,
so a kill at any moment leaves nothing that names what is not there.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import msgspec

from imagist.digest import Digest
from imagist.errors import ImagistError
from imagist.oci.manifest import Descriptor, encode
from imagist.store.blobs import Blobs, explain
from imagist.store.lock import shared

_ALGORITHMS: Final = ("sha256", "sha512")
_HEX: Final = re.compile("[0-9a-f]{64}|[0-9a-f]{128}")
_SMALL: Final = 1 << 16
"""Bytes that are read at a time."""
_RENEW_AFTER: Final = 3600.0
"""Seconds after which a look at a blob lets its link count as new again; see `prune`."""


class Content(msgspec.Struct, frozen=True):
    """Where the bytes of a manifest or blob are."""

    digest: str
    """Their SHA-256, whatever they are called in a repository."""
    path: str
    size: int


class Stored(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a repository knows of a manifest."""

    media_type: str
    size: int
    content: str
    """Its SHA-256 digest, under which the store has it."""
    subject: str = ""
    """The digest of the manifest that it refers to."""


class Repositories:
    """All repositories of a store; safe for many threads and processes."""

    def __init__(self, blobs: Blobs) -> None:
        self.blobs = blobs
        self.folder = blobs.root / "repositories"
        self._lock = blobs.root / "lock"

    def get(self, name: str) -> Repository:
        """A repository by its name, which must be a valid one; it need not exist."""
        return Repository(self, name)

    def names(self) -> list[str]:
        """The names of all repositories that have or had a manifest, in order."""
        return sorted(name for name, parts in self._walk() if "_manifests" in parts)

    def all_names(self) -> list[str]:
        """The names of all repositories that have or had anything, in order."""
        return sorted(name for name, parts in self._walk() if any(p[0] == "_" for p in parts))

    def uploads(self) -> Iterator[str]:
        """The files of all uploads that have begun and not ended."""
        for name in self.all_names():
            folder = f"{self.folder}/{name}/_uploads"
            yield from (f"{folder}/{number}" for number in _names(folder))

    def committing(self) -> AbstractContextManager[None]:
        """Keep `prune` out while content and what names it are put in their places."""
        return shared(self._lock)

    def _walk(self, name: str = "") -> Iterator[tuple[str, list[str]]]:
        """The names of all folders, and what is in each."""
        parts = _names(f"{self.folder}/{name}" if name else str(self.folder))
        if name:
            yield name, parts
        for part in parts:
            if not part.startswith("_"):
                yield from self._walk(f"{name}/{part}" if name else part)


class Repository:
    """One repository: its members, tags and referrers. Nothing of it is kept in memory."""

    def __init__(self, repositories: Repositories, name: str) -> None:
        self.name = name
        self.blobs = repositories.blobs
        self.committing = repositories.committing
        self.folder = f"{repositories.folder}/{name}"

    def exists(self) -> bool:
        """Whether anything was ever put into it."""
        return any(os.path.isdir(f"{self.folder}/{part}") for part in ("_manifests", "_blobs"))  # noqa: PTH112 - str paths

    def find_blob(self, digest: Digest) -> Content | None:
        """A blob that is a member; a look lets its link count as new again."""
        link = self._link("_blobs", digest)
        try:
            status = os.stat(link)  # noqa: PTH116 - str paths
            content = digest if digest.algorithm == "sha256" else _read_text(link)
        except OSError:
            return None
        if time.time() - status.st_mtime > _RENEW_AFTER:
            with contextlib.suppress(OSError):
                os.utime(link)
        return self._find_content(content)

    def add_blob(self, digest: Digest, content: Digest) -> None:
        """Make content of the store a member, under this digest; within `committing`."""
        link = self._link("_blobs", digest)
        if digest == content:
            with explain(self.blobs.root):
                _touch(link)
        else:
            self.blobs.write_file(link, content.encode())

    def remove_blob(self, digest: Digest) -> bool:
        """End a blob's membership; whether it was one."""
        return _unlink(self._link("_blobs", digest))

    def blob_links(self) -> Iterator[tuple[Digest, str, float]]:
        """Every blob's digest, the digest of its content, and when it was linked or looked at."""
        for digest in self._listed("_blobs"):
            link = self._link("_blobs", digest)
            with contextlib.suppress(FileNotFoundError):
                content = digest if digest.algorithm == "sha256" else _read_text(link)
                yield digest, content, os.stat(link).st_mtime  # noqa: PTH116 - str paths

    def find_manifest(self, digest: Digest) -> tuple[Stored, Content] | None:
        """What is known of a manifest, and where its bytes are."""
        stored = self._read_stored(digest)
        content = stored and self._find_content(stored.content)
        return (stored, content) if stored and content else None

    def manifests(self) -> Iterator[tuple[Digest, Stored]]:
        """Every manifest."""
        for digest in self._listed("_manifests"):
            if stored := self._read_stored(digest):
                yield digest, stored

    def add_manifest(
        self, digest: Digest, stored: Stored, descriptor: Descriptor, tags: Iterable[str]
    ) -> None:
        """Name a manifest whose content is in the store; within `committing` and `alone`.

        Args:
            digest: the manifest's.
            stored: what is to be known of it.
            descriptor: how it is listed among the referrers of its subject.
            tags: names that it gets.
        """
        if stored.subject:
            self.blobs.write_file(self._referrer(stored.subject, digest), encode(descriptor))
        self.blobs.write_file(self._link("_manifests", digest), encode(stored))
        for tag in tags:
            self.blobs.write_file(f"{self.folder}/_tags/{tag}", digest.encode())

    def remove_manifest(self, digest: Digest) -> bool:
        """Forget a manifest with its tags, and as a referrer; within `alone`."""
        stored = self._read_stored(digest)
        if stored is None:
            return False
        for tag in self.tags():
            if self.find_tag(tag) == digest:
                self.remove_tag(tag)
        _unlink(self._link("_manifests", digest))
        if stored.subject:
            _unlink(self._referrer(stored.subject, digest))
        return True

    def referrers(self, subject: Digest) -> list[Descriptor]:
        """Descriptors of the manifests that refer to one, which need not exist, in order."""
        folder = self._link("_referrers", subject)
        found = []
        for name in sorted(_names(folder)):
            algorithm, _, encoded = name.partition("-")
            if _HEX.fullmatch(encoded) and self._read_stored(Digest(f"{algorithm}:{encoded}")):
                with contextlib.suppress(OSError, msgspec.DecodeError):
                    raw = _read(f"{folder}/{name}")
                    found.append(msgspec.json.decode(raw, type=Descriptor))
        return found

    def find_tag(self, tag: str) -> Digest | None:
        """The digest that a tag stands for."""
        try:
            return Digest(_read_text(f"{self.folder}/_tags/{tag}"))
        except (OSError, ImagistError):
            return None

    def tags(self) -> list[str]:
        """All tags, in order."""
        return sorted(_names(f"{self.folder}/_tags"))

    def remove_tag(self, tag: str) -> bool:
        """Remove a tag and leave its manifest; whether there was one."""
        return _unlink(f"{self.folder}/_tags/{tag}")

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Change manifests and tags while nobody else does."""
        with explain(Path(self.folder)):
            os.makedirs(self.folder, exist_ok=True)  # noqa: PTH103 - str paths
            file = os.open(f"{self.folder}/_lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)

    def _find_content(self, digest: str) -> Content | None:
        status = self.blobs.find(digest)
        return Content(digest, self.blobs.place(digest), status.st_size) if status else None

    def _read_stored(self, digest: Digest) -> Stored | None:
        try:
            raw = _read(self._link("_manifests", digest))
            return msgspec.json.decode(raw, type=Stored)
        except (OSError, msgspec.DecodeError):
            return None

    def _listed(self, kind: str) -> Iterator[Digest]:
        for algorithm in _ALGORITHMS:
            for name in _names(f"{self.folder}/{kind}/{algorithm}"):
                if _HEX.fullmatch(name):
                    yield Digest(f"{algorithm}:{name}")

    def _link(self, kind: str, digest: Digest) -> str:
        return f"{self.folder}/{kind}/{digest.algorithm}/{digest.hex}"

    def _referrer(self, subject: str, digest: Digest) -> str:
        return f"{self._link('_referrers', Digest(subject))}/{digest.algorithm}-{digest.hex}"


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names only
    except (FileNotFoundError, NotADirectoryError):
        return []


def _read(path: str) -> bytes:
    """A small file; a third of what file objects take, on the way of each request."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(file, _SMALL)
        while len(data) % _SMALL == 0 and (more := os.read(file, _SMALL)):
            data += more
    finally:
        os.close(file)
    return data


def _read_text(path: str) -> str:
    return _read(path).decode("ascii", "replace")


def _touch(path: str) -> None:
    """Have an empty file that is new; folders that are missing are made."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
    try:
        file = os.open(path, flags, 0o644)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - str paths
        file = os.open(path, flags, 0o644)
    try:
        os.utime(file)
    finally:
        os.close(file)


def _unlink(path: str) -> bool:
    try:
        os.unlink(path)  # noqa: PTH108 - str paths
    except FileNotFoundError:
        return False
    return True
