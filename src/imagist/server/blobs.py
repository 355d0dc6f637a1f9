"""Blobs: giving them, and ending their membership (distribution-spec, "Pulling blobs")."""

from __future__ import annotations

from imagist.digest import Digest
from imagist.server.contents import give
from imagist.server.messages import Refusal, Request, Response
from imagist.server.routes import Route, parse_digest
from imagist.server.sources import Sources
from imagist.store.repositories import Repositories

_MEDIA_TYPE = "application/octet-stream"


def give_blob(sources: Sources, request: Request, route: Route) -> Response:
    """GET and HEAD of a blob.

    Raises:
        Refusal: it is no member of the repository.
    """
    digest = parse_digest(route.reference)
    content = sources.get(route.name).find_blob(digest)
    if content is None:
        raise unknown_blob(route.name, digest)
    return give(request, digest, content, _MEDIA_TYPE)


def delete_blob(repositories: Repositories, route: Route) -> Response:
    """DELETE of a blob; its bytes stay in the store until `prune` finds that nobody needs them.

    Raises:
        Refusal: it is no member of the repository.
    """
    digest = parse_digest(route.reference)
    if not repositories.get(route.name).remove_blob(digest):
        raise unknown_blob(route.name, digest)
    return Response(202, [("content-length", "0")])


def unknown_blob(name: str, digest: Digest) -> Refusal:
    """What is said of a blob that is no member."""
    message = f"{name} has no blob {digest}"
    return Refusal(404, "BLOB_UNKNOWN", message, detail={"digest": digest})
