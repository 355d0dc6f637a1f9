"""The registry as one function from a request to its answer. No web server is known here."""

from __future__ import annotations

from typing import Final

import msgspec

from imagist.errors import ImagistError
from imagist.server.access import Access
from imagist.server.blobs import delete_blob, give_blob
from imagist.server.listings import list_referrers, list_repositories, list_tags
from imagist.server.manifests import ManifestIntake, delete_manifest, give_manifest
from imagist.server.messages import Intake, Refusal, Request, Response
from imagist.server.metrics import MEDIA_TYPE, Metrics
from imagist.server.quota import Quota
from imagist.server.routes import METHODS, Route, find_route
from imagist.server.sources import Sources
from imagist.server.uploads import UploadRoutes
from imagist.store.repositories import Repositories

_READS: Final = frozenset({"GET", "HEAD"})
_QUICK: Final = ("/manifests/", "/blobs/")
"""Parts of the paths whose GET and HEAD look at a few small files at most."""
_VERSION: Final = ("docker-distribution-api-version", "registry/2.0")


class Policy(msgspec.Struct, frozen=True):
    """What a registry allows."""

    access: Access
    read_only: bool = False
    sparse: bool = False
    """Whether manifests may name blobs and images that are not here."""
    quota: int | None = None
    """Bytes that the store may hold."""


class Registry:
    """Answers requests; safe for threads."""

    def __init__(self, sources: Sources, policy: Policy, metrics: Metrics) -> None:
        """Give from the sources; take only where they are repositories of a store."""
        self._sources = sources
        self._policy = policy
        self._metrics = metrics
        self._repositories = sources if isinstance(sources, Repositories) else None
        if self._repositories:
            self._quota = Quota(self._repositories, policy.quota)
            self._uploads = UploadRoutes(self._repositories, self._quota)

    def is_quick(self, request: Request) -> bool:
        """Whether `begin` takes no time worth a thread."""
        return (
            request.method in _READS
            and any(part in request.path for part in _QUICK)
            and self._policy.access.is_quick(request)
        )

    def begin(self, request: Request) -> Response | Intake:
        """The answer, or what takes the body and answers then.

        Raises:
            Refusal: the request is not carried out.
            ImagistError: something failed; see `explain`.
        """
        self._policy.access.check(request)
        route = find_route(request.path)
        request.kind = route.kind
        allowed = METHODS[route.kind]
        if request.method not in allowed:
            message = f"{request.method} is not possible here"
            fields = [("allow", ", ".join(allowed))]
            raise Refusal(405, "UNSUPPORTED", message, headers=fields)
        if request.method in _READS and route.kind != "upload":
            return self._read(request, route)
        repositories = self._repositories
        if repositories is None or self._policy.read_only:
            raise Refusal(405, "UNSUPPORTED", "this registry is read-only")
        if request.method == "PUT" and route.kind == "manifest":
            sparse = self._policy.sparse
            return ManifestIntake(repositories, self._quota, request, route, sparse=sparse)
        if route.kind == "manifest":
            return delete_manifest(repositories, route)
        if route.kind == "blob":
            return delete_blob(repositories, route)
        return self._upload(request, route)

    def _read(self, request: Request, route: Route) -> Response:
        match route.kind:
            case "manifest":
                return give_manifest(self._sources, request, route)
            case "blob":
                return give_blob(self._sources, request, route)
            case "tags":
                return list_tags(self._sources, request, route)
            case "referrers":
                return list_referrers(self._sources, request, route)
            case "catalog":
                return list_repositories(self._sources, request)
            case "metrics":
                text = self._metrics.format().encode()
                fields = [("content-type", MEDIA_TYPE), ("content-length", str(len(text)))]
                return Response(200, fields, text)
            case _:
                fields = [("content-type", "application/json"), ("content-length", "2"), _VERSION]
                return Response(200, fields, b"{}")

    def _upload(self, request: Request, route: Route) -> Response | Intake:
        match request.method:
            case "POST":
                return self._uploads.begin(request, route)
            case "PATCH":
                return self._uploads.append(request, route)
            case "PUT":
                return self._uploads.finish(request, route)
            case "DELETE":
                return self._uploads.cancel(route)
            case _:
                return self._uploads.tell(route)


def explain(error: Exception) -> Response:
    """The answer where something failed that is not the client's doing."""
    if isinstance(error, Refusal):
        return error.response
    if isinstance(error, ImagistError):  # the disk is full, or the store cannot be written
        return Refusal(507, "UNKNOWN", str(error)).response
    return Refusal(500, "UNKNOWN", "the registry failed; its log says more").response
