"""Giving bytes: whole or a range (RFC 9110, 14), or the word that the client has them already."""

from __future__ import annotations

import re
from typing import Final

from imagist.digest import Digest
from imagist.server.messages import FilePart, Refusal, Request, Response
from imagist.store.repositories import Content

_RANGE: Final = re.compile("bytes=([0-9]{0,18})-([0-9]{0,18})")


def give(request: Request, digest: Digest, content: Content, media_type: str) -> Response:
    """The answer to GET and HEAD of content that never changes.

    Raises:
        Refusal: the range lies behind the end.
    """
    tag = f'"{digest}"'
    fields = [
        ("docker-content-digest", str(digest)),
        ("etag", tag),
        ("accept-ranges", "bytes"),
    ]
    if known := request.header("if-none-match"):
        tags = {item.strip().removeprefix("W/") for item in known.split(",")}
        if tags & {tag, "*"}:
            return Response(304, fields)
    fields.append(("content-type", media_type))
    size = content.size
    chosen = _read_range(request, tag, size)
    if chosen is None:
        fields.append(("content-length", str(size)))
        return Response(200, fields, FilePart(content.path, 0, size) if size else b"")
    start, end = chosen
    fields.append(("content-length", str(end - start)))
    fields.append(("content-range", f"bytes {start}-{end - 1}/{size}"))
    return Response(206, fields, FilePart(content.path, start, end, end - start == size))


def _read_range(request: Request, tag: str, size: int) -> tuple[int, int] | None:
    """The start and end of the bytes that are asked for; None where all are."""
    text = request.header("range")
    if not text or request.header("if-range") not in {"", tag}:
        return None
    match = _RANGE.fullmatch(text.replace(" ", ""))
    if match is None or not any(match.groups()):
        return None  # several, another unit, too long a number: a server may give everything
    first, last = match.groups()
    if first:
        start, end = int(first), min(int(last) + 1, size) if last else size
    else:
        start, end = max(0, size - int(last)), size
    if start >= end:
        raise Refusal(
            416,
            "RANGE_INVALID",
            f"there are {size} bytes, and none at `{text}`",
            headers=[("content-range", f"bytes */{size}")],
        )
    return start, end
