from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import astuple

from imagist.digest import sha256
from imagist.errors import InputError, NotFound, RequestError, Untrusted
from imagist.oci import contents, derive
from imagist.oci.derive import BytesLayer
from imagist.oci.empty import EMPTY_IMAGE
from imagist.oci.manifest import History
from imagist.oci.mutate import append_layers
from imagist.oci.random import random_image, random_index, random_layer
from imagist.oci.validate import validate
from imagist.store import lock
from imagist.store.prune import prune
from imagist.store.store import Store
from imagist.store.upkeep import Damage, Usage, measure, remove_damaged

DAY = 86_400.0


def age(path: Path, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


def test_an_image_comes_back_as_it_was(store: Store) -> None:
    index = random_index(1)
    digest = store.add_image(index)
    assert digest == derive.digest(index)
    back = store.image(digest)
    assert back.raw_manifest == index.raw_manifest
    assert validate(back) == []
    assert {b.digest for b in contents.blobs(back)} == {b.digest for b in contents.blobs(index)}


def test_an_image_is_found_by_a_unique_prefix_with_or_without_algorithm(store: Store) -> None:
    digest = store.add_image(random_image(1))
    for reference in (digest, digest[:19], digest.hex[:12], digest.hex):
        assert derive.digest(store.image(reference)) == digest


def test_the_image_of_one_platform_is_found_by_its_digest(store: Store) -> None:
    index = random_index(1)
    store.add_image(index)
    _, image = derive.images(index)[1]
    assert store.image(derive.digest(image)).raw_manifest == image.raw_manifest


def test_prefixes_that_say_too_little_are_refused(store: Store) -> None:
    digest = store.add_image(random_image(1))
    twin = digest.hex[:8] + "0" * 56
    (store.images / twin).touch()
    with pytest.raises(RequestError, match="several"):
        store.image(digest.hex[:6])
    with pytest.raises(RequestError, match="short"):
        store.image("sha256:1")
    with pytest.raises(NotFound):
        store.image("sha256:0000")
    with pytest.raises(NotFound):
        store.image("sha256:" + "0" * 64)


def test_a_blob_that_is_no_image_is_no_image(store: Store) -> None:
    with pytest.raises(InputError):
        store.image(store.put(b"hello"))
    with pytest.raises(RequestError):
        store.image("../../../etc/passwd".ljust(64, "x"))


def test_a_layer_that_is_another_one_is_not_let_in(store: Store) -> None:
    honest = random_layer(1)

    class Liar(msgspec.Struct, frozen=True):
        digest: str = honest.digest
        diff_id: str = honest.diff_id
        size: int = honest.size
        media_type: str = honest.media_type

        def compressed(self):  # type: ignore[no-untyped-def]
            return BytesLayer(bytes(honest.size), "").compressed()

    with pytest.raises(Untrusted):
        store.add_image(append_layers(EMPTY_IMAGE, [(Liar(), History())]))
    assert list(store.images.iterdir()) == []


def test_a_damaged_blob_is_found_by_validate(store: Store) -> None:
    digest = store.add_image(random_image(1))
    path = store.path(random_image(1).layers[0].digest)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    [found, *_] = validate(store.image(digest))
    assert "layer 1" in str(found)


def test_prune_keeps_what_images_and_results_need_and_removes_the_rest(store: Store) -> None:
    digest = store.add_image(random_index(1))
    needed = store.put(b"needed by a result")
    store.memo.put("step", "key", b"value", [needed])
    stray = store.put(b"stray")
    pruned = prune(store)
    assert (pruned.blobs, pruned.size, pruned.images, pruned.results) == (1, 5, 0, 0)
    assert not store.has(stray)
    assert store.memo.get("step", "key") == b"value"
    assert validate(store.image(digest)) == []


def test_prune_forgets_what_was_not_used_for_so_long(store: Store) -> None:
    old, new = store.add_image(random_image(1)), store.add_image(random_image(2))
    age(store.images / old.hex, 10 * DAY)
    pruned = prune(store, older_than=5 * DAY)
    assert pruned.images == 1
    assert validate(store.image(new)) == []
    with pytest.raises(NotFound):
        store.image(old)


def test_asking_for_an_image_is_a_use(store: Store) -> None:
    digest = store.add_image(random_image(1))
    age(store.images / digest.hex, 10 * DAY)
    store.image(digest)
    assert prune(store, older_than=5 * DAY).images == 0


def test_prune_keeps_a_blob_that_an_old_and_a_new_image_share(store: Store) -> None:
    base = random_image(1)
    more = append_layers(base, [(random_layer(50), History())])
    old, new = store.add_image(base), store.add_image(more)
    age(store.images / old.hex, 10 * DAY)
    prune(store, older_than=DAY)
    assert validate(store.image(new)) == []


def test_prune_to_a_size_gives_up_results_before_images_and_old_before_new(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = store.add_image(random_image(1, layers=1, size=1000))
    now = time.time()
    for number in range(3):
        monkeypatch.setattr(time, "time", lambda number=number: now + number)
        blob = store.put(bytes([number]) * 100_000)
        store.memo.put("step", str(number), b"", [blob])
    prune(store, max_size=150_000)
    assert [row.key for row in store.memo.rows()] == ["2"]
    assert validate(store.image(image)) == []
    assert prune(store, max_size=0).images == 1
    assert os.listdir(store.blobs.folder) == []


def test_prune_forgets_an_image_whose_blobs_are_gone(store: Store) -> None:
    digest = store.add_image(random_image(1))
    store.path(random_image(1).layers[1].digest).unlink()
    assert prune(store).images == 1
    with pytest.raises(NotFound):
        store.image(digest)
    assert os.listdir(store.blobs.folder) == []


def test_prune_waits_for_others_and_then_refuses(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_PATIENCE", 0.1)
    with Store.open(store.root), pytest.raises(RequestError, match="another"):
        prune(store)
    assert prune(store).blobs == 0


def test_blobs_note_their_use_once_a_day(store: Store) -> None:
    digest = store.put(b"data")
    age(store.path(digest), 10 * DAY)
    assert store.has(digest)
    assert time.time() - store.path(digest).stat().st_mtime < DAY
    assert digest == sha256(b"data")


def test_everything_is_counted(store: Store) -> None:
    assert measure(store) == Usage(0, 0, 0, 0, 0)
    store.memo.put("step", "key", b"value", [store.put(b"12345")])
    assert measure(store) == Usage(1, 5, 0, 1, 5)
    store.add_image(random_image(1, layers=1))
    assert astuple(measure(store))[2:] == (1, 1, 5)
    assert measure(store).blobs == 4


def test_damaged_blobs_are_removed_and_named_and_the_others_stay(store: Store) -> None:
    digest, whole = store.put(b"damaged"), store.put(b"whole")
    store.path(digest).chmod(0o644)
    store.path(digest).write_bytes(b"DAMAGED")
    assert remove_damaged(store) == Damage([digest], 0)
    assert not store.has(digest)
    assert store.read(whole) == b"whole"
    assert remove_damaged(store) == Damage([], 0)
