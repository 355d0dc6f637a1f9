"""Uploads: at once, in chunks, streamed, or by mounting (distribution-spec, "Pushing Blobs")."""

from __future__ import annotations

import re
from typing import Final

from imagist.digest import Digest
from imagist.errors import ImagistError, NotFound, Untrusted
from imagist.server.messages import Busy, Intake, Refusal, Request, Response
from imagist.server.quota import Quota, Reservation
from imagist.server.routes import ALGORITHMS, Route, check_name, parse_digest
from imagist.store.repositories import Repositories, Repository
from imagist.store.uploads import Upload, UploadBusy, Uploads

_RANGE: Final = re.compile("([0-9]{1,18})-([0-9]{1,18})")


class UploadRoutes:
    """What can be done with uploads."""

    def __init__(self, repositories: Repositories, quota: Quota) -> None:
        self._repositories = repositories
        self._uploads = Uploads(repositories)
        self._quota = quota

    def begin(self, request: Request, route: Route) -> Response | Intake:
        """POST: mount a blob, take one at once, or begin an upload.

        Raises:
            Refusal: a digest or an algorithm is none.
        """
        repository = self._repositories.get(route.name)
        if mount := request.parameter("mount"):
            digest = parse_digest(mount)
            if self._mount(repository, digest, request.parameter("from")):
                return _created(repository, digest)
        elif text := request.parameter("digest"):
            digest = parse_digest(text)
            number = self._uploads.begin(repository)
            return self._take(request, repository, number, digest, at_once=True)
        algorithm = request.parameter("digest-algorithm")
        if algorithm and algorithm not in ALGORITHMS:
            message = f"digests are sha256 or sha512 here, not {algorithm}"
            raise Refusal(400, "DIGEST_INVALID", message)
        return _accepted(repository, self._uploads.begin(repository), 0)

    def tell(self, route: Route) -> Response:
        """GET: how far an upload has come.

        Raises:
            Refusal: there is no such upload.
        """
        repository = self._repositories.get(route.name)
        try:
            size = self._uploads.size(repository, route.reference)
        except NotFound as error:
            raise _unknown(error) from None
        return _accepted(repository, route.reference, size, status=204)

    def append(self, request: Request, route: Route) -> Intake:
        """PATCH: take a chunk, or a stream.

        Raises:
            Refusal: there is no such upload, or the chunk is not the next one.
        """
        return self._take(request, self._repositories.get(route.name), route.reference, None)

    def finish(self, request: Request, route: Route) -> Intake:
        """PUT: take the last bytes, or all of them, or none, and make a blob of what came.

        Raises:
            Refusal: there is no such upload, the chunk is not the next one, the digest is none.
        """
        text = request.parameter("digest")
        if text is None:
            message = "the digest of the blob is missing: PUT ...?digest=sha256:..."
            raise Refusal(400, "DIGEST_INVALID", message)
        digest = parse_digest(text)
        return self._take(request, self._repositories.get(route.name), route.reference, digest)

    def cancel(self, route: Route) -> Response:
        """DELETE: forget an upload.

        Raises:
            Refusal: there is no such upload.
        """
        try:
            self._uploads.cancel(self._repositories.get(route.name), route.reference)
        except NotFound as error:
            raise _unknown(error) from None
        return Response(204)

    def _mount(self, repository: Repository, digest: Digest, source: str | None) -> bool:
        """Make a blob that is here a member without its bytes; whether it is here.

        Without a source it may be anywhere in the store, be it from a build.
        """
        with self._repositories.committing():
            if source is not None:
                found = self._repositories.get(check_name(source)).find_blob(digest)
                content = found and Digest(found.digest)
            elif digest.algorithm == "sha256":
                content = digest if self._repositories.blobs.find(digest) else None
            else:
                content = self._search(digest)
            if content:
                repository.add_blob(digest, content)
        return content is not None

    def _search(self, digest: Digest) -> Digest | None:
        """The content of a blob that some repository has under this name."""
        for name in self._repositories.all_names():
            if found := self._repositories.get(name).find_blob(digest):
                return Digest(found.digest)
        return None

    def _take(
        self,
        request: Request,
        repository: Repository,
        number: str,
        digest: Digest | None,
        *,
        at_once: bool = False,
    ) -> UploadIntake:
        try:
            upload = self._uploads.open(repository, number)
        except NotFound as error:
            raise _unknown(error) from None
        except UploadBusy as error:
            raise Busy(409, "BLOB_UPLOAD_INVALID", str(error)) from None
        try:
            _check_order(request, repository, upload)
            reservation = self._quota.reserve(request.length or 0)
        except BaseException:
            if at_once:
                upload.drop()
            upload.close()
            raise
        return UploadIntake(
            upload, repository, reservation, digest, request.length, keep=not at_once
        )


