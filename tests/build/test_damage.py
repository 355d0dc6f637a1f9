"""Damage to anything that is kept: found by `cache verify`, mended by building, never passed on."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import shutil
import sqlite3
import subprocess
from pathlib import Path

import msgspec
import pytest

from build.commandline import command, environment, run
from build.enduring import (
    KINDS,
    assert_nothing_or,
    assert_sound,
    assert_whole,
    build_all,
    damage,
    flip,
    prepare,
)
from build.smalldisk import Disk
from fixtures.maker import file, write_tar
from imagist.build.contents import StoreContents
from imagist.errors import InputError, Untrusted
from imagist.rootfs.tarread import TarReader
from imagist.rootfs.tree import Node
from imagist.store.store import Store
from support import needs

ACTIONS = ("flip", "truncate", "empty", "remove")


class Damaged:
    """A store with all declarations built, copied for each test."""

    def __init__(self, folder: Path, store: Path, digests: dict[str, str]) -> None:
        self.folder = folder
        self.store = store
        self.digests = digests

    def blobs(self) -> list[Path]:
        return sorted((self.store / "blobs" / "sha256").iterdir())

    def build(self, name: str, *words: str | Path) -> tuple[int, str, str]:
        return run("-C", self.folder, "build", name, "--cache", self.store, *words)

    def assert_mended(self, *names: str) -> None:
        """What verify leaves is whole, and building again completes it."""
        assert run("cache", "verify", "--cache", self.store).code in {0, 1}
        assert_whole(self.store)
        for name in names or KINDS:
            code, out, err = self.build(name)
            assert (code, out.strip()) == (0, self.digests[name]), err
        assert_sound(self.store)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("damage")
    prepare(folder)
    return folder, build_all(folder)


@pytest.fixture
def damaged(prepared: tuple[Path, dict[str, str]], tmp_path: Path) -> Damaged:
    folder, digests = prepared
    shutil.copytree(folder / "peace", tmp_path / "store")
    return Damaged(folder, tmp_path / "store", digests)


def harm(blob: Path, action: str) -> None:
    data = blob.read_bytes()
    if action == "flip":
        flip(blob, random.Random(blob.name).random())
    elif action == "remove":
        blob.unlink()
    else:
        damage(blob, data[: len(data) // 2] if action == "truncate" else b"")


@pytest.mark.parametrize("action", ACTIONS)
def test_verify_finds_every_damaged_blob_and_building_mends_the_store(
    damaged: Damaged, action: str
) -> None:
    victims = [blob for number, blob in enumerate(damaged.blobs()) if number % 2]
    for blob in victims:
        harm(blob, action)
    answer = run("cache", "verify", "--cache", damaged.store)
    assert answer.code == (0 if action == "remove" else 1)
    for blob in victims:
        assert not blob.exists()
        assert (blob.name in answer.err) == (action != "remove")
    damaged.assert_mended()


def _kind_of(blob: Path) -> str:
    head = blob.read_bytes()[:200]
    if head.startswith(b"\x1f\x8b"):
        return "layer" if blob.stat().st_size > 100_000 else "small segment"
    return "document" if head.startswith(b"{") else "table"


@pytest.mark.parametrize("kind", ["layer", "small segment", "document", "table"])
@pytest.mark.parametrize("action", ACTIONS)
def test_a_build_that_meets_damage_says_so_or_gives_the_right_image(
    damaged: Damaged, kind: str, action: str
) -> None:
    """Also one that makes something new of what is damaged: nobody could notice that later."""
    name = "single.yaml"
    chance = random.Random(kind + action)
    found = [blob for blob in damaged.blobs() if _kind_of(blob) == kind]
    for blob in chance.sample(found, min(3, len(found))):
        whole = blob.read_bytes()
        harm(blob, action)
        for number in range(2):
            if number:  # remembers packages, but no layer and no image
                memo = sqlite3.connect(damaged.store / "memo.sqlite")
                memo.execute("DELETE FROM memo WHERE step IN ('image', 'build', 'written-layer')")
                memo.commit()
                memo.close()
            code, out, err = damaged.build(name, "-o", damaged.store.parent / "out")
            if code:
                assert code == 3, err
                assert "sha256:" in err
                assert "help:" in err
            else:
                assert out.strip() == damaged.digests[name]
        shutil.rmtree(damaged.store.parent / "out", ignore_errors=True)
        if blob.exists():
            damage(blob, whole)
        else:
            blob.write_bytes(whole)
    damaged.assert_mended(name)


def test_content_that_changed_on_the_disk_gets_into_no_new_layer(tmp_path: Path) -> None:
    """A byte that gzip stores as it is: nothing but the file's own SHA-1 can tell early enough."""
    small, large = file("etc/small", "precious\n"), file("usr/large", bytes(8 << 20))
    tar = write_tar([small, large])
    entry = next(iter(TarReader([tar], what="a package")))
    entry = msgspec.structs.replace(entry, sha1=hashlib.sha1(small.content).digest())
    with Store.open(tmp_path) as store:
        digest = store.put(gzip.compress(tar, 0))
        contents, node = StoreContents(store), Node(entry, "package", digest)
        assert contents.read([node]) == {"etc/small": b"precious\n"}
        blob = store.path(digest)
        damage(blob, blob.read_bytes().replace(b"precious", b"previous"))
        with pytest.raises(Untrusted, match="is damaged: /etc/small changed"):
            contents.read([node])


