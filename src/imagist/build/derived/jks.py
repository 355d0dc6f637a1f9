"""Java keystores, format JKS version 2: what `etc/ssl/certs/java/cacerts` is.

A keystore is: magic, version, count, the entries, and a SHA-1 over the password in UTF-16BE, the
words "Mighty Aphrodite" and everything before. Numbers are big-endian, texts have a two-byte
length and Java's modified UTF-8.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from imagist.errors import InputError, Untrusted

PASSWORD: Final = "changeit"  # noqa: S105 - the password every JDK ships its trust store with
_MAGIC: Final = 0xFEEDFEED
_SALT: Final = b"Mighty Aphrodite"
_PRIVATE_KEY: Final = 1
_CERTIFICATE: Final = 2


class KeystoreEntry(msgspec.Struct, frozen=True):
    """A trusted certificate, or a private key that is carried along unread."""

    alias: str
    created: int
    """Milliseconds since 1970, UTC."""
    kind: Literal["certificate", "private key"] = "certificate"
    type: str = "X.509"
    data: bytes = b""
    """The certificate in DER; of a private key everything after the date."""


def parse_jks(
    data: bytes, password: str = PASSWORD, *, what: str = "the keystore"
) -> list[KeystoreEntry]:
    """Read a JKS version 2 keystore.

    Raises:
        InputError: it is another kind of keystore, or damaged.
        Untrusted: the integrity check fails with this password.
    """
    if data[:1] == b"\x30":
        raise InputError(
            f"{what} is a PKCS#12 keystore; only JKS keystores can be added to",
            help="convert it with `keytool -importkeystore -deststoretype JKS` in its package",
        )
    try:
        return _parse(data, password, what)
    except (struct.error, IndexError, UnicodeError) as error:
        raise InputError(f"{what} is damaged: it ends too early or has broken texts") from error


def format_jks(entries: Iterable[KeystoreEntry], password: str = PASSWORD) -> bytes:
    """The bytes of a keystore, entries ordered by alias; of equal aliases the last one stays."""
    ordered = sorted({entry.alias: entry for entry in entries}.values(), key=lambda e: e.alias)
    parts = [struct.pack(">III", _MAGIC, 2, len(ordered))]
    for entry in ordered:
        tag = _CERTIFICATE if entry.kind == "certificate" else _PRIVATE_KEY
        parts.append(struct.pack(">I", tag) + _format_text(entry.alias))
        parts.append(struct.pack(">Q", entry.created))
        if entry.kind == "certificate":
            parts.append(_format_text(entry.type) + struct.pack(">I", len(entry.data)))
        parts.append(entry.data)
    body = b"".join(parts)
    return body + _checksum(body, password)


def _parse(data: bytes, password: str, what: str) -> list[KeystoreEntry]:
    magic, version, count = struct.unpack_from(">III", data)
    if magic != _MAGIC or version != 2:
        raise InputError(f"{what} is not a JKS keystore of version 2")
    body, checksum = data[:-20], data[-20:]
    if not hmac.compare_digest(checksum, _checksum(body, password)):
        raise Untrusted(f"{what} does not have the checksum that its password gives")
    entries = []
    at = 12
    for _ in range(count):
        entry, at = _parse_entry(body, at, what)
        entries.append(entry)
    if at != len(body):
        raise InputError(f"{what} is damaged: {len(body) - at} bytes follow its last entry")
    return entries


def _parse_entry(body: bytes, at: int, what: str) -> tuple[KeystoreEntry, int]:
    (tag,) = struct.unpack_from(">I", body, at)
    alias, at = _parse_text(body, at + 4)
    (created,) = struct.unpack_from(">Q", body, at)
    at += 8
    if tag == _CERTIFICATE:
        kind, at = _parse_text(body, at)
        data, at = _parse_blob(body, at)
        return KeystoreEntry(alias, created, "certificate", kind, data), at
    if tag != _PRIVATE_KEY:
        raise InputError(f"{what} has an entry of unknown kind {tag}")
    start = at
    _, at = _parse_blob(body, at)
    (chain,) = struct.unpack_from(">I", body, at)
    at += 4
    for _ in range(chain):
        _, at = _parse_text(body, at)
        _, at = _parse_blob(body, at)
    return KeystoreEntry(alias, created, "private key", data=body[start:at]), at


def _parse_blob(body: bytes, at: int) -> tuple[bytes, int]:
    (size,) = struct.unpack_from(">I", body, at)
    end = at + 4 + size
    if end > len(body):
        raise IndexError
    return body[at + 4 : end], end


def _parse_text(body: bytes, at: int) -> tuple[str, int]:
    """Modified UTF-8: UTF-16 units in one to three bytes each, NUL in two."""
    (size,) = struct.unpack_from(">H", body, at)
    raw = body[at + 2 : at + 2 + size]
    if len(raw) != size:
        raise IndexError
    text = raw.replace(b"\xc0\x80", b"\0").decode("utf-8", "surrogatepass")
    return text.encode("utf-16-be", "surrogatepass").decode("utf-16-be"), at + 2 + size


def _format_text(text: str) -> bytes:
    units = text.encode("utf-16-be")
    pairs = (int.from_bytes(units[i : i + 2]) for i in range(0, len(units), 2))
    raw = "".join(map(chr, pairs)).encode("utf-8", "surrogatepass").replace(b"\0", b"\xc0\x80")
    if len(raw) > 0xFFFF:
        raise InputError(f"the alias `{text[:40]}...` is too long for a keystore")
    return struct.pack(">H", len(raw)) + raw


def _checksum(body: bytes, password: str) -> bytes:
    return hashlib.sha1(password.encode("utf-16-be") + _SALT + body).digest()
