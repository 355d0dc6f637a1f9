"""One repository of one registry: manifests and blobs there and back, tags (distribution-spec)."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO, Final, cast
from urllib.parse import quote

import msgspec

from imagist.digest import Digest, sha256
from imagist.errors import NetworkError, NotFound, RequestError, Untrusted
from imagist.net.retry import Manner, Waiter
from imagist.net.transport import Response
from imagist.oci import derive, mediatype
from imagist.oci.contents import Blob
from imagist.oci.manifest import Descriptor, decode
from imagist.oci.reader import verified
from imagist.progress import SILENT, Meter
from imagist.registry.known import Known
from imagist.registry.referrers import Referrers
from imagist.registry.refusal import Missing, is_document, no_registry
from imagist.registry.scope import Scope
from imagist.registry.session import Session
from imagist.registry.singleflight import SingleFlight
from imagist.registry.upload import SMALL, Uploader
from imagist.registry.uploading import is_passing

_ACCEPT: Final = ", ".join(sorted(mediatype.INDEXES | mediatype.MANIFESTS))
"""Never schema 1, which a registry gives to whoever accepts anything."""
_OK: Final = frozenset({200})
_PAGE: Final = 1000
"""Names on a page of tags; some registries refuse more."""
_MANIFEST: Final = "manifest "
"""In front of the digests of manifests, which registries keep apart from blobs."""
_BLOB: Final = Manner(any_status=True, resume=False)
_NUMBER: Final = re.compile("[0-9]{1,18}")


class RawManifest(msgspec.Struct, frozen=True):
    """A manifest or index as a registry gives it."""

    media_type: str
    raw: bytes
    digest: Digest


class Repository:
    """One repository of one registry; safe for many threads."""

    def __init__(self, session: Session, name: str, known: Known, waiter: Waiter) -> None:
        """Use `Registries.repository`."""
        self.registry = session.registry
        self.name = name
        self._session = session
        self._known = known
        self._waiter = waiter
        self._pull = (Scope(f"repository:{name}", ("pull",)),)
        self._push = (Scope(f"repository:{name}", ("pull", "push")),)
        self._delete = (Scope(f"repository:{name}", ("pull", "push", "delete")),)
        self._referrers = Referrers(session, name, self, self._pull)
        self._uploads: SingleFlight[bool] = SingleFlight()
        self._uploader = Uploader(session, name, waiter)

    def __str__(self) -> str:
        return f"{self.registry}/{self.name}"

    # Manifests

    def resolve(self, tag_or_digest: str, *, push: bool = False) -> Descriptor | None:
        """The descriptor of a manifest, None where there is none; its bytes are not fetched.

        Args:
            tag_or_digest: which one.
            push: whether a push will follow: one token then serves for both.

        Raises:
            NetworkError: the registry cannot be reached, or refuses.
        """
        path = self._manifest(tag_or_digest)
        scopes = self._push if push else self._pull
        response = self._session.send("HEAD", path, scopes=scopes, headers={"Accept": _ACCEPT})
        with response:
            told = response.headers.get("docker-content-digest", "")
            size = response.headers.get("content-length", "")
            kind = _media_type(response)
            if response.status == 200 and _is_digest(told) and _NUMBER.fullmatch(size) and kind:
                if ":" in tag_or_digest and told != tag_or_digest:
                    raise Untrusted(f"{self}@{tag_or_digest} is {told}, says the registry")
                return Descriptor(media_type=kind, digest=Digest(told), size=int(size))
            if response.status in {404, 410}:
                return None
            if response.status not in {200, 405}:
                raise self._session.refusal(response, "HEAD", path, scopes)
        try:
            found = self.get_manifest(tag_or_digest)
        except NotFound:
            return None
        return Descriptor(media_type=found.media_type, digest=found.digest, size=len(found.raw))

    def get_manifest(self, tag_or_digest: str) -> RawManifest:
        """A manifest or index, checked: against the digest asked for, or that the registry tells.

        Raises:
            NotFound: there is none.
            NetworkError: the registry cannot be reached, or refuses.
            Untrusted: it is another one, or too large.
            InputError: it is no manifest that imagist reads, such as one of schema 1.
        """
        path = self._manifest(tag_or_digest)
        with self._session.expect(
            _OK, "GET", path, scopes=self._pull, headers={"Accept": _ACCEPT}
        ) as response:
            raw = response.read(derive.MAX_DOCUMENT + 1)
            told = response.headers.get("docker-content-digest", "")
            kind = _media_type(response)
        what = f"{self}{'@' if ':' in tag_or_digest else ':'}{tag_or_digest}"
        if len(raw) > derive.MAX_DOCUMENT:
            raise Untrusted(f"{what} is larger than any manifest may be")
        if not told and not is_document(raw):
            raise no_registry(self.registry, what)
        promised = tag_or_digest if ":" in tag_or_digest else told
        digest = _check(raw, promised if _is_digest(promised) else "", what)
        if kind not in mediatype.MANIFESTS and kind not in mediatype.INDEXES:
            kind = derive.detect_media_type(raw)
        self.note_manifest(raw, kind)
        return RawManifest(kind, raw, digest)

    def put_manifest(self, raw: bytes, media_type: str, *, tag: str = "") -> Digest:
        """Put a manifest or index under its digest, and under a tag where one is given.

        Raises:
            NetworkError: the registry cannot be reached, or refuses.
        """
        digest = sha256(raw)
        headers = self._put_manifest(raw, media_type, tag or digest)
        if b'"subject"' in raw and "oci-subject" not in headers:
            from imagist.oci.referrer import describe_referrer  # noqa: PLC0415 - few are any

            found = describe_referrer(raw, media_type)
            if found is not None:
                self._referrers.add(*found)
        return digest

    def delete_manifest(self, tag_or_digest: str) -> None:
        """Delete a manifest with its tags; given a tag, that tag alone where the registry can.

        Raises:
            NotFound: there is none.
            NetworkError: the registry cannot be reached, or refuses.
        """
        found = None
        if ":" in tag_or_digest:
            from imagist.oci.referrer import describe_referrer  # noqa: PLC0415 - as above

            raw, media_type = self.get_tagged(tag_or_digest)
            found = describe_referrer(raw, media_type)
        path = self._manifest(tag_or_digest)
        with self._session.expect(frozenset({200, 202, 204}), "DELETE", path, scopes=self._delete):
            pass
        self._known.forget(self.registry, self.name, _MANIFEST + tag_or_digest)
        if found is not None:
            self._referrers.remove(tag_or_digest, found[1])

    def referrers(self, digest: str, artifact_type: str = "") -> list[Descriptor]:
        """What refers to a manifest: signatures, attestations and the like.

        Args:
            digest: the subject's, which need not be there.
            artifact_type: only those of this type; all where it is empty.

        Raises:
            NetworkError: the registry cannot be reached, or refuses.
            InputError: what it gives is no index.
        """
        return self._referrers.find(digest, artifact_type)

    def get_tagged(self, tag: str) -> tuple[bytes, str]:
        """See `referrers.Tagged`."""
        found = self.get_manifest(tag)
        return found.raw, found.media_type

    def put_tagged(self, raw: bytes, media_type: str, tag: str) -> None:
        """See `referrers.Tagged`."""
        self._put_manifest(raw, media_type, tag)

    def _put_manifest(self, raw: bytes, media_type: str, name: str) -> Mapping[str, str]:
        """Put a manifest, and give the headers of the answer."""
        with self._session.expect(
            frozenset({200, 201, 202, 204}),
            "PUT",
            self._manifest(name),
            scopes=self._push,
            headers={"Content-Type": media_type},
            body=raw,
        ) as response:
            told = response.headers.get("docker-content-digest", "")
        digest = sha256(raw)
        if told.startswith("sha256:") and told != digest:
            raise NetworkError(f"{self}: the registry has stored {told} instead of {digest}")
        self.note_manifest(raw, media_type)
        return response.headers

    def note_manifest(self, raw: bytes, media_type: str) -> None:
        """Remember what a manifest that the repository holds proves: it has what that names."""
        self._known.note(self.registry, self.name, [_MANIFEST + sha256(raw)])
        if media_type in mediatype.MANIFESTS:
            document = derive.parse_manifest(raw)
            # Layers that may not be distributed need not be there.
            named = [document.config, *(item for item in document.layers if not item.urls)]
            self._known.note(self.registry, self.name, [item.digest for item in named])

    def is_known_to_have_manifest(self, digest: str) -> bool:
        """Whether a manifest was got from here or put here before; nobody is asked."""
        return self._known.holds(self.registry, self.name, _MANIFEST + digest)

    def tags(self) -> Iterator[str]:
        """The tags, in the registry's order, page by page.

        Raises:
            NotFound: there is no such repository.
            NetworkError: the registry cannot be reached, or refuses.
        """
        from imagist.registry.pages import read_pages  # noqa: PLC0415 - for lists alone

        path = f"/v2/{self.name}/tags/list?n={_PAGE}"
        for page in read_pages(self._session, path, self._pull):
            yield from decode(_TagList, page, f"the tags of {self}").tags or ()

    # Blobs

    def has_blob(self, digest: str) -> bool:
        """Whether the repository holds a blob.

        Raises:
            NetworkError: the registry cannot be reached, or refuses.
        """
        if self.is_known_to_hold(digest):
            return True
        path = self._blob(digest)
        with self._session.send("HEAD", path, scopes=self._pull) as response:
            if response.status == 200:
                self._known.note(self.registry, self.name, [digest])
                return True
            if response.status in {404, 410}:
                return False
            raise self._session.refusal(response, "HEAD", path, self._pull)

    def is_known_to_hold(self, digest: str) -> bool:
        """Whether something that was seen before proves it; nobody is asked."""
        return self._known.holds(self.registry, self.name, digest)

    def open_blob(self, digest: str, size: int = -1) -> BinaryIO:
        """Open a blob, checked while it is read, and taken up again where it breaks off.

        Args:
            digest: which one.
            size: bytes it must have; -1 where that is not known.

        Raises:
            NotFound: the repository does not hold it.
            NetworkError: the registry cannot be reached, or refuses.
            Untrusted: it is announced to have another size.
        """
        from imagist.registry.ahead import read_ahead  # noqa: PLC0415 - who pushes reads none
        from imagist.registry.download import RemoteBlob  # noqa: PLC0415

        path, what = self._blob(digest), f"{self}@{digest}"

        def ask(offset: int) -> Response:
            headers = {"Range": f"bytes={offset}-"} if offset else {}
            accept = frozenset({200, 206}) if offset else _OK
            return self._session.expect(
                accept, "GET", path, scopes=self._pull, headers=headers, manner=_BLOB
            )

        blob = RemoteBlob(ask, what, size=size, waiter=self._waiter)
        return verified(read_ahead(cast("BinaryIO", blob), blob.size), digest, size, what)

    def put_blob(self, blob: Blob, *, meter: Meter = SILENT) -> bool:
        """Let the repository have a blob, by the cheapest way there is.

        Returns:
            Whether bytes were sent: False where it was there already, or could be mounted.

        Raises:
            Untrusted: the blob is not what its digest says.
            NetworkError: the registry cannot be reached, or refuses.
        """
        # Threads that want the same blob there wait for the first: registries exist that lose
        # one of two equal uploads.
        return self._uploads.do(blob.digest, lambda: self._put_blob(blob, meter))

    def _put_blob(self, blob: Blob, meter: Meter) -> bool:
        if self.is_known_to_hold(blob.digest):
            return False
        other = self._known.find_other(self.registry, self.name, blob.digest)
        if not other and blob.size > SMALL and self.has_blob(blob.digest):
            return False
        location = ""
        if other or (blob.size > SMALL and self._uploader.finds_anywhere):
            try:
                location = self.mount(blob.digest, other)
            except (NetworkError, Missing) as error:  # some have no mounts, or not for this user
                if not other and isinstance(error, NetworkError) and is_passing(error):
                    raise
                self._uploader.finds_anywhere &= bool(other)
            else:
                if not location:
                    return False
        self._uploader.put(blob, location=location, meter=meter)
        self._known.note(self.registry, self.name, [blob.digest])
        return True

    def mount(self, digest: str, origin: str) -> str:
        """Let the repository have a blob of another repository of its registry, or of any.

        Returns:
            Nothing where it has it now; else where the upload goes that the registry began.

        Raises:
            NetworkError: the registry refuses.
        """
        location = self._uploader.mount(digest, origin)
        if not location:
            self._known.note(self.registry, self.name, [digest])
        return location

    def delete_blob(self, digest: str) -> None:
        """Delete a blob.

        Raises:
            NotFound: there is none.
            NetworkError: the registry cannot be reached, or refuses.
        """
        self._known.forget(self.registry, self.name, digest)
        with self._session.expect(
            frozenset({200, 202, 204}), "DELETE", self._blob(digest), scopes=self._delete
        ):
            pass

    def _manifest(self, tag_or_digest: str) -> str:
        return f"/v2/{self.name}/manifests/{quote(tag_or_digest, safe=':')}"

    def _blob(self, digest: str) -> str:
        return f"/v2/{self.name}/blobs/{quote(digest, safe=':')}"


class _TagList(msgspec.Struct, frozen=True):
    tags: tuple[str, ...] | None = ()


def _media_type(response: Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _is_digest(text: str) -> bool:
    try:
        return Digest(text).algorithm in {"sha256", "sha512"}
    except RequestError:
        return False


def _check(raw: bytes, promised: str, what: str) -> Digest:
    """The digest of a document, which must be the one that was promised."""
    if not promised:
        return sha256(raw)
    with verified(io.BytesIO(raw), promised, len(raw), what) as reader:
        while reader.read(len(raw) + 1):
            pass
    return Digest(promised)
