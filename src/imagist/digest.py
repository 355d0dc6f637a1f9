"""Digests: `algorithm:hex`, as the OCI image specification writes them (descriptor.md)."""

from __future__ import annotations

import hashlib
import re
from typing import BinaryIO, Final, Self

from imagist.errors import RequestError, Untrusted

_LENGTHS: Final = {"sha256": 64, "sha512": 128}
_SHA256: Final = 32
_GRAMMAR: Final = r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+"
CHUNK: Final = 1 << 20
"""Bytes read at a time: large enough that hashing and inflating release the GIL."""


class Digest(str):
    """A validated digest string. It is a `str`, so it serialises and compares as itself."""

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        """Validate `value`; an already validated digest is returned as it is."""
        if type(value) is cls:
            return value
        algorithm, _, encoded = value.partition(":")
        length = _LENGTHS.get(algorithm)
        registered = length is not None and len(encoded) == length
        if length is not None and not (registered and re.fullmatch("[0-9a-f]+", encoded)):
            raise RequestError(f"`{value}` is not a digest: {algorithm} takes {length} hex digits")
        if length is None and not re.fullmatch(_GRAMMAR, value):
            raise RequestError(f"`{value}` is not a digest: expected `algorithm:hex`")
        return super().__new__(cls, value)

    @classmethod
    def of_sha256(cls, raw: bytes) -> Self:
        """The digest that a SHA-256 means, given as its 32 bytes."""
        text = f"sha256:{raw.hex()}"
        return super().__new__(cls, text) if len(raw) == _SHA256 else cls(text)

    @property
    def algorithm(self) -> str:
        """The part before the colon, such as `sha256`."""
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        """The part after the colon."""
        return self.partition(":")[2]

    @property
    def short(self) -> str:
        """The first twelve hex digits, for people."""
        return self.hex[:12]


def sha256(data: bytes | bytearray | memoryview) -> Digest:
    """The SHA-256 digest of bytes held in memory."""
    return Digest.of_sha256(hashlib.sha256(data).digest())


def sha256_stream(stream: BinaryIO) -> tuple[Digest, int]:
    """The SHA-256 digest and the size in bytes of everything left in a stream."""
    state = hashlib.sha256()
    size = 0
    while chunk := stream.read(CHUNK):
        state.update(chunk)
        size += len(chunk)
    return Digest.of_sha256(state.digest()), size


def check(expected: str, actual: str, what: str) -> None:
    """Raise `Untrusted`, naming `what`, unless the two digests are the same."""
    if expected != actual:
        raise Untrusted(
            f"{what} does not have the digest promised for it: expected {expected}, got {actual}",
            help="the file was damaged or replaced; fetch it again, or ask whoever publishes it",
        )
