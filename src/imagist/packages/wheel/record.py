"""RECORD: the list of a distribution's files with their hashes and sizes (PEP 376, PEP 627)."""

from __future__ import annotations

import binascii
import csv
import io
from collections.abc import Iterable
from typing import Final

import msgspec

from imagist.errors import Untrusted

ALGORITHMS: Final = {"sha256": 32, "sha384": 48, "sha512": 64}
"""Hashes that RECORD may use, with their bytes: none weaker than SHA-256."""

_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_", b"+/")


class Row(msgspec.Struct, frozen=True):
    """What RECORD says of one file."""

    algorithm: str
    """Such as `sha256`; empty where no hash is stated."""
    digest: bytes


def parse_record(data: bytes, what: str) -> dict[str, Row]:
    """Read a RECORD: path to hash.

    Raises:
        Untrusted: it is malformed, or says two things of a file; `what` is the wheel.
    """
    rows: dict[str, Row] = {}
    try:
        for fields in csv.reader(io.StringIO(data.decode(), newline=""), strict=True):
            if fields:
                _add_row(rows, fields[0], fields[1] if len(fields) > 1 else "")
    except (ValueError, csv.Error) as error:
        raise Untrusted(
            f"{what} has a malformed RECORD: {error}",
            help="fetch it again; if that does not help, tell whoever publishes it",
        ) from None
    return rows


def format_record(files: Iterable[tuple[str, bytes, int]], record: str) -> bytes:
    """Write a RECORD of paths with SHA-256 and size, in order; it lists itself without either."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    rows = [(path, f"sha256={encode_digest(digest)}", size) for path, digest, size in files]
    writer.writerows(sorted([*rows, (record, "", "")]))
    return out.getvalue().encode()


def encode_digest(digest: bytes) -> str:
    """A digest as RECORD writes it: URL-safe base64 without padding."""
    encoded = binascii.b2a_base64(digest, newline=False)
    return encoded.translate(_TO_URL).rstrip(b"=").decode("ascii")


def _add_row(rows: dict[str, Row], path: str, text: str) -> None:
    row = _parse_hash(text)
    if rows.setdefault(path, row) != row:
        raise ValueError(f"two hashes for `{path}`")


def _parse_hash(text: str) -> Row:
    if not text:
        return Row("", b"")
    algorithm, equals, encoded = text.partition("=")
    if not equals or algorithm not in ALGORITHMS:
        raise ValueError(f"`{text[:80]}` is no hash of SHA-256 or better")
    raw = encoded.encode("ascii").translate(_FROM_URL)
    digest = binascii.a2b_base64(raw + b"=" * (-len(raw) % 4), strict_mode=True)
    if len(digest) != ALGORITHMS[algorithm]:
        raise ValueError(f"`{text[:80]}` has the wrong length")
    return Row(algorithm, digest)
