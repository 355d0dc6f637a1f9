"""Images on other bases, platform by platform."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from editing.bench import Bench, config, images, manifest
from imagist.editing.rebase import StatedBase, find_stated_base, rebase_images
from imagist.errors import InputError, NotFound, RequestError
from imagist.oci import derive
from imagist.oci.derive import BytesLayer, MemoryImage
from imagist.oci.image import Image
from imagist.oci.manifest import History
from imagist.oci.mutate import (
    annotate_image,
    annotate_index,
    append_layers,
    make_index,
    map_images,
    set_config,
)
from imagist.oci.platform import Platform
from imagist.oci.random import AMD64, ARM64, random_image, random_index, random_layer
from imagist.oci.rebase import Unrelated, rebase
from imagist.oci.reference import parse_reference
from imagist.oci.validate import validate
from imagist.store.store import Store

MINE = random_layer(77)
NAME = "org.opencontainers.image.base.name"
DIGEST = "org.opencontainers.image.base.digest"


def on_top(image: Image) -> MemoryImage:
    return append_layers(image, [(MINE, History(created_by="mine"))])


def test_each_platform_goes_to_its_own_base(bench: Bench) -> None:
    old, new = random_index(1), random_index(5, platforms=(ARM64, AMD64), layers=3)
    app = annotate_index(map_images(old, lambda _, image: on_top(image)), {"kept": "yes"})
    for name, thing in (("old", old), ("new", new), ("app", app)):
        bench.write(thing, name)
    moved = bench.edit("rebase", "app", "--old_base", "old", "--new_base", "new")
    assert validate(moved) == []
    bases = {str(p): image for p, image in derive.images(new)}
    for platform, image in derive.images(moved):  # type: ignore[arg-type]
        base = bases[str(platform)]
        assert [x.digest for x in image.layers] == [*(x.digest for x in base.layers), MINE.digest]
        assert config(image)["history"][:-1] == config(base)["history"]
        assert config(image)["history"][-1] == {"created_by": "mine"}
        assert manifest(image)["annotations"] == {DIGEST: derive.digest(base)}
    assert manifest(moved)["annotations"] == {"kept": "yes"}
    back = bench.edit(
        *("rebase", bench.write(moved, "moved"), "--old-base", "new", "--new-base", "old")
    )
    for before, after in zip(images(app), images(back), strict=True):
        assert after.raw_config == before.raw_config


def test_one_base_for_one_platform_of_an_index(bench: Bench) -> None:
    old, new = random_index(1), random_image(9)
    bench.write(old, "old")
    bench.write(new, "new")
    bench.write(map_images(old, lambda _, image: on_top(image)), "app")
    words = ("rebase", "app", "--old_base", "old", "--new_base", "new")
    said = bench.fails(*words)
    assert "linux/arm64 cannot stand on a base for linux/amd64" in said
    [moved] = images(bench.edit(*words, "--platform", "amd64"))
    assert [x.digest for x in moved.layers] == [*(x.digest for x in new.layers), MINE.digest]


def test_a_platform_that_a_base_lacks_is_told(bench: Bench) -> None:
    old = random_index(1)
    bench.write(old, "old")
    bench.write(make_index([(AMD64, random_image(3))]), "one")
    bench.write(map_images(old, lambda _, image: on_top(image)), "app")
    said = bench.fails("rebase", "app", "--old_base", "old", "--new_base", "one")
    assert "the new base" in said
    assert "no image for linux/arm64; it has linux/amd64" in said
    bench.write(make_index([(ARM64, images(old)[1])]), "other")
    said = bench.fails("rebase", "app", "--old_base", "other", "--new_base", "old")
    assert "the old base" in said


def test_the_first_layer_that_differs_is_named(bench: Bench) -> None:
    base = random_image(1, layers=3)
    layers = list(base.layers)
    other = append_layers(
        random_image(1, layers=1), [(random_layer(5), History()), (layers[2], History())]
    )
    bench.write(on_top(base), "app")
    bench.write(other, "other")
    said = bench.fails("rebase", "app", "--old_base", "other", "--new_base", "other")
    assert f"layer 2 is {layers[1].digest}, but the base has {random_layer(5).digest}" in said
    bench.write(on_top(on_top(base)), "taller")
    said = bench.fails("rebase", "app", "--old_base", "taller", "--new_base", "other")
    assert "it has 4 layers, the base 5" in said


def test_a_base_that_was_compressed_again_is_still_found() -> None:
    base = random_image(1)
    again = set_config(
        MemoryImage(base.raw_manifest, base.raw_config, base.layers), {"architecture": "amd64"}
    )
    layers = []
    for layer in base.layers:
        with layer.compressed() as stream:
            data = gzip.compress(gzip.decompress(stream.read()), 9, mtime=5)
        layers.append(BytesLayer(data, layer.diff_id))
    document = json.loads(again.raw_manifest)
    for item, layer in zip(document["layers"], layers, strict=True):
        item |= {"digest": str(layer.digest), "size": layer.size}
    again = MemoryImage(json.dumps(document).encode(), again.raw_config, tuple(layers))
    moved = rebase(on_top(base), again, random_image(3))
    assert [x.digest for x in moved.layers][-1] == MINE.digest


def test_history_that_is_missing_or_told_otherwise_is_cut_at_the_right_layer() -> None:
    base, new = random_image(1), random_image(3, layers=1)
    app = on_top(base)
    lines = config(app)["history"]
    empty = {"created_by": "ENV A=1", "empty_layer": True}

    def moved_lines(own: Any, old: Image = base) -> object:
        moved = rebase(set_config(app, {"history": own}), old, new)
        assert validate(moved) == []
        return config(moved).get("history")

    head = config(new)["history"]
    assert moved_lines(lines) == [*head, lines[2]]
    assert moved_lines([*lines[:2], empty, lines[2], empty]) == [*head, empty, lines[2], empty]
    others = [{"created_by": "else"}, empty, {"created_by": "or"}]
    # The base's lines read otherwise: what follows its last layer is the image's own.
    assert moved_lines([*others, empty, lines[2]]) == [*head, lines[2]]
    assert moved_lines(None) == [*head, {}]
    bare = set_config(base, {"history": None})
    assert moved_lines(lines, bare) == [*head, lines[2]]
    nothing = rebase(app, base, set_config(new, {"history": None}))
    assert config(nothing)["history"] == [{}, lines[2]]
    assert validate(nothing) == []


def test_a_runtime_is_told_the_same_and_times_stay() -> None:
    app = set_config(
        on_top(random_image(1)),
        {"created": "2001-02-03T04:05:06Z", "author": "me", "config": {"User": "7"}},
    )
    new = set_config(random_image(3), {"config": {"User": "9"}, "created": "2020-01-01T00:00:00Z"})
    moved = config(rebase(app, random_image(1), new))
    assert moved["config"] == {"User": "7"}
    assert (moved["created"], moved["author"]) == ("2001-02-03T04:05:06Z", "me")


def test_arm64_has_one_variant_and_windows_takes_the_version_of_its_base() -> None:
    def image(seed: int, **members: str) -> MemoryImage:
        return set_config(random_image(seed), members)

    arm = {"architecture": "arm64"}
    rebase(on_top(image(1, **arm)), image(1, **arm), image(2, **arm, variant="v8"))
    seven, six = ({"architecture": "arm", "variant": v} for v in ("v7", "v6"))
    with pytest.raises(InputError, match="cannot stand"):
        rebase(on_top(image(1, **seven)), image(1, **seven), image(2, **six))
    old = {"os": "windows", "os.version": "10.0.1"}
    newer = {"os": "windows", "os.version": "10.0.2"}
    moved = rebase(on_top(image(1, **old)), image(1, **old), image(2, **newer))
    assert config(moved)["os.version"] == "10.0.2"
    both = make_index(
        [(derive.platform(each), each) for each in (image(2, **newer), image(3, **old))]
    )
    chosen = rebase_images(on_top(image(1, **old)), image(1, **old), both, warn=print)
    assert config(images(chosen)[0])["os.version"] == "10.0.1"


# What an image states of its base


def test_bases_are_found_in_the_index_or_alike_in_all_images() -> None:
    index = random_index(1)
    assert find_stated_base(index) == StatedBase("", {})
    noted = {NAME: "r.example/base:1", DIGEST: "sha256:" + "0" * 64}
    both = {AMD64: noted[DIGEST], ARM64: noted[DIGEST]}
    assert find_stated_base(annotate_index(index, noted)) == StatedBase(noted[NAME], both)
    alike = map_images(index, lambda _, image: annotate_image(image, noted))
    assert find_stated_base(alike) == StatedBase(noted[NAME], both)
    assert find_stated_base(images(alike)[0]) == StatedBase(noted[NAME], {AMD64: noted[DIGEST]})
    several = map_images(index, lambda p, image: annotate_image(image, {NAME: p.architecture}))
    with pytest.raises(RequestError, match="different bases: amd64, arm64"):
        find_stated_base(several)


def test_each_platform_may_state_an_image_of_its_own(bench: Bench) -> None:
    old, new = random_index(1), random_index(7)
    with Store.open(bench.folder / "store") as store:
        for image in images(old):
            store.add_image(image)
    app = map_images(
        old, lambda _, image: annotate_image(on_top(image), {DIGEST: str(derive.digest(image))})
    )
    bench.write(app, "app")
    bench.write(new, "new")
    moved = bench.edit("rebase", "app", "--new_base", "new")
    for base, image in zip(images(new), images(moved), strict=True):
        assert [x.digest for x in image.layers] == [*(x.digest for x in base.layers), MINE.digest]


def test_an_index_that_states_its_base_states_the_new_one() -> None:
    old, new = random_index(1), random_index(7)
    app = map_images(old, lambda _, image: on_top(image))
    app = annotate_index(app, {NAME: "r.example/old:1", DIGEST: str(derive.digest(old))})
    moved = rebase_images(app, old, new, reference=parse_reference("r.example/new:2"), warn=print)
    for thing in (moved, *images(moved)):
        annotations = manifest(thing)["annotations"]
        assert annotations == {NAME: "r.example/new:2", DIGEST: derive.digest(new)}


def test_a_name_that_nobody_else_can_use_is_not_noted() -> None:
    old, new = random_image(1), random_image(7)
    app = annotate_image(on_top(old), {NAME: "r.example/old:1"})
    moved = rebase_images(app, old, new, warn=print)
    assert manifest(moved)["annotations"] == {DIGEST: derive.digest(new)}


def test_without_bases_and_annotations_it_is_said_what_is_missing(bench: Bench) -> None:
    bench.write(on_top(random_image(1)), "app")
    bench.write(random_image(2), "new")
    assert NAME in bench.fails("rebase", "app", "--old_base", "new")
    assert DIGEST in bench.fails("rebase", "app", "--new_base", "new")


def test_the_old_base_may_be_in_the_store_by_the_digest_that_is_stated(bench: Bench) -> None:
    old = random_image(1)
    app = annotate_image(on_top(old), {DIGEST: str(derive.digest(old))})
    bench.write(app, "app")
    bench.write(random_image(2), "new")
    assert "store" in bench.fails("rebase", "app", "--new_base", "new")
    with Store.open(bench.folder / "store") as store:
        store.add_image(old)
    [moved] = images(bench.edit("rebase", "app", "--new_base", "new"))
    assert moved.layers[-1].digest == MINE.digest


def test_an_index_may_state_an_index_that_is_in_the_store(bench: Bench) -> None:
    old, new = random_index(1), random_index(7)
    noted = {NAME: "r.invalid/base:1", DIGEST: str(derive.digest(old))}
    app = map_images(old, lambda _, image: annotate_image(on_top(image), noted))
    bench.write(app, "app")
    bench.write(new, "new")
    with Store.open(bench.folder / "store") as store:
        store.add_image(old)
    # Though it has a name elsewhere, nobody else is asked.
    moved = bench.edit("rebase", "app", "--new_base", "new")
    for base, image in zip(images(new), images(moved), strict=True):
        assert [x.digest for x in image.layers] == [*(x.digest for x in base.layers), MINE.digest]
        assert manifest(image)["annotations"] == {DIGEST: derive.digest(base)}


def test_every_old_base_that_is_nowhere_is_told(bench: Bench) -> None:
    old = random_index(1)
    app = map_images(
        old, lambda _, image: annotate_image(on_top(image), {DIGEST: str(derive.digest(image))})
    )
    bench.write(app, "app")
    bench.write(random_index(7), "new")
    said = bench.fails("rebase", "app", "--new_base", "new")
    for image in images(old):
        assert f"app is built on the base {derive.digest(image)}, which the store has not" in said
    assert "name the base it stands on with --old_base" in said
    # A store that lost a document is as good as none.
    with Store.open(bench.folder / "store") as store:
        store.put(images(old)[0].raw_manifest)
    assert "which the store has not" in bench.fails("rebase", "app", "--new_base", "new")


def test_errors_are_of_their_kind() -> None:
    with pytest.raises(Unrelated):
        rebase(random_image(1), random_image(2), random_image(3))
    one = make_index([(Platform("s390x"), random_image(1, platform=Platform("s390x")))])
    with pytest.raises(NotFound):
        rebase_images(on_top(random_image(1)), random_image(1), one, warn=print)
