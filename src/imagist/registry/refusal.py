"""Why a registry refuses, in words: its error document (distribution-spec, "Error Codes")."""

from __future__ import annotations

import binascii
import contextlib
import re
from collections.abc import Iterable
from typing import Final

import msgspec

from imagist.errors import ImagistError, NetworkError, NotFound
from imagist.net.transport import Response
from imagist.net.url import redact

_MOST: Final = 1 << 16
"""Bytes of an error document that are read."""
_SHOWN: Final = 300
"""Characters of what is no error document that are shown."""
_FULL: Final = "(?i)quota|exceed the configured upper limit"
"""Words of a registry whose quota is used up; Harbor's have been both."""
_READ_ONLY: Final = "(?i)read[- ]?only"
_OVER_QUOTA: Final = "delete what is not needed there, or ask whoever runs it for a larger quota"


class _Error(msgspec.Struct, frozen=True):
    code: str = ""
    message: str | None = ""


class _Errors(msgspec.Struct, frozen=True):
    errors: tuple[_Error, ...] | None = ()


class Refused(NetworkError):
    """A registry refused a request."""

    status = 0
    codes: tuple[str, ...] = ()
    """The registry's own codes, such as `DENIED`."""
    retry_after = ""
    """When it may be asked again, as its header says."""
    is_over_quota = False
    """Whether what it may hold is used up: no credentials help there."""
    is_read_only = False
    """Whether it says that it takes and removes nothing."""


class Missing(NotFound):
    """A registry has not what was asked for."""

    codes: tuple[str, ...] = ()


def secrets_of(authorization: str) -> set[str]:
    """What must not be shown of an `Authorization` header: itself, and what it is made of."""
    scheme, _, value = authorization.partition(" ")
    found = {authorization, value}
    if scheme.lower() == "basic":
        with contextlib.suppress(ValueError):
            found.update(binascii.a2b_base64(value).decode(errors="replace").split(":", 1)[1:])
    return {secret for secret in found if len(secret) > 2}


def read_refusal(
    response: Response, method: str, url: str, *, secrets: Iterable[str] = ()
) -> ImagistError:
    """The error that an answer means; it is read and closed.

    Args:
        response: an answer that is no success.
        method: of the request.
        url: of the request.
        secrets: what is not to be shown, should the answer repeat it.
    """
    with response:
        found = _read_errors(response)
    codes = tuple(error.code for error in found if error.code)
    told = "; ".join(" ".join(f"{e.code} {e.message or ''}".split()) for e in found)
    for secret in sorted(secrets, key=len, reverse=True):
        told = told.replace(secret, "***")
    message = f"{method} {redact(url)}: the registry answers {response.status}"
    message += f": {told}" if told else ""
    is_over_quota = bool(re.search(_FULL, told))
    is_read_only = bool(re.search(_READ_ONLY, told))
    if is_over_quota:
        help_: str | None = _OVER_QUOTA
    elif is_read_only:
        help_ = "nothing can be pushed or removed there; ask whoever runs it"
    else:
        help_ = _next_step(response.status, codes, url)
    if response.status in {404, 410}:
        missing = Missing(message, help=help_)
        missing.codes = codes
        return missing
    refused = Refused(message, help=help_)
    refused.status, refused.codes = response.status, codes
    refused.is_over_quota, refused.is_read_only = is_over_quota, is_read_only
    refused.retry_after = response.headers.get("retry-after", "")
    return refused


def is_document(raw: bytes) -> bool:
    """Whether an answer may be one of a registry's documents, which are JSON objects."""
    return raw.lstrip().startswith(b"{")


def no_registry(registry: str, what: str) -> NetworkError:
    """The error where a server gives no document for `what`, as one for people may."""
    return NetworkError(
        f"{registry} does not answer as a registry does: what it gives for {what} is no JSON",
        help="check its host and port: this may be a web server",
    )


def _read_errors(response: Response) -> list[_Error]:
    """What the body says; errors may also be HTML or plain text."""
    try:
        raw = response.read(_MOST)
    except ImagistError:
        return []
    try:
        return list(msgspec.json.decode(raw, type=_Errors).errors or ())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = " ".join(raw.decode(errors="replace").split())
        return [_Error(message=text[:_SHOWN])] if text and not text.startswith("<") else []


def _next_step(status: int, codes: tuple[str, ...], url: str) -> str | None:
    host = url.partition("://")[2].partition("/")[0]
    if status in {401, 403} or "DENIED" in codes:
        return f"check that you may do this; `imagist login {host}` gives credentials"
    if "NAME_UNKNOWN" in codes:
        return "check the repository's name; some registries want it to be made first"
    if status in {404, 410}:
        return "check the name; `imagist ls REPOSITORY` tells the tags that are there"
    if status == 429:
        return "the registry limits how much is asked; try again later, or log in"
    if status == 413:
        return "the registry, or a proxy before it, bounds the size of uploads"
    if status == 507:
        return "whoever runs the registry must make room there"
    if status == 405 or "UNSUPPORTED" in codes:
        return "the registry does not offer this; it may be read-only"
    return "try again later" if status >= 500 else None
