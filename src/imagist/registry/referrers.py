"""Referrers: manifests whose subject is another one (distribution-spec, "Listing Referrers").

A registry without that API has an index under a tag made of the subject's digest, which clients
keep in step: they alone know that a manifest was pushed or deleted there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Protocol
from urllib.parse import quote

import msgspec

from imagist.errors import InputError, NetworkError, NotFound
from imagist.oci import derive, mediatype
from imagist.oci.manifest import Descriptor, IndexManifest, encode
from imagist.registry.scope import Scope
from imagist.registry.session import Session

_WITHOUT_API: Final = frozenset({400, 404, 405, 501})
"""Answers of registries that do not know the API; 404 and 400 are the usual ones."""
_ATTEMPTS: Final = 4
"""How often the fallback tag is written and read again, where others write it too."""
_EMPTY: Final = IndexManifest(schema_version=2)


class Tagged(Protocol):
    """What reads and writes the manifests of a repository by their tags."""

    def get_tagged(self, tag: str) -> tuple[bytes, str]:
        """The bytes and the media type of a manifest."""
        ...

    def put_tagged(self, raw: bytes, media_type: str, tag: str) -> None:
        """Put a manifest under a tag, whatever it is a referrer of."""
        ...


class Referrers:
    """The referrers in one repository; safe for many threads."""

    def __init__(
        self, session: Session, repository: str, tagged: Tagged, scopes: tuple[Scope, ...]
    ) -> None:
        """Take the registry's session, the repository's name, and what it needs to pull."""
        self._session = session
        self._path = f"/v2/{repository}/referrers/"
        self._tagged = tagged
        self._scopes = scopes
        self._has_api = True
        """Whether the registry was not yet seen to be without the API."""
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def find(self, digest: str, artifact_type: str = "") -> list[Descriptor]:
        """What refers to a digest, of one type where that is given.

        Raises:
            NetworkError: the registry cannot be reached, or refuses.
            InputError: what it gives is no index.
        """
        found = self._ask(digest, artifact_type) if self._has_api else None
        if found is None:
            from imagist.oci.referrer import fallback_tag  # noqa: PLC0415 - few push any

            found = self._read(fallback_tag(digest)).manifests
        return [item for item in found if artifact_type in {"", item.artifact_type}]

    def add(self, item: Descriptor, subject: str) -> None:
        """Note a referrer in the fallback tag of its subject.

        Raises:
            NetworkError: the registry refuses, or others overwrite the tag again and again.
        """

        def put(index: IndexManifest) -> IndexManifest:
            others = [each for each in index.manifests if each.digest != item.digest]
            listed = tuple(sorted((*others, item), key=lambda each: each.digest))
            return msgspec.structs.replace(index, manifests=listed)

        self._edit(subject, put)

    def remove(self, digest: str, subject: str) -> None:
        """Strike a referrer out of the fallback tag of its subject, if there is one.

        Raises:
            NetworkError: the registry refuses, or others overwrite the tag again and again.
        """
        if self._ask(subject, "") is not None:
            return  # the registry does that itself

        def strike(index: IndexManifest) -> IndexManifest:
            left = tuple(each for each in index.manifests if each.digest != digest)
            return msgspec.structs.replace(index, manifests=left)

        self._edit(subject, strike)

    def _ask(self, digest: str, artifact_type: str) -> tuple[Descriptor, ...] | None:
        """What the API says; None where there is none."""
        path = self._path + quote(digest, safe=":")
        path += f"?artifactType={quote(artifact_type, safe='')}" if artifact_type else ""
        response = self._session.send(
            "GET", path, scopes=self._scopes, headers={"Accept": mediatype.INDEX}
        )
        kind = response.headers.get("content-type", "").partition(";")[0].strip()
        if response.status in _WITHOUT_API or (response.status == 200 and "json" not in kind):
            response.close()  # some give their start page for every path that they do not know
            self._has_api = False
            return None
        if response.status != 200:
            raise self._session.refusal(response, "GET", path, self._scopes)
        from imagist.registry.pages import read_on  # noqa: PLC0415 - seldom asked for

        pages = read_on(self._session, response, path, self._scopes)
        return tuple(item for page in pages for item in derive.parse_index(page).manifests)

    def _read(self, tag: str) -> IndexManifest:
        try:
            raw, media_type = self._tagged.get_tagged(tag)
        except NotFound:
            return _EMPTY
        if media_type not in mediatype.INDEXES:
            raise InputError(
                f"the tag {tag} should list referrers, but is a {media_type}",
                help="remove that tag, and push again",
            )
        return derive.parse_index(raw)

    def _edit(self, subject: str, change: Callable[[IndexManifest], IndexManifest]) -> None:
        """Change a fallback tag, and see that the change was not lost to another writer."""
        from imagist.oci.referrer import fallback_tag  # noqa: PLC0415 - as above

        tag = fallback_tag(subject)
        with self._lock:
            lock = self._locks.setdefault(tag, threading.Lock())
        with lock:
            for _ in range(_ATTEMPTS):
                old = self._read(tag)
                new = change(old)
                if new.manifests == old.manifests:
                    return
                self._tagged.put_tagged(encode(new), mediatype.INDEX, tag)
        raise NetworkError(
            f"{self._session.registry}: {tag} does not keep what is written to it",
            help="others write it at the same time; push again",
        )
