"""Trust anchors in certificate bundles and Java trust stores: update-ca-certificates as data."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from imagist.build.derived.jks import KeystoreEntry, format_jks, parse_jks
from imagist.build.derived.place import find_file, put_file, read_file, rewrite_file
from imagist.errors import ImagistError, InputError, Problem, RequestError
from imagist.rootfs.content import Contents
from imagist.rootfs.entry import parent
from imagist.rootfs.tree import Node, Tree

FOLDER: Final = "usr/local/share/ca-certificates"
BUNDLES: Final = (
    "etc/ssl/certs/ca-certificates.crt",
    "var/lib/ecs/deps/execute-command/certs/tls-ca-bundle.pem",
    "kaniko/ssl/certs/ca-certificates.crt",
)
TRUST_STORES: Final = ("etc/ssl/certs/java/cacerts",)
_BLOCK: Final = re.compile(
    rb"^-----BEGIN ([A-Z0-9 ]+)-----[ \t\r]*$(.*?)^-----END \1-----", re.MULTILINE | re.DOTALL
)


_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")


class AdditionalCertificate(msgspec.Struct, frozen=True):
    """One entry of `certificates.additional`."""

    name: str
    content: str
    """PEM text with exactly one certificate."""


class Certificate(msgspec.Struct, frozen=True):
    """A certificate that could be read."""

    der: bytes
    pem: bytes
    """Written again from the DER: lines of 64, nothing around the block."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the DER, in hex."""
        return hashlib.sha256(self.der).hexdigest()


def parse_certificate(text: bytes, what: str) -> Certificate:
    """The only certificate in a PEM text (RFC 7468); text around it is dropped.

    Raises:
        InputError: there is none, more than one, something else, or it is damaged.
    """
    blocks = _BLOCK.findall(text)
    if len(blocks) != 1:
        count = f"{len(blocks)} PEM blocks" if blocks else "no PEM block"
        raise InputError(f"{what} must be exactly one certificate, but has {count}")
    label, body = blocks[0]
    if label != b"CERTIFICATE":
        raise InputError(f"{what} must be a certificate, but is a {label.decode().lower()}")
    try:
        der = base64.b64decode(b"".join(body.split()), validate=True)
        _check_der(der)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"{what} is not a certificate that can be read: {error}") from None
    return Certificate(der, format_pem("CERTIFICATE", der))


def format_pem(label: str, data: bytes) -> bytes:
    """A PEM block with lines of 64 characters and a final newline (RFC 7468)."""
    text = base64.b64encode(data).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()


def install_certificates(
    tree: Tree,
    contents: Contents,
    *,
    additional: Sequence[AdditionalCertificate] = (),
    providers: Collection[str] = (),
    provides: Mapping[str, Collection[str]] | None = None,
    epoch: int,
) -> list[str]:
    """Add certificates to every bundle and Java trust store there is; what changes gets `epoch`.

    Additional ones are also written to `usr/local/share/ca-certificates`. Of packages that
    provide one of the `providers` (`provides`: package name -> its provides) the `.crt` and
    `.pem` files below that folder are taken, by path; those that hold no or several certificates
    are left out with a warning.

    Raises:
        RequestError: an additional certificate cannot be read; all of them at once.
        InputError: a Java trust store cannot be read.
    """
    warnings: list[str] = []
    certificates = _put_additional(tree, additional, epoch)
    wanted = set(providers)
    owners = {
        package
        for package, names in (provides or {}).items()
        if wanted and not wanted.isdisjoint(re.split("[<>=~]", name)[0] for name in names)
    }
    certificates += _collect_from_packages(tree, contents, owners, warnings)
    if not certificates:
        return warnings
    for path in BUNDLES:
        node = find_file(tree, path)
        if node is not None:
            bundle = contents.read([node])[node.entry.path]
            start = b"\n" if bundle and not bundle.endswith(b"\n") else b""
            added = b"".join(each.pem + b"\n" for _, each in certificates)
            rewrite_file(tree, node, bundle + start + added, epoch=epoch)
    for path in TRUST_STORES:
        node = find_file(tree, path)
        if node is not None:
            _add_to_trust_store(tree, contents, node, certificates, epoch)
    return warnings


def put_bundle_checksums(tree: Tree, contents: Contents, *, epoch: int) -> list[str]:
    """Write `.<name>.sha256` (as sha256sum does) beside every bundle and trust store there is."""
    for path in (*BUNDLES, *TRUST_STORES):
        data = read_file(tree, contents, path)
        if data is None:
            continue
        folder, name = parent(path), path.rpartition("/")[2]
        line = f"{hashlib.sha256(data).hexdigest()}  {name}\n".encode()
        put_file(tree, f"{folder}/.{name}.sha256", line, mode=0o444, epoch=epoch)
    return []


def _put_additional(
    tree: Tree, additional: Sequence[AdditionalCertificate], epoch: int
) -> list[tuple[str, Certificate]]:
    problems: list[Problem] = []
    found: list[tuple[str, Certificate]] = []
    for each in additional:
        try:
            if not _NAME.fullmatch(each.name):
                raise InputError(f"`{each.name}` cannot be the name of a certificate's file")
            certificate = parse_certificate(
                each.content.encode(), f"the additional certificate `{each.name}`"
            )
        except ImagistError as error:
            problems += error.problems
            continue
        found.append((f"{each.name}-{certificate.fingerprint}", certificate))
    if problems:
        raise RequestError(problems)
    for alias, certificate in found:
        put_file(tree, f"{FOLDER}/{alias}.crt", certificate.pem, epoch=epoch)
    return found


def _collect_from_packages(
    tree: Tree, contents: Contents, owners: Collection[str], warnings: list[str]
) -> list[tuple[str, Certificate]]:
    if not owners:
        return []
    files: dict[str, Node] = {}
    for node in tree.below(tree.resolve(FOLDER, follow_last=True)):
        path = node.entry.path
        file = find_file(tree, path)
        if node.owner in owners and path.endswith((".crt", ".pem")) and file is not None:
            files[path] = file
    texts = contents.read({node.entry.path: node for node in files.values()}.values())
    found = []
    for path in sorted(files):
        try:
            certificate = parse_certificate(texts[files[path].entry.path], f"/{path}")
        except InputError as error:
            warnings.append(f"{error}; it was left out")
            continue
        found.append((f"pkg-{certificate.fingerprint}", certificate))
    return found


def _add_to_trust_store(
    tree: Tree,
    contents: Contents,
    node: Node,
    certificates: Sequence[tuple[str, Certificate]],
    epoch: int,
) -> None:
    path = node.entry.path
    entries = parse_jks(contents.read([node])[path], what=f"/{path}")
    # Java compares aliases in lower case.
    entries += [
        KeystoreEntry(alias.lower(), epoch * 1000, data=certificate.der)
        for alias, certificate in certificates
    ]
    rewrite_file(tree, node, format_jks(entries), epoch=epoch)


def _check_der(der: bytes) -> None:
    from cryptography.x509 import load_der_x509_certificate  # noqa: PLC0415 - slow to import

    load_der_x509_certificate(der)
