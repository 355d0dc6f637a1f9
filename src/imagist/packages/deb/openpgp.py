"""Signatures of releases and the keys that may make them (OpenPGP, RFC 9580; sq and gpgv agree).

Verifying is Sequoia's work, through `pysequoia`, an optional dependency. What apt asks for holds
here, too: at least one signature is good, by a trusted key that has neither expired nor been
revoked. Signatures of other keys do no harm.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from imagist.digest import Digest, sha256
from imagist.errors import InputError, NotFound, Untrusted, advise_part

if TYPE_CHECKING:
    from pysequoia import Cert

MAX_KEYRING: Final = 16 << 20
"""Bytes of the largest keyring that is read."""
_CLEARSIGNED: Final = b"-----BEGIN PGP SIGNED MESSAGE-----"
_FOLDERS: Final = ("etc/apt/trusted.gpg.d", "etc/apt/keyrings", "usr/share/keyrings")
_MOST_SHOWN: Final = 6
_MOST_SIGNATURES: Final = 64
"""Signatures of a release: each takes as long as the release is, and nobody trusted made them."""


class Keyring(msgspec.Struct, frozen=True):
    """Keys out of one file, not read yet."""

    name: str
    """What it is called in errors: a path, mostly."""
    data: bytes
    """Armored or binary."""
    exact: tuple[str, ...] = ()
    """Fingerprints of the keys and subkeys that alone may sign, in lower case; empty: any."""

    @property
    def digest(self) -> Digest:
        """What tells it from others."""
        return sha256(self.data)


class Verified(msgspec.Struct, frozen=True):
    """A text that somebody signed, as the verifier gave it back."""

    text: bytes
    signers: tuple[str, ...]
    """Fingerprints of the trusted keys that signed it; empty where no signature was asked for."""


def load_keyring_file(path: Path) -> Keyring:
    """A keyring out of a file.

    Raises:
        NotFound: there is none.
        InputError: it cannot be read, or is too large to be one.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_KEYRING + 1)
    except FileNotFoundError:
        raise NotFound(f"there is no keyring {path}") from None
    except OSError as error:
        raise InputError(f"the keyring {path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_KEYRING:
        raise InputError(f"{path} has more than {MAX_KEYRING} bytes, so it is no keyring")
    return Keyring(str(path), data)


def machine_keyrings(root: Path = Path("/")) -> list[Keyring]:
    """The keyrings a machine has to verify archives by, without those of removed keys."""
    found: list[Keyring] = []
    for folder in _FOLDERS:
        try:
            paths = sorted((root / folder).iterdir())
        except OSError:
            continue
        for path in paths:
            if path.suffix in {".gpg", ".asc", ".pgp"} and "removed" not in path.name:
                try:
                    found.append(load_keyring_file(path))
                except InputError:
                    continue
    return found


def verify_clearsigned(
    message: bytes, keyrings: Sequence[Keyring], what: str, *, now: float
) -> Verified:
    """Verify an InRelease file (RFC 9580, section 7).

    Args:
        message: the file.
        keyrings: whose keys are trusted.
        what: names the file in errors.
        now: seconds since 1970, when keys must not have expired; of a snapshot its moment.

    Raises:
        Untrusted: no trusted key signed it, or it was changed since.
        InputError: `pysequoia` is not installed, or a keyring holds no keys.
    """
    if not message.lstrip().startswith(_CLEARSIGNED):
        raise Untrusted(
            f"{what} is not signed",
            help="ask whoever publishes it; a source with `trusted=yes` is taken without",
        )
    pysequoia = _import()
    certificates = _read_certificates(keyrings)
    issuers: list[str] = []

    def offer(identifiers: Iterable[str]) -> list[Cert]:
        issuers.extend(str(each) for each in identifiers)
        return certificates

    try:
        decrypted = pysequoia.verify(bytes=message, store=offer)
    except Exception as error:
        raise _refuse(what, issuers, certificates, keyrings, error) from None
    signers = _good_signers(decrypted.valid_sigs, certificates, _exact_keys(keyrings), now)
    if decrypted.bytes is None or not signers:
        raise _refuse(what, issuers, certificates, keyrings, None)
    return Verified(decrypted.bytes, tuple(signers))


def verify_detached(
    text: bytes, signature: bytes, keyrings: Sequence[Keyring], what: str, *, now: float
) -> Verified:
    """Verify a Release file by its Release.gpg, which may hold several signatures.

    Args:
        text: the file.
        signature: what lies beside it.
        keyrings: whose keys are trusted.
        what: names the file in errors.
        now: as for `verify_clearsigned`.

    Raises:
        Untrusted: no trusted key signed it, or it was changed since.
        InputError: `pysequoia` is not installed, or a keyring holds no keys.
    """
    pysequoia = _import()
    certificates = _read_certificates(keyrings)
    issuers: list[str] = []
    failure: Exception | None = None
    try:
        from pysequoia.packet import PacketPile  # noqa: PLC0415 - optional

        signatures = [bytes(packet) for packet in PacketPile.from_bytes(signature)]
    except Exception as error:
        raise Untrusted(f"the signature of {what} is none: {_first_line(error)}") from None
    if len(signatures) > _MOST_SIGNATURES:
        raise Untrusted(
            f"{what} has {len(signatures)} signatures, where no more than {_MOST_SIGNATURES} are "
            "looked at"
        )
    signers: dict[str, None] = {}
    for each in signatures:

        def offer(identifiers: Iterable[str]) -> list[Cert]:
            issuers.extend(str(each) for each in identifiers)
            return certificates

        try:
            parsed = pysequoia.Sig.from_bytes(each)
            decrypted = pysequoia.verify(bytes=text, store=offer, signature=parsed)
        except Exception as error:
            failure = error
            continue
        signers |= _good_signers(decrypted.valid_sigs, certificates, _exact_keys(keyrings), now)
    if not signers:
        raise _refuse(what, issuers, certificates, keyrings, failure)
    return Verified(text, tuple(signers))


class Key(msgspec.Struct, frozen=True):
    """One key, for people."""

    fingerprint: str
    owner: str
    """Who it says it belongs to, and what speaks against it."""
    armored: str


def read_keys(keyrings: Sequence[Keyring]) -> list[Key]:
    """All keys of some keyrings, each once.

    Raises:
        InputError: `pysequoia` is not installed, or a keyring holds no keys.
    """
    return [
        Key(each.fingerprint.upper(), _describe(each), str(each))
        for each in _read_certificates(keyrings)
    ]


def select_keys(keyrings: Sequence[Keyring], fingerprints: Sequence[str]) -> list[Keyring]:
    """The keys of some fingerprints; without any, the keyrings as they are.

    Args:
        keyrings: where they are.
        fingerprints: of keys or subkeys, in hex, or their last digits; with `!` behind it one
            stands for no other key of the same certificate.

    Raises:
        NotFound: a key is not among them.
    """
    if not fingerprints:
        return list(keyrings)
    wanted = [each.removeprefix("0x").lower() for each in fingerprints]
    found: list[Keyring] = []
    missing = set(wanted)
    for certificate in _read_certificates(keyrings):
        own = _key_ids(certificate)
        hit = {each: key for each in wanted for key in own if key.endswith(each.rstrip("!"))}
        if hit:
            missing -= hit.keys()
            exact = all(each.endswith("!") for each in hit)
            alone = tuple(hit.values()) if exact else ()
            found.append(Keyring(certificate.fingerprint, bytes(certificate), alone))
    if missing:
        raise NotFound(f"there is no key {', '.join(sorted(missing))} among the keyrings")
    return found


def _import() -> ModuleType:
    try:
        import pysequoia  # noqa: PLC0415 - optional
    except ImportError:
        raise InputError(
            "signatures of Debian archives cannot be verified: pysequoia is not installed",
            help=advise_part("deb"),
        ) from None
    return pysequoia


def _read_certificates(keyrings: Sequence[Keyring]) -> list[Cert]:
    """All keys, each once.

    Raises:
        InputError: a keyring holds none.
    """
    pysequoia = _import()
    found: dict[str, Cert] = {}
    for keyring in keyrings:
        try:
            certificates = pysequoia.Cert.split_bytes(keyring.data)
        except Exception as error:
            raise InputError(
                f"the keyring {keyring.name} cannot be used: {_first_line(error)}",
                help="give a keyring as gpg --export writes it, armored or not",
            ) from None
        for certificate in certificates:
            known = found.get(certificate.fingerprint)
            merged = certificate if known is None else known.merge(certificate)
            found[certificate.fingerprint] = merged
    return list(found.values())


def _exact_keys(keyrings: Sequence[Keyring]) -> frozenset[str]:
    return frozenset(key for keyring in keyrings for key in keyring.exact)


def _good_signers(
    signatures: Iterable[Any], certificates: Sequence[Cert], exact: frozenset[str], now: float
) -> dict[str, None]:
    """Whose signatures count. Sequoia asks whether a key was good when it signed; apt, today.

    A certificate with one of the `exact` keys counts for what such a key signed alone.
    """
    by_fingerprint = {each.fingerprint: each for each in certificates}
    found: dict[str, None] = {}
    for each in signatures:
        certificate = by_fingerprint[each.certificate]
        ends = (certificate.expiration, _find_end(certificate, each.signing_key))
        is_over = any(end is not None and end.timestamp() <= now for end in ends)
        is_other = each.signing_key.lower() not in exact and not exact.isdisjoint(
            _key_ids(certificate) if exact else ()
        )
        if not (is_over or is_other or certificate.is_revoked):
            found[each.certificate] = None
    return found


def _find_end(certificate: Cert, subkey: str) -> datetime.datetime | None:
    """When a subkey expires, by the newest of the signatures that bind it."""
    from pysequoia.packet import PacketPile  # noqa: PLC0415 - optional

    is_it, created = False, None
    bindings = []
    for packet in PacketPile.from_bytes(bytes(certificate)):
        if packet.key_created is not None:
            is_it = packet.fingerprint == subkey
            created = packet.key_created if is_it else created
        elif is_it and packet.signature_created is not None:
            bindings.append((packet.signature_created, packet.key_validity_period))
    _, period = max(bindings, key=lambda each: each[0], default=(None, None))
    return None if created is None or period is None else created + period


def _refuse(
    what: str,
    issuers: Sequence[str],
    certificates: Sequence[Cert],
    keyrings: Sequence[Keyring],
    error: Exception | None,
) -> Untrusted:
    """Why a signature does not count: who made it, and what is known of them."""
    if not issuers:
        reason = f" ({_first_line(error)})" if error is not None else ""
        return Untrusted(
            f"{what} has no signature that can be read{reason}",
            help="fetch it again, or ask whoever publishes it",
        )
    known: list[str] = []
    unknown: list[str] = []
    for issuer in dict.fromkeys(issuers):
        owner = next((c for c in certificates if _owns(c, issuer)), None)
        if owner is None:
            unknown.append(issuer.upper())
        else:
            known.append(f"{issuer.upper()} ({_describe(owner)})")
    if not known:
        names = ", ".join(keyring.name for keyring in keyrings[:_MOST_SHOWN]) or "no keyring"
        return Untrusted(
            f"{what} is signed by {_list(unknown)}, and none of these keys is trusted",
            help=f"looked in {names}; name the right keyring in `signed-by` or "
            "`contents.keyring`, if you trust it",
        )
    return Untrusted(
        f"{what} has no good signature: those of {_list(known)} do not hold",
        help="it was changed after it was signed, or the key is no longer good; fetch it again, "
        "or get the archive's new keyring",
    )


def _describe(certificate: Cert) -> str:
    """Who a key belongs to, and what speaks against it."""
    names = [str(each) for each in certificate.user_ids[:1]]
    if certificate.is_revoked:
        names.append("revoked")
    expiration = certificate.expiration
    if expiration is not None and expiration < datetime.datetime.now(datetime.UTC):
        names.append(f"expired on {expiration:%Y-%m-%d}")
    return ", ".join(names) or "without a name"


def _owns(certificate: Cert, issuer: str) -> bool:
    return any(key.endswith(issuer.lower()) for key in _key_ids(certificate))


def _key_ids(certificate: Cert) -> list[str]:
    """Fingerprints of a key and its subkeys, in lower case."""
    from pysequoia.packet import PacketPile  # noqa: PLC0415 - optional

    found = [certificate.fingerprint]
    found += [p.fingerprint for p in PacketPile.from_bytes(bytes(certificate)) if p.fingerprint]
    return [each.lower() for each in found]


def _list(names: Sequence[str]) -> str:
    shown = list(names[:_MOST_SHOWN])
    if len(names) > _MOST_SHOWN:
        shown.append(f"{len(names) - _MOST_SHOWN} more")
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))


def _first_line(error: object) -> str:
    """Sequoia's messages have a stack trace behind them."""
    return str(error).split("\n", 1)[0].rstrip(".")
