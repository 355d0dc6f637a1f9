"""What `prune` keeps for repositories, and what it takes from them."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from imagist.digest import Digest, sha256
from imagist.oci import mediatype
from imagist.oci.manifest import Descriptor
from imagist.store.members import GRACE
from imagist.store.prune import prune
from imagist.store.repositories import Repositories, Repository, Stored
from imagist.store.store import Store

OLD = time.time() - GRACE - 60


@pytest.fixture
def repository(store: Store) -> Repository:
    return Repositories(store.blobs).get("team/app")


def add_blob(store: Store, repository: Repository, data: bytes, *, old: bool = True) -> Digest:
    digest = store.put(data)
    repository.add_blob(digest, digest)
    if old:
        age(repository, digest)
    return digest


def age(repository: Repository, digest: Digest) -> None:
    os.utime(f"{repository.folder}/_blobs/{digest.algorithm}/{digest.hex}", (OLD, OLD))


def add_image(store: Store, repository: Repository, *layers: Digest, tag: str = "1") -> Digest:
    config = add_blob(store, repository, b"{}")
    document = {
        "schemaVersion": 2,
        "mediaType": mediatype.MANIFEST,
        "config": {"mediaType": mediatype.CONFIG, "digest": config, "size": 2},
        "layers": [
            {"mediaType": mediatype.LAYER_TAR, "digest": digest, "size": 1} for digest in layers
        ],
    }
    raw = json.dumps(document).encode()
    digest = store.put(raw)
    stored = Stored(mediatype.MANIFEST, len(raw), digest)
    item = Descriptor(media_type=mediatype.MANIFEST, digest=digest, size=len(raw))
    repository.add_manifest(digest, stored, item, [tag])
    return digest


def test_what_a_repository_names_is_kept(store: Store, repository: Repository) -> None:
    layer = add_blob(store, repository, b"a layer")
    manifest = add_image(store, repository, layer)
    stray = store.put(b"stray")
    pruned = prune(store, older_than=0, max_size=0)
    assert (pruned.blobs, store.has(stray)) == (1, False)
    assert all(store.has(digest) for digest in (layer, manifest, sha256(b"{}")))
    assert repository.find_tag("1") == manifest
    assert repository.find_blob(layer)


def test_a_member_that_no_manifest_names_is_dropped_after_a_day(
    store: Store, repository: Repository
) -> None:
    young = add_blob(store, repository, b"on its way", old=False)
    old = add_blob(store, repository, b"left behind")
    prune(store)
    assert repository.find_blob(young)
    assert repository.find_blob(old) is None
    assert not store.has(old)


def test_a_look_at_a_member_counts_as_its_being_needed(
    store: Store, repository: Repository
) -> None:
    digest = add_blob(store, repository, b"asked for")
    assert repository.find_blob(digest)
    prune(store)
    assert repository.find_blob(digest)


def test_a_member_that_another_repository_needs_stays_in_the_store(
    store: Store, repository: Repository
) -> None:
    layer = add_blob(store, repository, b"shared")
    other = Repositories(store.blobs).get("other")
    other.add_blob(layer, layer)
    add_image(store, other, layer)
    prune(store)
    assert repository.find_blob(layer) is None
    assert other.find_blob(layer)


def test_a_name_in_sha512_keeps_its_content(store: Store, repository: Repository) -> None:
    content = store.put(b"long name")
    digest = Digest("sha512:" + "5" * 128)
    repository.add_blob(digest, content)
    prune(store)
    found = repository.find_blob(digest)
    assert found
    assert Path(found.path).read_bytes() == b"long name"


def test_a_damaged_manifest_drops_nothing(store: Store, repository: Repository) -> None:
    layer = add_blob(store, repository, b"a layer")
    manifest = add_image(store, repository, layer)
    place = Path(store.blobs.place(manifest))
    place.chmod(0o644)
    place.write_bytes(b"{")
    prune(store)
    assert repository.find_blob(layer)


def test_an_empty_repository_is_gone(store: Store, repository: Repository) -> None:
    manifest = add_image(store, repository)
    with repository.alone():
        assert repository.remove_manifest(manifest)
    age(repository, sha256(b"{}"))
    prune(store)
    assert not os.listdir(store.root / "repositories")
    add_image(store, repository)
    assert Repositories(store.blobs).names() == ["team/app"]
    assert repository.find_tag("1") == manifest


def test_what_repositories_need_counts_for_the_size(store: Store, repository: Repository) -> None:
    layer = add_blob(store, repository, b"x" * 1000)
    add_image(store, repository, layer)
    result = store.put(b"y" * 500)
    store.memo.put("step", "key", b"", [result])
    assert prune(store, max_size=2500).results == 0
    assert prune(store, max_size=1600).results == 1
    assert store.has(layer)
    assert not store.has(result)
