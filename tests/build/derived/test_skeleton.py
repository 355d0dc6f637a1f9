"""Folders, devices and apk's state; services; os-release."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from imagist.build.derived.osrelease import parse_os_release, read_os_release
from imagist.build.derived.services import put_services
from imagist.build.derived.skeleton import (
    link_old_database,
    put_apk_state,
    put_devices,
    put_runtime_keys,
    put_skeleton,
)
from imagist.errors import InputError, RequestError
from imagist.rootfs.entry import Entry
from imagist.rootfs.tree import Node, Tree

from .conftest import MemoryContents


def public_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


RSA = public_pem(rsa.generate_private_key(65537, 2048))
EC = public_pem(ec.generate_private_key(ec.SECP256R1()))


def entry(tree: Tree, path: str) -> Entry:
    node = tree.get(path)
    assert node is not None, path
    return node.entry


def test_packages_merge_into_the_skeleton_which_keeps_its_modes() -> None:
    tree = Tree()
    put_skeleton(tree, epoch=3)
    tree.add(Node(Entry("tmp", "directory", 0o755, mtime=8), "base"))
    assert (entry(tree, "tmp").mode, entry(tree, "tmp").mtime) == (0o1777, 8)
    assert entry(tree, "proc").mode == 0o555
    assert entry(tree, "usr/lib/apk/db/lock").mode == 0o600


def test_apk_finds_its_state() -> None:
    tree = Tree()
    put_apk_state(
        tree, arch="x86_64", world=["b", "a"], repositories=[], keys={"k.pub": b"pem"}, epoch=3
    )
    assert entry(tree, "etc/apk/arch").data == b"x86_64\n"
    assert entry(tree, "etc/apk/world").data == b"b\na\n"
    assert entry(tree, "etc/apk/repositories").data == b""
    assert (entry(tree, "etc/apk/keys/k.pub").data, entry(tree, "etc/apk/keys").mode) == (
        b"pem",
        0o755,
    )


def test_a_packages_key_stays_its_own_and_must_be_the_same() -> None:
    def build(sha1: bytes) -> Tree:
        tree = Tree()
        tree.put(
            Node(Entry("etc/apk/keys/k.pub", size=3, offset=0, sha1=sha1), "keys", "sha256:x")
        )
        put_apk_state(tree, arch="a", world=[], repositories=[], keys={"k.pub": b"pem"}, epoch=3)
        return tree

    node = build(hashlib.sha1(b"pem").digest()).get("etc/apk/keys/k.pub")
    assert node is not None
    assert node.owner == "keys"
    with pytest.raises(InputError, match=r"package keys brings /etc/apk/keys/k.pub"):
        build(hashlib.sha1(b"other").digest())


def test_runtime_keys_are_written_anew_and_the_same_one_twice_is_one() -> None:
    tree = Tree()
    keys = [("k.rsa.pub", "text\n" + RSA), ("k.rsa.pub", "text\n" + RSA)]
    put_runtime_keys(tree, keys, epoch=3)
    assert entry(tree, "etc/apk/keys/k.rsa.pub").data == RSA.encode()
    assert entry(tree, "etc/apk/keys/k.rsa.pub").mtime == 3


def test_every_wrong_runtime_key_is_told_at_once() -> None:
    tree = Tree()
    put_apk_state(tree, arch="a", world=[], repositories=[], keys={"there": b"x"}, epoch=3)
    wrong = [("there", RSA), ("../up", RSA), (".dot", RSA), ("ec", EC), ("two", RSA + RSA)]
    wrong += [
        ("none", ""),
        ("kind", RSA.replace("PUBLIC", "PRIVATE")),
        ("bad", RSA.replace("A", "%")),
    ]
    with pytest.raises(RequestError) as caught:
        put_runtime_keys(tree, wrong, epoch=3)
    assert len(caught.value.problems) == len(wrong)


def test_devices_are_made_unless_a_package_brought_them() -> None:
    tree = Tree()
    tree.put(Node(Entry("dev", "directory", 0o755)))
    tree.put(Node(Entry("dev/null", "char", 0o600, device=(1, 3)), "base"))
    put_devices(tree)
    assert entry(tree, "dev/console").device == (5, 1)
    assert entry(tree, "dev/null").mode == 0o600


@pytest.mark.parametrize(
    ("entries", "linked"),
    [
        ([], True),
        ([Entry("lib", "directory"), Entry("lib/apk", "directory")], True),
        ([Entry("lib/apk", "directory"), Entry("lib/apk/db", "directory")], True),
        ([Entry("lib", "symlink", link="usr/lib")], False),
        ([Entry("lib/apk", "directory"), Entry("lib/apk/file")], False),
    ],
)
def test_the_old_place_of_the_database_leads_to_the_new(
    entries: list[Entry], linked: bool
) -> None:
    tree = Tree()
    for each in entries:
        tree.put(Node(each, "base"))
    link_old_database(tree, epoch=3)
    node = tree.get("lib/apk")
    assert (node is not None and node.entry.link == "../usr/lib/apk") is linked


def test_a_service_is_a_script_in_a_folder_it_may_write_to() -> None:
    tree = Tree()
    put_services(tree, {"web": "/usr/bin/web --port 80", "db": "/bin/db"}, epoch=3)
    run = entry(tree, "sv/web/run")
    assert (run.data, run.mode) == (b"#!/bin/execlineb\n/usr/bin/web --port 80\n", 0o755)
    assert {entry(tree, path).mode for path in ("sv", "sv/web", "sv/db")} == {0o777}


def test_without_services_there_is_no_tree_of_them() -> None:
    tree = Tree()
    put_services(tree, {}, epoch=3)
    assert len(tree) == 0


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden"])
def test_a_service_must_have_a_folders_name(name: str) -> None:
    with pytest.raises(RequestError, match="cannot be the name of a service"):
        put_services(Tree(), {name: "x"}, epoch=3)


def test_os_release_is_read_like_a_shell_does() -> None:
    text = (
        b'# c\nID=wolfi\nNAME="Wolfi \\"OS\\""\nPRETTY_NAME=\'a b\'\nBAD\nOPEN="x\nVERSION_ID=\n'
    )
    release = parse_os_release(text)
    assert (release.id, release.name, release.pretty_name) == ("wolfi", 'Wolfi "OS"', "a b")
    assert release.version_id == ""
    assert "OPEN" not in release.fields


def test_os_release_is_found_in_both_places_or_missed() -> None:
    tree = Tree()
    assert read_os_release(tree, MemoryContents())[1] != []
    data = b"ID=x\n"
    tree.put(Node(Entry("usr/lib/os-release", size=len(data), data=data)))
    release, warnings = read_os_release(tree, MemoryContents())
    assert (release.id, warnings) == ("x", [])
