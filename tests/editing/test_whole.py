"""Edits of whole indexes: what else lies in them, and what stays byte for byte."""

from __future__ import annotations

import json

import pytest

from editing.bench import Bench, config, images, manifest
from imagist.editing.whole import edit_images, narrow
from imagist.errors import InputError, NotFound
from imagist.oci import derive, mediatype
from imagist.oci.derive import MemoryImage, MemoryIndex
from imagist.oci.image import Image, Index
from imagist.oci.manifest import Descriptor, Manifest, describe, encode
from imagist.oci.mutate import make_index, set_config
from imagist.oci.platform import Platform
from imagist.oci.random import AMD64, ARM64, random_image, random_index
from imagist.oci.validate import validate

UNKNOWN = Platform("unknown", "unknown")


def attestation(of: Image | str) -> tuple[Descriptor, Image]:
    """What BuildKit puts beside an image: a manifest for no platform that names it."""
    raw = b'{"architecture":"unknown","os":"unknown"}'
    document = Manifest(schema_version=2, config=describe(raw, mediatype.CONFIG))
    made = MemoryImage(encode(document), raw)
    about = of if isinstance(of, str) else str(derive.digest(of))
    annotations = {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": about,
    }
    return derive.describe_image(made, platform=UNKNOWN, annotations=annotations), made


def with_children(index: MemoryIndex, *more: tuple[Descriptor, Image | Index]) -> MemoryIndex:
    """An index with more members."""
    document = json.loads(index.raw_manifest)
    document["manifests"] += [json.loads(encode(item)) for item, _ in more]
    children = dict(index.children) | {item.digest: child for item, child in more}
    return MemoryIndex(json.dumps(document, indent=3).encode(), children, index.media_type)


def labelled(_: Platform, image: Image) -> Image:
    return set_config(image, {"config": {"Labels": {"x": "y"}}})


def only_arm(platform: Platform, image: Image) -> Image:
    return labelled(platform, image) if platform == ARM64 else image


def test_attestations_of_images_that_change_are_left_out_and_told() -> None:
    index = random_index(1)
    amd64, arm64 = images(index)
    whole = with_children(index, attestation(amd64), attestation(arm64))
    said: list[str] = []
    edited = edit_images(whole, labelled, said.append)
    assert isinstance(edited, Index)
    assert [item.platform for item in derive.index_manifest(edited).manifests] == [AMD64, ARM64]
    assert said == ["2 attestations are left out, about images as they were before the edit"]
    # Of one image that stays the attestation stays.
    said.clear()
    edited = edit_images(whole, only_arm, said.append)
    assert isinstance(edited, Index)
    kept = derive.index_manifest(edited).manifests
    assert [item.platform for item in kept] == [AMD64, ARM64, UNKNOWN]
    assert kept[2].annotations["vnd.docker.reference.digest"] == derive.digest(amd64)
    assert said == ["an attestation is left out, about images as they were before the edit"]
    assert validate(edited, layers=False) == []


def test_an_attestation_of_nothing_that_is_there_goes_with_any_change() -> None:
    whole = with_children(random_index(1), attestation("sha256:" + "0" * 64))
    said: list[str] = []
    assert len(manifest(edit_images(whole, only_arm, said.append))["manifests"]) == 2
    assert len(said) == 1


def test_an_edit_that_changes_nothing_keeps_every_byte() -> None:
    index = random_index(1)
    whole = with_children(index, attestation(images(index)[0]))
    assert b"\n   " in whole.raw_manifest  # no encoder of ours writes so
    said: list[str] = []
    assert (
        edit_images(whole, lambda _, image: image, said.append).raw_manifest == whole.raw_manifest
    )
    assert said == []


def test_nested_indexes_are_edited_and_artifacts_stay() -> None:
    inner = random_index(5)
    artifact_config = b"{}"
    artifact = MemoryImage(
        encode(Manifest(schema_version=2, config=describe(artifact_config, mediatype.EMPTY))),
        artifact_config,
    )
    strange = Descriptor(
        media_type="application/x-strange",
        digest="sha256:" + "1" * 64,
        size=3,
        annotations={"a": "b"},
    )
    document = json.loads(
        make_index(
            [(None, inner), (None, artifact), (ARM64, random_image(3, platform=ARM64))]
        ).raw_manifest
    )
    document["manifests"].insert(1, json.loads(encode(strange)))
    document["annotations"] = {"kept": "yes"}
    children: dict[str, Image | Index] = {
        str(derive.digest(each)): each
        for each in (inner, artifact, random_image(3, platform=ARM64))
    }
    outer = MemoryIndex(json.dumps(document).encode(), children)
    edited = edit_images(outer, labelled, print)
    assert isinstance(edited, Index)
    assert manifest(edited)["annotations"] == {"kept": "yes"}
    assert manifest(edited)["manifests"][1] == json.loads(encode(strange))
    assert manifest(edited)["manifests"][2] == document["manifests"][2]
    assert len(images(edited)) == 3
    assert all(config(each)["config"]["Labels"] == {"x": "y"} for each in images(edited))
    assert validate(edited) == []


