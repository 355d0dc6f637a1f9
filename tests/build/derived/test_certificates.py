"""Certificates: bundles, trust stores, sidecars."""

from __future__ import annotations

import hashlib

import pytest

from imagist.build.derived.certificates import (
    FOLDER,
    AdditionalCertificate,
    install_certificates,
    parse_certificate,
    put_bundle_checksums,
)
from imagist.build.derived.jks import KeystoreEntry, format_jks, parse_jks
from imagist.errors import InputError, RequestError
from imagist.rootfs.entry import Entry
from imagist.rootfs.tree import Node, Tree

from .conftest import MemoryContents, make_certificate

A, B, C = (make_certificate(name, serial) for serial, name in enumerate("ABC", 1))
CONTENTS = MemoryContents()
BUNDLE = "etc/ssl/certs/ca-certificates.crt"
STORE = "etc/ssl/certs/java/cacerts"


def tree_of(**owners: dict[str, bytes]) -> Tree:
    tree = Tree()
    for owner, files in owners.items():
        for path, data in files.items():
            tree.make_parents(path)
            tree.put(Node(Entry(path, mode=0o640, mtime=1, size=len(data), data=data), owner))
    return tree


def data(tree: Tree, path: str) -> bytes:
    node = tree.get(path)
    assert node is not None, path
    return node.entry.data


def test_an_additional_certificate_reaches_file_bundle_and_trust_store() -> None:
    tree = tree_of(
        base={BUNDLE: b"first\n", STORE: format_jks([KeystoreEntry("zz", 1, data=b"d")])}
    )
    text = "some text\n" + A.pem.decode() + "more\n"
    added = [AdditionalCertificate("Pear", text)]
    assert install_certificates(tree, CONTENTS, additional=added, epoch=9) == []
    assert data(tree, f"{FOLDER}/Pear-{A.fingerprint}.crt") == A.pem
    assert data(tree, BUNDLE) == b"first\n" + A.pem + b"\n"
    assert parse_jks(data(tree, STORE)) == [
        KeystoreEntry(f"pear-{A.fingerprint}", 9000, data=A.der),
        KeystoreEntry("zz", 1, data=b"d"),
    ]
    node = tree.get(BUNDLE)
    assert node is not None
    assert (node.entry.mode, node.entry.mtime, node.owner) == (0o640, 9, "")


def test_a_bundle_without_final_newline_is_not_glued_together() -> None:
    tree = tree_of(base={BUNDLE: A.pem.rstrip()})
    install_certificates(
        tree, CONTENTS, additional=[AdditionalCertificate("b", B.pem.decode())], epoch=9
    )
    assert data(tree, BUNDLE) == A.pem + B.pem + b"\n"


def test_only_providers_contribute_sorted_by_path() -> None:
    tree = tree_of(
        base={BUNDLE: b""},
        zed={f"{FOLDER}/b.crt": A.pem, f"{FOLDER}/sub/x.pem": B.pem, f"{FOLDER}/y.CRT": C.pem},
        abc={f"{FOLDER}/a.crt": C.pem, "usr/share/other.crt": B.pem},
        non={f"{FOLDER}/0.crt": B.pem},
    )
    provides = {"zed": ["my-certs=1"], "abc": ["x", "my-certs"], "non": ["my-certs-not"]}
    warnings = install_certificates(
        tree, CONTENTS, providers=["my-certs", "non"], provides=provides, epoch=9
    )
    assert warnings == []
    assert data(tree, BUNDLE) == b"".join(each.pem + b"\n" for each in (C, A, B))


def test_what_a_provider_brings_beside_one_certificate_is_left_out_and_told() -> None:
    tree = tree_of(
        base={BUNDLE: b""}, p={f"{FOLDER}/a.crt": A.pem + B.pem, f"{FOLDER}/b.crt": b"-"}
    )
    warnings = install_certificates(
        tree, CONTENTS, providers=["v"], provides={"p": ["v"]}, epoch=9
    )
    assert [warning.split(" must ")[0] for warning in warnings] == [
        f"/{FOLDER}/a.crt",
        f"/{FOLDER}/b.crt",
    ]
    assert data(tree, BUNDLE) == b""
    node = tree.get(BUNDLE)
    assert node is not None
    assert (node.owner, node.entry.mtime) == ("base", 1)


def test_symlinked_certificates_and_bundles_are_followed() -> None:
    tree = tree_of(base={"real/bundle": b""}, p={"certs/a.pem": A.pem})
    tree.make_parents(BUNDLE)
    tree.put(Node(Entry(BUNDLE, "symlink", link="/real/bundle"), "base"))
    tree.make_parents(f"{FOLDER}/l.crt")
    tree.put(Node(Entry(f"{FOLDER}/l.crt", "symlink", link="/certs/a.pem"), "p"))
    tree.put(Node(Entry(f"{FOLDER}/gone.crt", "symlink", link="nowhere"), "p"))
    install_certificates(tree, CONTENTS, providers=["v"], provides={"p": ["v"]}, epoch=9)
    assert data(tree, "real/bundle") == A.pem + b"\n"


def test_checksums_stand_beside_every_bundle() -> None:
    tree = tree_of(base={BUNDLE: b"x", STORE: b"0 anything"})
    put_bundle_checksums(tree, CONTENTS, epoch=9)
    node = tree.get("etc/ssl/certs/.ca-certificates.crt.sha256")
    assert node is not None
    assert node.entry.data == f"{hashlib.sha256(b'x').hexdigest()}  ca-certificates.crt\n".encode()
    assert (node.entry.mode, node.entry.mtime) == (0o444, 9)
    assert "etc/ssl/certs/java/.cacerts.sha256" in tree
    assert "kaniko" not in tree


def test_every_wrong_additional_certificate_is_told_at_once() -> None:
    wrong = {
        "none": "text",
        "two": (A.pem + B.pem).decode(),
        "key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "base64": "-----BEGIN CERTIFICATE-----\nA*AA\n-----END CERTIFICATE-----\n",
        "der": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    }
    additional = [AdditionalCertificate(name, text) for name, text in wrong.items()]
    additional.append(AdditionalCertificate("../up", A.pem.decode()))
    tree = Tree()
    with pytest.raises(RequestError) as caught:
        install_certificates(tree, CONTENTS, additional=additional, epoch=9)
    assert len(caught.value.problems) == len(additional)
    assert len(tree) == 0


def test_a_pkcs12_trust_store_is_refused_by_its_path() -> None:
    tree = tree_of(base={STORE: b"\x30\x82"})
    added = [AdditionalCertificate("a", A.pem.decode())]
    with pytest.raises(InputError, match=f"^/{STORE} is a PKCS#12"):
        install_certificates(tree, CONTENTS, additional=added, epoch=9)


def test_pem_with_carriage_returns_is_read() -> None:
    assert parse_certificate(A.pem.replace(b"\n", b"\r\n"), "it") == A
