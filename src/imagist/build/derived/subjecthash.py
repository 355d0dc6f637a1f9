"""The hash by which OpenSSL finds a certificate in a folder: of its subject, in canonical form.

X509_NAME_hash(3): names are compared without regard to case and to how many blanks there are, so
these are levelled before the SHA-1 over the name's parts; its first four bytes count, the first of
them as the lowest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Final

import msgspec

_SEQUENCE, _SET, _VERSION = 0x30, 0x31, 0xA0
_UTF8, _PRINTABLE, _T61, _IA5, _VISIBLE, _UNIVERSAL, _BMP = 12, 19, 20, 22, 26, 28, 30
_ENCODINGS: Final = {
    _UTF8: "utf-8",
    _PRINTABLE: "latin-1",
    _T61: "latin-1",
    _IA5: "latin-1",
    _VISIBLE: "latin-1",
    _UNIVERSAL: "utf-32-be",
    _BMP: "utf-16-be",
}
_BLANKS: Final = re.compile(rb"[ \t\n\v\f\r]+")


class _Item(msgspec.Struct, frozen=True):
    """A value of DER (X.690)."""

    tag: int
    content: bytes
    raw: bytes


def hash_subject(der: bytes) -> str:
    """The hash of a certificate's subject (RFC 5280), eight hex digits.

    Raises:
        ValueError: this is no certificate.
    """
    certificate = next(_items(der))
    fields = _items(next(_items(certificate.content)).content)
    # version, serial number, signature, issuer, validity, subject
    first = next(fields)
    place = 4 if first.tag == _VERSION else 3
    for _ in range(place):
        next(fields)
    subject = next(fields)
    if subject.tag != _SEQUENCE:
        raise ValueError("it has no subject")
    canonical = b"".join(_level_part(part) for part in _items(subject.content))
    return hashlib.sha1(canonical).digest()[3::-1].hex()


def _level_part(part: _Item) -> bytes:
    """A relative distinguished name, each of its values as lower case UTF-8."""
    values = []
    for attribute in _items(part.content):
        kind, value = _items(attribute.content)
        encoding = _ENCODINGS.get(value.tag)
        leveled = value.raw
        if encoding is not None:
            text = value.content.decode(encoding).encode()
            text = _BLANKS.sub(b" ", text.strip(b" \t\n\v\f\r"))
            leveled = _encode(_UTF8, text.lower())
        values.append(_encode(_SEQUENCE, kind.raw + leveled))
    return _encode(_SET, b"".join(sorted(values)))


def _items(data: bytes) -> Iterator[_Item]:
    """The values in some DER, one after the other."""
    at = 0
    while at < len(data):
        start = at
        tag, length = data[at], data[at + 1] if at + 1 < len(data) else -1
        at += 2
        if length > 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[at : at + size])
            at += size
        content = data[at : at + length]
        at += length
        if length < 0 or at > len(data):
            raise ValueError("its DER is cut off")
        yield _Item(tag, content, data[start:at])


def _encode(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + content
