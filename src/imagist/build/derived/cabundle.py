"""The certificates that Debian's packages bring, where programs look: update-ca-certificates(8).

OpenSSL looks into a folder with links that are named by hash, GnuTLS and many others into a
bundle, Java into a keystore; Debian's packages bring none, but make them when they are installed.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from imagist.build.derived.jks import KeystoreEntry, format_jks
from imagist.build.derived.place import find_file, put_entry, put_file, read_file
from imagist.build.derived.subjecthash import hash_subject
from imagist.rootfs.content import Contents
from imagist.rootfs.entry import Entry
from imagist.rootfs.tree import Node, Tree

SOURCE: Final = "usr/share/ca-certificates"
LOCAL: Final = "usr/local/share/ca-certificates"
FOLDER: Final = "etc/ssl/certs"
BUNDLE: Final = f"{FOLDER}/ca-certificates.crt"
KEYSTORE: Final = f"{FOLDER}/java/cacerts"
CONF: Final = "etc/ca-certificates.conf"
_BLOCK: Final = re.compile(
    rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----(.*?)-----END", re.DOTALL
)
_REPLACED: Final = str.maketrans(" ,()", "__==")


def put_ca_bundle(
    tree: Tree, contents: Contents, *, keystore: bool = False, epoch: int
) -> list[str]:
    """Make the bundle and the links, of the certificates of packages; a keystore where asked for.

    A list in etc/ca-certificates.conf decides which, else it is made, with all of them. A bundle
    that a package brings stays.
    """
    bundle = find_file(tree, BUNDLE)
    if bundle is not None and bundle.owner:
        return []
    warnings: list[str] = []
    chosen = _choose(tree, contents, epoch, warnings)
    if not chosen:
        return warnings
    texts = contents.read({node.entry.path: node for node in chosen.values()}.values())
    parts: list[bytes] = []
    found: dict[str, bytes] = {}
    hashes: dict[str, list[tuple[str, bytes]]] = {}
    for path, node in chosen.items():
        text = texts[node.entry.path]
        parts.append(text if text.endswith(b"\n") else text + b"\n")
        name = path.rpartition("/")[2].removesuffix(".crt").translate(_REPLACED) + ".pem"
        _put_link(tree, f"{FOLDER}/{name}", f"/{path}", epoch)
        try:
            der = found[name] = _read_certificate(text)
            hashes.setdefault(hash_subject(der), []).append((name, der))
        except (ValueError, StopIteration) as error:
            warnings.append(f"/{path} is no certificate that can be found by its hash: {error}")
    put_file(tree, BUNDLE, b"".join(parts), epoch=epoch)
    if keystore:
        # The names and the form that ca-certificates-java gives them.
        entries = [
            KeystoreEntry(f"debian:{name.lower()}", epoch * 1000, data=der)
            for name, der in found.items()
        ]
        put_file(tree, KEYSTORE, format_jks(entries), epoch=epoch)
    for value, same in hashes.items():
        # Two files with one certificate have one link; two certificates with one name have two.
        once = {der: name for name, der in sorted(same, reverse=True)}
        for number, name in enumerate(sorted(once.values())):
            _put_link(tree, f"{FOLDER}/{value}.{number}", name, epoch)
    return warnings


def _choose(tree: Tree, contents: Contents, epoch: int, warnings: list[str]) -> dict[str, Node]:
    """The files of certificates by path, in the order of the bundle."""
    there = _find(tree, SOURCE)
    conf = read_file(tree, contents, CONF)
    if conf is None:
        listed = [path.removeprefix(f"{SOURCE}/") for path in there]
        lines = "".join(f"{name}\n" for name in listed)
        put_file(tree, CONF, lines.encode("utf-8", "surrogateescape"), epoch=epoch)
    else:
        lines = conf.decode("utf-8", "surrogateescape")
        listed = [line for line in lines.split("\n") if line and line[0] not in "#!"]
    chosen: dict[str, Node] = {}
    for name in listed:
        path = f"{SOURCE}/{name}"
        node = there.get(path)
        if node is None:
            warnings.append(f"/{CONF} lists {name}, which is not there")
        else:
            chosen[path] = node
    return chosen | _find(tree, LOCAL)


def _find(tree: Tree, folder: str) -> dict[str, Node]:
    found: dict[str, Node] = {}
    for node in tree.below(tree.resolve(folder, follow_last=True)):
        path = node.entry.path
        file = find_file(tree, path) if path.endswith(".crt") else None
        if file is not None:
            found[path] = file
    return {path: found[path] for path in sorted(found)}


def _read_certificate(text: bytes) -> bytes:
    """The DER of the first certificate in a PEM text (RFC 7468)."""
    block = _BLOCK.search(text)
    if block is None:
        raise ValueError("it has no PEM block")
    try:
        return base64.b64decode(b"".join(block[1].split()), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _put_link(tree: Tree, path: str, target: str, epoch: int) -> None:
    put_entry(tree, Entry(path, "symlink", 0o777, mtime=epoch, link=target))