class UploadIntake:
    """Takes bytes of an upload; see `messages.Intake`. What came stays if the client goes away."""

    def __init__(
        self,
        upload: Upload,
        repository: Repository,
        reservation: Reservation,
        digest: Digest | None,
        announced: int | None,
        *,
        keep: bool,
    ) -> None:
        """Take the open upload; with a digest it ends when its bytes have come.

        Args:
            upload: what to append to.
            repository: whose upload it is.
            reservation: the room that is set aside for it.
            digest: the blob's, where this request is the last one.
            announced: bytes of the body, if they are known.
            keep: whether a client that went away can go on later.
        """
        self._keep = keep
        self._upload = upload
        self._repository = repository
        self._reservation = reservation
        self._digest = digest
        self._announced = announced
        self._taken = 0

    def write(self, data: bytes) -> None:
        """Take some bytes; may wait for the disk.

        Raises:
            Refusal: the quota does not allow more.
            InputError: the disk is full.
        """
        self._taken += len(data)
        try:
            self._reservation.spend(len(data))
            self._upload.write(data)
        except (Refusal, ImagistError):
            self._keep = False  # it would fill a disk on which there is no room
            raise

    def finish(self) -> Response:
        """All bytes have arrived.

        Raises:
            Refusal: fewer than announced, or with another digest.
            InputError: the disk is full.
        """
        try:
            if self._announced is not None and self._taken != self._announced:
                message = f"{self._taken} bytes came, not {self._announced}"
                raise Refusal(400, "SIZE_INVALID", message)
            if self._digest is None:
                return _accepted(self._repository, self._upload.number, self._upload.size)
            try:
                self._upload.finish(self._digest)
            except Untrusted as error:
                detail = {"digest": self._digest}
                raise Refusal(400, "DIGEST_INVALID", str(error), detail=detail) from None
            except NotFound as error:
                raise _unknown(error) from None
            return _created(self._repository, self._digest)
        finally:
            self.abort()

    def abort(self) -> None:
        """Keep what came, if the client may go on; may be called again."""
        if not self._keep:
            self._upload.drop()
        self._upload.close()
        self._reservation.close()


def _check_order(request: Request, repository: Repository, upload: Upload) -> None:
    """Refuse a chunk that is not the next one."""
    text = request.header("content-range")
    if not text:
        return
    match = _RANGE.fullmatch(text.strip().removeprefix("bytes ").partition("/")[0])
    first, last = map(int, match.groups()) if match else (-1, -1)
    if first != upload.size or last < first - 1:
        refused = _accepted(repository, upload.number, upload.size)
        raise Refusal(
            416,
            "BLOB_UPLOAD_INVALID",
            f"the next byte of this upload is {upload.size}; Content-Range says `{text}`",
            headers=[field for field in refused.headers if field[0] != "content-length"],
        )
    if request.length is not None and request.length != last - first + 1:
        message = f"Content-Range says `{text}`, but Content-Length {request.length}"
        raise Refusal(400, "SIZE_INVALID", message)


def _accepted(repository: Repository, number: str, size: int, status: int = 202) -> Response:
    fields = [
        ("location", f"/v2/{repository.name}/blobs/uploads/{number}"),
        ("range", f"0-{max(size - 1, 0)}"),
        ("docker-upload-uuid", number),
    ]
    if status != 204:
        fields.append(("content-length", "0"))
    return Response(status, fields)


def _created(repository: Repository, digest: Digest) -> Response:
    fields = [
        ("location", f"/v2/{repository.name}/blobs/{digest}"),
        ("docker-content-digest", str(digest)),
        ("content-length", "0"),
    ]
    return Response(201, fields)


def _unknown(error: NotFound) -> Refusal:
    return Refusal(404, "BLOB_UPLOAD_UNKNOWN", str(error))
