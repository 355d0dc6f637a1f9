"""Lists of tags, repositories and referrers (distribution-spec, "Content Discovery")."""

from __future__ import annotations

import bisect
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

import msgspec

from imagist.oci import mediatype
from imagist.oci.manifest import Descriptor
from imagist.server.messages import Refusal, Request, Response, answer_json
from imagist.server.routes import Route, parse_digest
from imagist.server.sources import Sources

_SIZE: Final = re.compile("[0-9]{1,18}")


class ReferrersIndex(msgspec.Struct, frozen=True, rename="camel"):
    """An index of what refers to a manifest; `manifests` is there even if it is empty."""

    manifests: Sequence[Descriptor]
    schema_version: int = 2
    media_type: str = mediatype.INDEX


def list_tags(sources: Sources, request: Request, route: Route) -> Response:
    """The tags of a repository, in order, page by page.

    Raises:
        Refusal: there is no such repository, or `n` is no number.
    """
    source = sources.get(route.name)
    if not source.exists():
        message = f"there is no repository {route.name}"
        raise Refusal(404, "NAME_UNKNOWN", message, detail={"name": route.name})
    page, link = _paginate(request, source.tags())
    return answer_json(200, {"name": route.name, "tags": page}, link)


def list_repositories(sources: Sources, request: Request) -> Response:
    """The names of all repositories, in order, page by page (`/v2/_catalog`).

    Raises:
        Refusal: `n` is no number.
    """
    page, link = _paginate(request, sources.names())
    return answer_json(200, {"repositories": page}, link)


def list_referrers(sources: Sources, request: Request, route: Route) -> Response:
    """What refers to a manifest, which need not be here.

    Raises:
        Refusal: the digest is none.
    """
    found = sources.get(route.name).referrers(parse_digest(route.reference))
    fields: list[tuple[str, str]] = []
    if wanted := request.parameter("artifactType"):
        found = [item for item in found if item.artifact_type == wanted]
        fields.append(("oci-filters-applied", "artifactType"))
    return answer_json(200, ReferrersIndex(found), fields, mediatype.INDEX)


def _paginate(request: Request, names: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """The page that is asked for, and the header that leads to the next one."""
    last, text = request.parameter("last"), request.parameter("n")
    if last is not None:
        names = names[bisect.bisect_right(names, last) :]
    if text is None:
        return names, []
    if not _SIZE.fullmatch(text):
        message = f"`n` is the size of a page, not `{text}`"
        raise Refusal(400, "PAGINATION_NUMBER_INVALID", message, detail={"n": text})
    size = int(text)
    page = names[:size]
    if not page or len(page) == len(names):
        return page, []
    query = urlencode({"n": size, "last": page[-1]})
    return page, [("link", f'<{request.path}?{query}>; rel="next"')]
