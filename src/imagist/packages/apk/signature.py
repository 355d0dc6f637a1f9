"""Signatures of indexes and packages (apk-v2(5)): RSA, PKCS #1 v1.5, over SHA-1 or SHA-256.

An entry `.SIGN.<algorithm>.<key>` holds the raw signature; `<key>` is the file name that the
public key has in /etc/apk/keys. There may be several; one by a trusted key is enough.
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

from imagist.errors import InputError, Untrusted

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

_ENTRY: Final = re.compile(r"\.SIGN\.([A-Z0-9]+)\.(.+)", re.DOTALL)
_ALGORITHMS: Final = {"RSA": "sha1", "RSA256": "sha256"}
_SUFFIX: Final = ".rsa.pub"
_KEY_NAME: Final = re.compile(r"[A-Za-z0-9_@+][A-Za-z0-9_@+.-]*")


class Key(msgspec.Struct, frozen=True, array_like=True):
    """A public key under its file name in /etc/apk/keys; made by `load_key` or `key_from_jwk`."""

    name: str
    pem: bytes
    """PEM of a SubjectPublicKeyInfo with an RSA key."""


class _Signature(msgspec.Struct, frozen=True):
    algorithm: str
    """Name for hashlib."""
    key_name: str
    value: bytes


def verify_signatures(
    entries: Sequence[tuple[str, bytes]],
    signed: bytes | memoryview | Callable[[], bytes | memoryview],
    keys: Mapping[str, Key],
    what: str,
) -> str:
    """Check that one of the signatures is right and by a trusted key.

    Signatures of algorithms other than RSA and RSA256 are passed over, as are unknown keys.

    Args:
        entries: names and contents of the `.SIGN.` entries.
        signed: the bytes signed, or what gives them; called only when a trusted key is named.
        keys: trusted keys; their names count, with or without `.rsa.pub`.
        what: what is signed, for errors.

    Returns:
        The name of the trusted key.

    Raises:
        Untrusted: nothing is signed, no trusted key signed it, or the signature is wrong.
    """
    signatures = list(_read_signatures(entries))
    if not signatures:
        raise Untrusted(
            f"{what} is not signed" if not entries else f"{what} has no RSA signature",
            help="sign the repository, or accept it with --ignore-signatures",
        )
    trusted = {_stem(key.name): key for key in keys.values()}
    known = [each for each in signatures if _stem(each.key_name) in trusted]
    if not known:
        signers = ", ".join(sorted({each.key_name for each in signatures}))
        ours = ", ".join(sorted(key.name for key in keys.values())) or "none at all"
        raise Untrusted(
            f"{what} is signed by {signers}, which is not among the trusted keys: {ours}",
            help="add that key to `contents.keyring`, if you trust it",
        )
    content = signed() if callable(signed) else signed
    if not len(content):
        raise Untrusted(
            f"{what} has its signature in one gzip member with what should be signed",
            help="sign the repository again with a current tool",
        )
    for each in known:
        key = trusted[_stem(each.key_name)]
        if _is_right(each, _open_key(key), content):
            return key.name
    signers = ", ".join(each.key_name for each in known)
    raise Untrusted(
        f"{what} does not match its signature by {signers}, although that key is trusted",
        help="it was damaged or changed, or this name stands for another key; fetch both again",
    )


def _read_signatures(entries: Sequence[tuple[str, bytes]]) -> list[_Signature]:
    found = ((_ENTRY.fullmatch(name), value) for name, value in entries)
    return [
        _Signature(_ALGORITHMS[entry[1]], entry[2], value)
        for entry, value in found
        if entry is not None and entry[1] in _ALGORITHMS
    ]


def _stem(key_name: str) -> str:
    return key_name.removesuffix(_SUFFIX)


def _is_right(signature: _Signature, key: RSAPublicKey, content: bytes | memoryview) -> bool:
    # cryptography costs 70 ms to import: only whoever has something to verify pays for it.
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed  # noqa: PLC0415

    kind = hashes.SHA1() if signature.algorithm == "sha1" else hashes.SHA256()  # noqa: S303
    digest = hashlib.new(signature.algorithm, content).digest()
    try:
        key.verify(signature.value, digest, PKCS1v15(), Prehashed(kind))
    except InvalidSignature:
        return False
    return True


def load_key(name: str, pem: bytes) -> Key:
    """Read a public key file.

    Args:
        name: its file name in /etc/apk/keys.
        pem: its content.

    Raises:
        InputError: the name cannot be a file name there, or the content is no RSA public key in
            PEM form.
    """
    if not _KEY_NAME.fullmatch(name):
        raise InputError(f"`{name}` cannot be the file name of a key in /etc/apk/keys")
    key = Key(name, pem)
    _open_key(key)
    return key


@lru_cache(maxsize=256)
def _open_key(key: Key) -> RSAPublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

    try:
        public = load_pem_public_key(key.pem)
    except (ValueError, UnsupportedAlgorithm):
        raise InputError(
            f"the key {key.name} is not a public key in PEM form",
            help="it should begin with -----BEGIN PUBLIC KEY-----",
        ) from None
    if not isinstance(public, RSAPublicKey):
        raise InputError(f"the key {key.name} is not an RSA key, the only kind that APK knows")
    return public


def key_from_jwk(jwk: Mapping[str, object]) -> Key:
    """Make a key of one entry of a JSON Web Key Set (RFC 7517, RFC 7518 section 6.3.1).

    Raises:
        InputError: it is no RSA public key, or its `kid` cannot be a file name.
    """
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    kid, kind = jwk.get("kid"), jwk.get("kty")
    if kind != "RSA":
        raise InputError(f"the key {kid!r} of a key set is not an RSA key but {kind!r}")
    if not isinstance(kid, str) or not _KEY_NAME.fullmatch(kid):
        raise InputError(f"the `kid` {kid!r} of a key set cannot be the file name of a key")
    try:
        numbers = RSAPublicNumbers(_read_number(jwk.get("e")), _read_number(jwk.get("n")))
        public = numbers.public_key()
    except ValueError as error:
        raise InputError(f"the key {kid} of a key set is damaged: {error}") from None
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return Key(_stem(kid) + _SUFFIX, pem)


def _read_number(value: object) -> int:
    if not isinstance(value, str) or not value:
        raise ValueError("a number is missing")
    return int.from_bytes(urlsafe_b64decode(value + "=" * (-len(value) % 4)))
