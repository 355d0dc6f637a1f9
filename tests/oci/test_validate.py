from __future__ import annotations

import gzip
import json
from typing import Any

import msgspec
import pytest

from fixtures.zstd import compress
from imagist.digest import sha256
from imagist.oci import mediatype
from imagist.oci.derive import BytesLayer, MemoryImage, MemoryIndex
from imagist.oci.empty import EMPTY_IMAGE, EMPTY_INDEX
from imagist.oci.manifest import Descriptor, History
from imagist.oci.mutate import append_layers, make_index
from imagist.oci.random import ARM64, random_image, random_index, random_layer
from imagist.oci.validate import list_unchecked, validate


def messages(thing: Any, **options: Any) -> Any:
    return [str(problem) for problem in validate(thing, **options)]


def with_layer(layer: Any) -> Any:
    return append_layers(EMPTY_IMAGE, [(layer, History(created_by="x"))])


@pytest.mark.parametrize("thing", [EMPTY_IMAGE, EMPTY_INDEX, random_image(1), random_index(1)])
def test_sound_things_have_no_findings(thing: Any) -> None:
    assert messages(thing) == []


class Rotten(msgspec.Struct, frozen=True):
    """A layer whose medium lost some bytes after it was described."""

    layer: BytesLayer
    data: bytes

    digest = property(lambda self: self.layer.digest)
    diff_id = property(lambda self: self.layer.diff_id)
    size = property(lambda self: self.layer.size)
    media_type = property(lambda self: self.layer.media_type)

    def compressed(self) -> Any:
        return BytesLayer(self.data, "").compressed()


def test_a_changed_byte_is_found() -> None:
    layer = random_layer(1)
    data = bytearray(layer.data)
    data[-20] ^= 1
    found = messages(with_layer(Rotten(layer, bytes(data))))
    assert any("digest" in text or "cannot be read" in text for text in found)


def test_a_layer_cut_short_is_found() -> None:
    layer = random_layer(1)
    assert messages(with_layer(Rotten(layer, layer.data[:-30])))
    assert messages(with_layer(Rotten(layer, b"")))


def test_bytes_after_the_end_are_found() -> None:
    layer = random_layer(1)
    assert messages(with_layer(Rotten(layer, layer.data + b"more")))


def test_a_wrong_diff_id_is_found() -> None:
    data = random_layer(1).data
    [found] = messages(with_layer(BytesLayer(data, sha256(b""))))
    assert "diff_id" in found


def test_several_gzip_members_are_one_layer() -> None:
    tar = bytes(3 << 20)
    data = b"".join(gzip.compress(tar[i : i + (1 << 20)], 1) for i in range(0, len(tar), 1 << 20))
    assert messages(with_layer(BytesLayer(data, sha256(tar)))) == []


def test_a_plain_layer_is_its_own_diff_id() -> None:
    assert messages(with_layer(BytesLayer(b"tar", sha256(b"tar"), mediatype.LAYER_TAR))) == []
    assert messages(with_layer(BytesLayer(b"tar", sha256(b"no"), mediatype.LAYER_TAR)))


def test_the_diff_id_of_a_layer_of_zstd_is_derived() -> None:
    data = compress(b"tar", bytes(3 << 20))
    good = BytesLayer(data, sha256(b"tar" + bytes(3 << 20)), mediatype.LAYER_ZSTD)
    assert messages(with_layer(good)) == []
    [found] = messages(with_layer(BytesLayer(data, sha256(b"no"), mediatype.LAYER_ZSTD)))
    assert "diff_id" in found
    for bad in (data[:-1], b"zst", b""):
        [found] = messages(with_layer(BytesLayer(bad, sha256(b"no"), mediatype.LAYER_ZSTD)))
        assert "cannot be read" in found


def test_a_layer_of_an_unknown_form_is_left_alone_and_told() -> None:
    strange = with_layer(BytesLayer(b"?", sha256(b"no"), "application/x-strange"))
    assert messages(strange) == []
    assert list_unchecked(strange) == [sha256(b"?")]


def test_without_layers_only_documents_are_read() -> None:
    rotten = with_layer(Rotten(random_layer(1), b""))
    assert messages(rotten, layers=False) == []


def test_all_findings_are_reported_at_once() -> None:
    first = append_layers(
        EMPTY_IMAGE, [(Rotten(random_layer(n), b"x"), History()) for n in range(3)]
    )
    assert len(messages(first)) >= 3


def test_a_lying_index_is_found() -> None:
    document = json.loads(make_index([(ARM64, random_image(1))]).raw_manifest)
    document["manifests"][0]["size"] += 1
    index = MemoryIndex(
        json.dumps(document).encode(), make_index([(ARM64, random_image(1))]).children
    )
    found = "\n".join(messages(index))
    assert "bytes" in found
    assert "linux/arm64" in found


def test_a_missing_child_is_a_finding() -> None:
    [item] = messages(MemoryIndex(random_index(1, platforms=[ARM64]).raw_manifest))
    assert "does not hold" in item


def test_another_configuration_than_the_manifest_names_is_found() -> None:
    image = random_image(1)
    found = messages(MemoryImage(image.raw_manifest, image.raw_config + b" ", image.layers))
    assert any("configuration" in text for text in found)


def test_a_history_of_another_length_is_found() -> None:
    image = append_layers(
        EMPTY_IMAGE, [(random_layer(1), History()), (random_layer(2), History())]
    )
    short = image.raw_config.replace(b'"history":[{},{}]', b'"history":[{}]')
    assert short != image.raw_config
    raw = json.loads(image.raw_manifest)
    raw["config"] = {
        "mediaType": mediatype.CONFIG,
        "digest": str(sha256(short)),
        "size": len(short),
    }
    found = messages(MemoryImage(json.dumps(raw).encode(), short, image.layers))
    assert [text for text in found if "history" in text]


def test_foreign_layers_are_not_opened() -> None:
    layer = BytesLayer(
        b"nothing", sha256(b""), mediatype.LAYER_TAR.replace("layer.", "layer.nondistributable.")
    )
    assert messages(with_layer(layer)) == []
    assert Descriptor(media_type=layer.media_type, digest=layer.digest, size=1).urls == ()
