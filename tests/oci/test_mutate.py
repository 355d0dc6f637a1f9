from __future__ import annotations

import json
from typing import Any

import pytest

from imagist.errors import InputError
from imagist.oci import derive
from imagist.oci.compare import compare
from imagist.oci.empty import EMPTY_IMAGE
from imagist.oci.manifest import History, RunConfig
from imagist.oci.mutate import (
    annotate_image,
    annotate_index,
    append_layers,
    make_index,
    map_images,
    set_config,
    set_created,
    set_subject,
)
from imagist.oci.random import AMD64, ARM64, random_image, random_index, random_layer
from imagist.oci.rebase import Unrelated, rebase
from imagist.oci.validate import validate


def line(text: Any = "more") -> Any:
    return History(created_by=text)


def test_appended_layers_lie_on_top_with_their_history() -> None:
    old = random_image(1, layers=2)
    new = append_layers(old, [(random_layer(9), line())])
    assert [x.digest for x in new.layers[:2]] == [x.digest for x in old.layers]
    config = derive.config(new)
    assert config.rootfs.diff_ids[2] == random_layer(9).diff_id
    assert (config.history or ())[2].created_by == "more"
    assert validate(new) == []
    assert len(old.layers) == 2


def test_members_that_imagist_does_not_know_survive_every_change() -> None:
    manifest = json.loads(random_image(1).raw_manifest) | {"org.example": {"a": [1]}}
    config = json.loads(random_image(1).raw_config) | {"onbuild": ["x"]}
    image = set_config(EMPTY_IMAGE, config)
    image = derive.MemoryImage(
        json.dumps(
            manifest | {"layers": [], "config": json.loads(image.raw_manifest)["config"]}
        ).encode(),
        image.raw_config,
    )
    image = annotate_image(set_config(image, {"config": {"User": "7"}}), {"a": "b"})
    assert json.loads(image.raw_manifest)["org.example"] == {"a": [1]}
    assert json.loads(image.raw_config)["onbuild"] == ["x"]
    assert json.loads(image.raw_config)["config"] == {"User": "7"}


def test_a_configuration_is_merged_member_by_member_and_empty_values_remove() -> None:
    image = set_config(EMPTY_IMAGE, {"config": {"User": "7", "Env": ["A=1"]}})
    image = set_config(image, {"config": {"User": ""}, "author": "me"})
    config = derive.config(image)
    assert config.config == RunConfig(env=("A=1",))
    assert config.author == "me"


def test_a_time_of_creation_is_set_everywhere() -> None:
    image = annotate_image(random_image(1), {"org.opencontainers.image.created": "old"})
    dated = set_created(image, "2001-02-03T04:05:06Z")
    config = derive.config(dated)
    assert config.created == "2001-02-03T04:05:06Z"
    assert {item.created for item in config.history or ()} == {"2001-02-03T04:05:06Z"}
    annotations = derive.manifest(dated).annotations
    assert annotations["org.opencontainers.image.created"] == "2001-02-03T04:05:06Z"


def test_a_subject_makes_a_referrer_and_none_unmakes_it() -> None:
    image = random_image(1)
    referrer = set_subject(image, derive.describe_image(random_image(2)))
    assert derive.manifest(referrer).subject == derive.describe_image(random_image(2))
    assert derive.digest(set_subject(referrer, None)) == derive.digest(image)


def test_mapping_an_index_changes_every_platform_and_keeps_order_and_annotations() -> None:
    index = annotate_index(random_index(1), {"a": "b"})
    seen = []

    def label(platform: Any, image: Any) -> Any:
        seen.append(str(platform))
        return set_config(image, {"config": {"Labels": {"x": str(platform)}}})

    changed = map_images(index, label)
    assert seen == ["linux/amd64", "linux/arm64"]
    assert derive.index_manifest(changed).annotations == {"a": "b"}
    assert [p for p, _ in derive.images(changed)] == [p for p, _ in derive.images(index)]
    assert validate(changed) == []
    assert [d.what for d in compare(index, changed)] == ["config.Labels", "config.Labels"]


def test_mapping_with_no_change_keeps_every_digest() -> None:
    index = random_index(1)
    assert derive.digest(map_images(index, lambda _, image: image)) == derive.digest(index)


def test_rebasing_moves_the_own_layers_to_the_new_base() -> None:
    old_base, new_base = random_image(1, layers=2), random_image(2, layers=3)
    mine = random_layer(77)
    image = append_layers(old_base, [(mine, line("mine"))])
    moved = rebase(image, old_base, new_base)
    assert [x.digest for x in moved.layers] == [x.digest for x in (*new_base.layers, mine)]
    assert [x.created_by for x in derive.config(moved).history or ()][-1] == "mine"
    assert validate(moved) == []
    assert derive.digest(rebase(moved, new_base, old_base)) == derive.digest(image)


def test_rebasing_refuses_a_base_that_is_not_below_and_one_for_another_platform() -> None:
    with pytest.raises(Unrelated, match="layer 1"):
        rebase(random_image(1), random_image(2), random_image(3))
    with pytest.raises(InputError, match="arm64"):
        rebase(random_image(1), random_image(1), random_image(3, platform=ARM64))


def test_comparison_names_what_differs_and_nothing_else() -> None:
    image = random_image(1)
    assert compare(image, image) == []
    other = append_layers(
        set_config(image, {"config": {"User": "7"}}), [(random_layer(3), line())]
    )
    assert [d.what for d in compare(image, other)] == ["config.User", "layers[2]"]
    assert "absent -> " in str(compare(image, other)[0])


def test_comparison_finds_a_missing_platform() -> None:
    [found] = compare(random_index(1), random_image(1))
    assert (found.platform, found.what, found.new) == ("linux/arm64", "image", None)


@pytest.mark.parametrize("depth", [100, 900, *range(940, 1000, 4), 5_000, 100_000])
def test_deeply_nested_documents_are_refused_and_never_a_traceback(depth: Any) -> None:
    image = random_image(1)
    deep = b"[" * depth + b"]" * depth
    nested = derive.MemoryImage(
        image.raw_manifest[:-1] + b',"x":' + deep + b"}", image.raw_config, image.layers
    )
    for change in (lambda: annotate_image(nested, {"a": "b"}), lambda: compare(image, nested)):
        try:
            change()
        except InputError:
            assert depth > 100
        else:
            assert depth < 5_000


@pytest.mark.parametrize("members", [{"config": [1]}, {"config": {"Env": 1}}, {"rootfs": []}])
def test_comparison_refuses_documents_of_another_shape(members: Any) -> None:
    image = random_image(1)
    raw = json.dumps({**json.loads(image.raw_config), **members}).encode()
    other = derive.MemoryImage(image.raw_manifest, raw, image.layers)
    index = make_index([(AMD64, other)])
    with pytest.raises(InputError):
        compare(make_index([(AMD64, annotate_image(image, {"a": "b"}))]), index)
