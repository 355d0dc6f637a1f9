"""What all ways of uploading share: how requests are made, judged and repeated."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from imagist.errors import ImagistError, NetworkError
from imagist.net.retry import TRIED_AGAIN, Manner
from imagist.net.transport import Response
from imagist.registry.refusal import Missing, Refused

ATTEMPTS: Final = 4
"""How often a blob is begun anew, or a chunk is sent, before the failure is told."""
ONCE: Final = Manner(repeat=False, any_status=True)
"""For bytes of an upload, which must not arrive twice."""
BINARY: Final = {"Content-Type": "application/octet-stream"}


def with_digest(location: str, digest: str) -> str:
    """Where an upload is ended: its location, with the digest that it must have."""
    sign = "&" if "?" in location else "?"
    return f"{location}{sign}digest={quote(digest, safe=':')}"


def check_answer(response: Response, digest: str) -> None:
    """A registry may say what it has stored; then it must be what was sent.

    Raises:
        NetworkError: it is something else.
    """
    told = response.headers.get("docker-content-digest", digest)
    if told.partition(":")[0] == digest.partition(":")[0] and told != digest:
        raise NetworkError(f"{response.url}: the registry has stored {told} instead of {digest}")


def is_passing(error: ImagistError) -> bool:
    """Whether another attempt may go better: the upload was lost, the server busy, the net cut."""
    if isinstance(error, Refused):
        return error.status in {*TRIED_AGAIN, 413, 416}
    if isinstance(error, Missing):  # the upload was forgotten; a repository that is not, is not
        return "NAME_UNKNOWN" not in error.codes
    return True