def test_the_same_child_twice_is_edited_once() -> None:
    image = random_image(1)
    seen = []
    index = make_index([(AMD64, image), (Platform("amd64", variant="v2"), image)])

    def change(platform: Platform, image: Image) -> Image:
        seen.append(platform)
        return labelled(platform, image)

    edited = edit_images(index, change, print)
    assert len(seen) == 1
    assert len({item["digest"] for item in manifest(edited)["manifests"]}) == 1
    assert [item["platform"] for item in manifest(edited)["manifests"]] == [
        item["platform"] for item in manifest(index)["manifests"]
    ]


def test_docker_stays_docker(bench: Bench) -> None:
    raw = random_index(1).raw_manifest
    for own, dockers in (
        (mediatype.INDEX, mediatype.DOCKER_INDEX),
        (mediatype.MANIFEST, mediatype.DOCKER_MANIFEST),
    ):
        raw = raw.replace(own.encode(), dockers.encode())
    children: dict[str, Image | Index] = {}
    document = json.loads(raw)
    for item, image in zip(document["manifests"], images(random_index(1)), strict=True):
        written = image.raw_manifest.replace(
            mediatype.MANIFEST.encode(), mediatype.DOCKER_MANIFEST.encode()
        ).replace(mediatype.CONFIG.encode(), mediatype.DOCKER_CONFIG.encode())
        child = MemoryImage(
            written, image.raw_config, tuple(image.layers), mediatype.DOCKER_MANIFEST
        )
        item |= {"digest": str(derive.digest(child)), "size": len(written)}
        children[item["digest"]] = child
    index = MemoryIndex(json.dumps(document).encode(), children, mediatype.DOCKER_INDEX)
    bench.file("x")
    name = bench.write(index)
    for words in (["append", name, "-f", "x"], ["mutate", name, "-u", "7"], ["flatten", name]):
        edited = bench.edit(*words)
        assert manifest(edited)["mediaType"] == mediatype.DOCKER_INDEX
        for image in images(edited):
            assert manifest(image)["mediaType"] == mediatype.DOCKER_MANIFEST
            assert manifest(image)["config"]["mediaType"] == mediatype.DOCKER_CONFIG
        if words[0] != "mutate":
            assert images(edited)[0].layers[-1].media_type == mediatype.DOCKER_LAYER
        assert validate(edited) == []


def test_what_has_no_image_cannot_be_edited() -> None:
    with pytest.raises(NotFound, match="no container image"):
        edit_images(make_index([]), labelled, print)
    config_ = b"{}"
    artifact = MemoryImage(
        encode(Manifest(schema_version=2, config=describe(config_, mediatype.EMPTY))), config_
    )
    with pytest.raises(InputError, match="artifact"):
        edit_images(artifact, labelled, print)


def test_narrowing_keeps_descriptors_and_what_is_about_them() -> None:
    three = make_index(
        [(p, random_image(n, platform=p)) for n, p in enumerate((AMD64, ARM64, Platform("s390x")))]
    )
    amd64, arm64, _ = images(three)
    whole = with_children(three, attestation(amd64), attestation(arm64))
    nested = make_index(
        [(None, whole), (Platform("riscv64"), random_image(9, platform=Platform("riscv64")))]
    )
    assert narrow(whole, ["arm64"]).raw_manifest == arm64.raw_manifest
    two = narrow(nested, ["arm64", "s390x"])
    assert isinstance(two, Index)
    [inner] = [child for _, child in derive.children(two)]
    names = [str(item.platform) for item in derive.index_manifest(inner).manifests]  # type: ignore[arg-type]
    assert names == ["linux/arm64", "linux/s390x", "unknown/unknown"]
    assert validate(two, layers=False) == []
    assert narrow(amd64, ["amd64"]) == amd64
    assert narrow(whole, []) is whole
    with pytest.raises(NotFound, match="no image for `arm64`"):
        narrow(amd64, ["arm64"])
