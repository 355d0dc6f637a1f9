"""Manifests: giving, taking and removing them (distribution-spec, "Pushing Manifests")."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from imagist.digest import Digest, sha256
from imagist.errors import ImagistError
from imagist.oci import mediatype
from imagist.oci.manifest import AnyManifest, Descriptor, decode
from imagist.oci.reference import is_tag
from imagist.server.contents import give
from imagist.server.messages import Refusal, Request, Response
from imagist.server.quota import Quota
from imagist.server.routes import Route, is_media_type, parse_digest
from imagist.server.sources import Source, Sources
from imagist.store.blobs import BlobWriter
from imagist.store.repositories import Repositories, Repository, Stored

LARGEST: Final = 16 << 20
"""Bytes of the largest manifest that is taken; the specification wants at least 4 MiB."""
_MOST_TAGS: Final = 100
_SCHEMA_1: Final = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)
_ELSEWHERE: Final = ("nondistributable", "foreign")
"""Parts of the media types of layers that stay where they are, and are not pushed."""


def give_manifest(sources: Sources, request: Request, route: Route) -> Response:
    """GET and HEAD of a manifest, by tag or digest.

    Raises:
        Refusal: there is none.
    """
    source = sources.get(route.name)
    digest = _find(source, route)
    found = source.find_manifest(digest) if digest else None
    if digest is None or found is None:
        raise _unknown(source, route)
    stored, content = found
    return give(request, digest, content, stored.media_type)


def delete_manifest(repositories: Repositories, route: Route) -> Response:
    """DELETE of a tag, which leaves the manifest, or of a manifest with all its tags.

    Raises:
        Refusal: there is none.
    """
    repository = repositories.get(route.name)
    if not repository.exists():
        raise _unknown(repository, route)
    with repositories.committing(), repository.alone():
        if ":" in route.reference:
            removed = repository.remove_manifest(parse_digest(route.reference))
        else:
            removed = is_tag(route.reference) and repository.remove_tag(route.reference)
    if not removed:
        raise _unknown(repository, route)
    return Response(202, [("content-length", "0")])


class ManifestIntake:
    """Takes a manifest; see `messages.Intake`."""

    def __init__(
        self,
        repositories: Repositories,
        quota: Quota,
        request: Request,
        route: Route,
        *,
        sparse: bool,
    ) -> None:
        """Look at what is known before the body.

        Raises:
            Refusal: the reference or a tag is none, or the body is too large.
        """
        self._repositories = repositories
        self._repository = repositories.get(route.name)
        self._quota = quota
        self._sparse = sparse
        self._media_type = request.header("content-type").partition(";")[0].strip().lower()
        self._name = route.name
        self._digest = parse_digest(route.reference) if ":" in route.reference else None
        asked = request.parameters("tag")
        self._tags = list(dict.fromkeys(asked if self._digest else [route.reference, *asked]))
        for tag in self._tags:
            if not is_tag(tag):
                message = f"`{tag}` is not a tag: at most 128 letters, digits and `._-`"
                raise Refusal(400, "TAG_INVALID", message, detail={"tag": tag})
        if len(self._tags) > _MOST_TAGS:
            raise Refusal(414, "TAG_INVALID", f"at most {_MOST_TAGS} tags can be given at once")
        self._is_by_digest = self._digest is not None
        self._raw = bytearray()
        self._announced = request.length
        if (request.length or 0) > LARGEST:
            raise _too_large()

    def write(self, data: bytes) -> None:
        """Take some bytes.

        Raises:
            Refusal: the manifest is too large.
        """
        self._raw += data
        if len(self._raw) > LARGEST:
            raise _too_large()

    def abort(self) -> None:
        """Nothing was written yet."""

    def finish(self) -> Response:
        """Put the manifest in its place; its tags come last.

        Raises:
            Refusal: it is no manifest, has another digest, or what it names is missing.
            InputError: the disk is full.
        """
        raw = bytes(self._raw)
        # A stream that breaks off looks like one that ends; but half of a JSON object is none.
        if self._announced is not None and self._announced != len(raw):
            message = f"{len(raw)} bytes came, not {self._announced}"
            raise Refusal(400, "SIZE_INVALID", message)
        content = sha256(raw)
        digest = self._check_digest(raw, content)
        document = _parse(raw, self._media_type)
        media_type = document.media_type or self._media_type
        subject = parse_digest(document.subject.digest) if document.subject else ""
        stored = Stored(media_type, len(raw), content, subject)
        descriptor = Descriptor(
            media_type=media_type,
            digest=digest,
            size=len(raw),
            artifact_type=document.kind,
            annotations=document.annotations,
        )
        with (
            self._quota.reserve(len(raw)) as reservation,
            BlobWriter(self._repository.blobs) as writer,
            self._repositories.committing(),
        ):
            writer.write(raw)
            writer.commit(content)
            reservation.spend(len(raw))
            with self._repository.alone():
                self._check_members(document)
                self._repository.add_manifest(digest, stored, descriptor, self._tags)
        return Response(201, self._describe(digest, subject))

    def _check_digest(self, raw: bytes, content: Digest) -> Digest:
        if self._digest is None:
            return content
        actual = content
        if self._digest.algorithm != "sha256":
            algorithm = self._digest.algorithm
            actual = Digest(f"{algorithm}:{hashlib.new(algorithm, raw).hexdigest()}")
        if actual != self._digest:
            message = f"the manifest has the digest {actual}, not {self._digest}"
            raise Refusal(400, "DIGEST_INVALID", message, detail={"digest": self._digest})
        return actual

    def _check_members(self, document: AnyManifest) -> None:
        """Refuse a manifest that names what is not here, unless the registry is sparse."""
        if self._sparse:
            return
        members = (*document.blobs, *(document.manifests or ()))
        missing = [item for item in members if not (_is_elsewhere(item) or self._has(item))]
        if missing:
            names = ", ".join(item.digest for item in missing[:3])
            names += " ..." if len(missing) > 3 else ""
            kind = "manifest" if _is_manifest(missing[0]) else "blob"
            message = f"{self._name} has no {kind} {names}: push it before what names it"
            detail = [{"digest": item.digest} for item in missing]
            raise Refusal(404, "MANIFEST_BLOB_UNKNOWN", message, detail=detail)

    def _has(self, item: Descriptor) -> bool:
        """Whether a member is here; an index of a build cache names blobs."""
        digest = parse_digest(item.digest)
        if not _is_manifest(item) and self._repository.find_blob(digest) is not None:
            return True
        return self._repository.find_manifest(digest) is not None

    def _describe(self, digest: Digest, subject: str) -> list[tuple[str, str]]:
        fields = [
            ("location", f"/v2/{self._name}/manifests/{digest}"),
            ("docker-content-digest", str(digest)),
            ("content-length", "0"),
        ]
        if subject:
            fields.append(("oci-subject", subject))
        if self._is_by_digest and self._tags:
            fields.append(("oci-tag", ", ".join(self._tags)))
        return fields


def _parse(raw: bytes, announced: str) -> AnyManifest:
    """Read a manifest of any media type that is JSON."""
    if announced in _SCHEMA_1:
        message = "manifests of schema 1 are not taken: push the image with a newer tool"
        raise Refusal(400, "MANIFEST_INVALID", message)
    try:
        document = decode(AnyManifest, raw, "the manifest")
    except ImagistError as error:
        raise Refusal(400, "MANIFEST_INVALID", str(error)) from None
    media_type = document.media_type or announced
    wrong = ""
    if announced and document.media_type and announced != document.media_type:
        wrong = f"its mediaType is {document.media_type}, but its Content-Type {announced}"
    elif not media_type:
        wrong = "neither Content-Type nor mediaType tells what it is"
    elif not is_media_type(media_type):
        wrong = f"{media_type!r} is no media type"
    elif document.schema_version != 2:
        wrong = f"its schemaVersion is {document.schema_version}, not 2"
    elif media_type in mediatype.MANIFESTS and document.config is None:
        wrong = "it has no config"
    elif media_type in mediatype.MANIFESTS and document.manifests is not None:
        wrong = "an image manifest has no `manifests`"
    elif media_type in mediatype.INDEXES and (document.config or document.layers):
        wrong = "an index has neither `config` nor `layers`"
    else:
        wrong = next(filter(None, map(_find_fault, _descriptors(document))), "")
    if wrong:
        raise Refusal(400, "MANIFEST_INVALID", f"the manifest is not taken: {wrong}")
    return document


def _descriptors(document: AnyManifest) -> Iterator[Descriptor]:
    yield from document.blobs
    yield from document.manifests or ()
    if document.subject:
        yield document.subject


def _find_fault(item: Descriptor) -> str:
    """What is wrong with a descriptor. Its media type may have parameters, as artifacts' do."""
    if item.size < 0:
        return f"{item.digest} has a size of {item.size} bytes"
    if not item.media_type.isprintable():
        return f"the media type of {item.digest} is {item.media_type!r}"
    return ""


def _is_elsewhere(item: Descriptor) -> bool:
    return bool(item.urls) or any(part in item.media_type for part in _ELSEWHERE)


def _is_manifest(item: Descriptor) -> bool:
    return item.media_type in mediatype.MANIFESTS | mediatype.INDEXES


def _find(source: Source, route: Route) -> Digest | None:
    if ":" in route.reference:
        return parse_digest(route.reference)
    return source.find_tag(route.reference) if is_tag(route.reference) else None


def _unknown(source: Source | Repository, route: Route) -> Refusal:
    """What is said where there is no such manifest, or no such repository."""
    if not source.exists():
        message = f"there is no repository {route.name}"
        return Refusal(404, "NAME_UNKNOWN", message, detail={"name": route.name})
    message = f"{route.name} has no manifest `{route.reference}`"
    return Refusal(404, "MANIFEST_UNKNOWN", message, detail={"reference": route.reference})


def _too_large() -> Refusal:
    return Refusal(413, "SIZE_INVALID", f"a manifest has at most {LARGEST} bytes")
