"""Keys and certificates written in declarations: one PEM block of the right kind."""

from __future__ import annotations

import re
from typing import Final

_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\r?\n.*?-----END \1-----", re.DOTALL)


def find_certificate_problem(content: str) -> str | None:
    """What keeps a text from being exactly one certificate in PEM; None: nothing."""
    if wrong := _find_block_problem(content, "CERTIFICATE"):
        return wrong
    from cryptography import x509  # noqa: PLC0415  slow to load, and seldom needed

    try:
        x509.load_pem_x509_certificate(content.encode())
    except ValueError as error:
        return f"this is not a certificate ({error})"
    return None


def find_key_problem(content: str) -> str | None:
    """What keeps a text from being exactly one RSA public key in PEM (PKIX); None: nothing."""
    if wrong := _find_block_problem(content, "PUBLIC KEY"):
        return wrong
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

    try:
        key = load_pem_public_key(content.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        return f"this is not a public key ({error})"
    return None if isinstance(key, RSAPublicKey) else "APK signatures need an RSA key"


def _find_block_problem(content: str, label: str) -> str | None:
    labels = _BLOCK.findall(content)
    if not content.strip():
        return "`content` is missing"
    if not labels:
        return f"there is no `-----BEGIN {label}-----` block"
    if len(labels) > 1:
        return f"there are {len(labels)} PEM blocks, but only one is taken"
    if _BLOCK.sub("", content).strip():
        return "there is text outside the PEM block"
    if labels[0] != label:
        return f"expected a `{label}`, not a `{labels[0]}`"
    return None
