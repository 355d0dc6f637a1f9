"""Paths of the protocol (distribution-spec, "Endpoints"): what a request is about."""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from imagist.digest import Digest
from imagist.errors import ImagistError
from imagist.server.messages import Refusal

Kind = Literal[
    "ping", "manifest", "blob", "uploads", "upload", "tags", "referrers", "catalog", "metrics"
]

_COMPONENT: Final = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_NAME: Final = re.compile(f"{_COMPONENT}(?:/{_COMPONENT})*")
_LONGEST_NAME: Final = 255
_WORD: Final = "[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_MEDIA_TYPE: Final = re.compile(f"{_WORD}/{_WORD}")
_FIXED: Final[dict[str, Kind]] = {
    "/v2/": "ping",
    "/v2": "ping",
    "/v2/_catalog": "catalog",
    "/metrics": "metrics",
}
_ONE_WORD: Final[dict[str, Kind]] = {
    "manifests": "manifest",
    "blobs": "blob",
    "referrers": "referrers",
}
ALGORITHMS: Final = frozenset({"sha256", "sha512"})
METHODS: Final[dict[Kind, tuple[str, ...]]] = {
    "ping": ("GET", "HEAD"),
    "catalog": ("GET", "HEAD"),
    "metrics": ("GET", "HEAD"),
    "manifest": ("GET", "HEAD", "PUT", "DELETE"),
    "blob": ("GET", "HEAD", "DELETE"),
    "uploads": ("POST",),
    "upload": ("GET", "PATCH", "PUT", "DELETE"),
    "tags": ("GET", "HEAD"),
    "referrers": ("GET", "HEAD"),
}


class Route(msgspec.Struct, frozen=True):
    """What a path means; `reference` is a tag, a digest or an upload's id."""

    kind: Kind
    name: str = ""
    reference: str = ""


def find_route(path: str) -> Route:
    """What a path means; names may have slashes, so it is read from its end.

    Raises:
        Refusal: it means nothing, or the name of a repository is none.
    """
    if kind := _FIXED.get(path):
        return Route(kind)
    if not path.startswith("/v2/"):
        raise Refusal(404, "NOT_FOUND", f"there is nothing at {path}")
    rest, _, last = path[4:].rpartition("/")
    name, _, word = rest.rpartition("/")
    if word == "uploads" and name.endswith("/blobs"):
        kind = "upload" if last else "uploads"
        return Route(kind, check_name(name.removesuffix("/blobs")), last)
    if word == "blobs" and last == "uploads":
        return Route("uploads", check_name(name))
    if word == "tags" and last == "list":
        return Route("tags", check_name(name))
    if (kind := _ONE_WORD.get(word)) and last:
        return Route(kind, check_name(name), last)
    raise Refusal(404, "NOT_FOUND", f"there is nothing at {path}")


def parse_digest(text: str) -> Digest:
    """A digest in an algorithm that the store can compute.

    Raises:
        Refusal: it is none.
    """
    try:
        digest = Digest(text)
    except ImagistError as error:
        raise Refusal(400, "DIGEST_INVALID", str(error), detail={"digest": text}) from None
    if digest.algorithm not in ALGORITHMS:
        message = f"digests are sha256 or sha512 here, not {digest.algorithm}"
        raise Refusal(400, "DIGEST_INVALID", message, detail={"digest": text})
    return digest


def is_media_type(text: str) -> bool:
    """Whether content may be called so, in a header too (RFC 6838, 4.2)."""
    return _MEDIA_TYPE.fullmatch(text) is not None


def check_name(name: str) -> str:
    """The name of a repository.

    Raises:
        Refusal: it is none.
    """
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
        message = f"`{name}` is not the name of a repository"
        raise Refusal(400, "NAME_INVALID", message, detail={"name": name})
    return name