@pytest.mark.parametrize("seed", range(12))
def test_a_memo_with_changed_bytes_gives_no_other_image(damaged: Damaged, seed: int) -> None:
    chance = random.Random(seed)
    file = damaged.store / "memo.sqlite"
    data = bytearray(file.read_bytes())
    for _ in range(1 << seed % 6):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    file.write_bytes(data)
    name = list(KINDS)[seed % len(KINDS)]
    code, out, err = damaged.build(name)
    assert (code, out.strip()) == (0, damaged.digests[name]), err
    assert run("cache", "prune", "--cache", damaged.store).code == 0
    run("cache", "verify", "--cache", damaged.store)
    (damaged.store / "memo.sqlite.damaged").unlink(missing_ok=True)
    damaged.assert_mended(name)


def test_markers_and_strange_files_disturb_nobody(damaged: Damaged) -> None:
    for marker in (damaged.store / "images").iterdir():
        marker.unlink()
    strange = [damaged.store / folder / "strange" for folder in ("blobs/sha256", "images", "tmp")]
    for each in strange:
        each.write_bytes(b"?")
    (damaged.store / "images" / ("0" * 64)).write_bytes(b"")
    for what in ("info", "verify", "prune"):
        answer = run("cache", what, "--cache", damaged.store)
        assert answer.code == 0, answer.err
    assert all(each.exists() for each in strange)  # what is not ours is left alone
    for each in strange:
        each.unlink()
    damaged.assert_mended()


@pytest.mark.parametrize("action", ["flip", "truncate", "empty", "remove"])
@pytest.mark.parametrize("file", ["index.json", "oci-layout", "blobs"])
def test_a_damaged_layout_is_mended_or_refused(damaged: Damaged, file: str, action: str) -> None:
    out = damaged.store.parent / "out"
    assert damaged.build("package.yaml", "-o", out)[0] == 0
    victims = [out / file] if file != "blobs" else sorted((out / "blobs" / "sha256").iterdir())
    for victim in victims:  # files of its own, not the store's
        data = victim.read_bytes()
        victim.unlink()
        victim.write_bytes(data)
        harm(victim, action)
    code, _, err = damaged.build("package.yaml", "-o", out)
    if code:
        assert file != "blobs"
        assert code in {2, 3}
        assert "out" in err
        shutil.rmtree(out)
        code = damaged.build("package.yaml", "-o", out)[0]
    assert code == 0
    assert assert_nothing_or(out, damaged.digests["package.yaml"])
    assert_sound(damaged.store)


def test_a_store_on_another_file_system_than_the_output(damaged: Damaged, disk: Disk) -> None:
    disk.grow()
    for output in ("out", "out.tar"):
        assert damaged.build("single.yaml", "-o", disk.folder / output)[0] == 0
        assert assert_nothing_or(disk.folder / output, damaged.digests["single.yaml"])


def test_a_store_on_a_read_only_disk_is_an_error_that_says_so(
    damaged: Damaged, disk: Disk
) -> None:
    disk.grow()
    shutil.copytree(damaged.store, disk.folder / "store")
    disk.resize(1 << 28, read_only=True)
    for words in (("build", "package.yaml"), ("cache", "prune"), ("cache", "info")):
        code, out, err = run("-C", damaged.folder, *words, "--cache", disk.folder / "store")
        assert (code, out) == (3, "")
        assert "Read-only file system" in err
        assert str(disk.folder) in err


def test_an_output_on_a_read_only_disk_is_an_error_that_says_so(
    damaged: Damaged, disk: Disk
) -> None:
    disk.resize(1 << 16, read_only=True)
    for output in ("out", "out.tar"):
        code, out, err = damaged.build("package.yaml", "-o", disk.folder / output)
        assert (code, out) == (3, "")
        assert "Read-only file system" in err


@needs("setpriv")
def test_a_store_that_belongs_to_somebody_else_is_an_error_that_says_so(damaged: Damaged) -> None:
    paths = [damaged.store, *damaged.store.rglob("*")]
    command_words = command("-C", damaged.folder)
    if os.geteuid() == 0:  # who may then pass over permissions no longer
        command_words = ["setpriv", "--bounding-set=-dac_override", *command_words]
        for path in paths:
            os.chown(path, 12345, 12345)
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    for words in (["build", "package.yaml"], ["cache", "prune"]):
        done = subprocess.run(
            [*command_words, *words, "--cache", damaged.store],
            env=environment(), capture_output=True, text=True,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (3, "")
        assert f"cannot write to {damaged.store}: Permission denied" in done.stderr


def test_a_blob_that_cannot_be_read_is_an_error_that_says_so(damaged: Damaged) -> None:
    with Store.open(damaged.store) as store:
        name = damaged.blobs()[0]
        name.unlink()
        name.mkdir()
        with pytest.raises(InputError, match="cannot be read"):
            store.open_blob(f"sha256:{name.name}")
