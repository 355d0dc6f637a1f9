from __future__ import annotations

import io
import json
from typing import Any

import msgspec
import pytest

from imagist.digest import sha256
from imagist.errors import InputError, NotFound, Untrusted
from imagist.oci import derive, mediatype
from imagist.oci.empty import EMPTY_IMAGE, EMPTY_INDEX
from imagist.oci.image import Image, Index, Layer
from imagist.oci.manifest import Descriptor, ImageConfig, Manifest, decode, describe, encode
from imagist.oci.mutate import make_index
from imagist.oci.platform import Platform
from imagist.oci.random import AMD64, random_image, random_index, random_layer
from imagist.oci.reader import VerifyingReader, verified


def test_values_in_memory_speak_the_protocols() -> None:
    assert isinstance(random_image(1), Image)
    assert not isinstance(random_image(1), Index)
    assert isinstance(random_index(1), Index)
    assert isinstance(random_layer(1), Layer)


def test_the_same_seed_gives_the_same_image_and_another_seed_another() -> None:
    assert derive.digest(random_index(5)) == derive.digest(random_index(5))
    assert derive.digest(random_index(5)) != derive.digest(random_index(6))


@pytest.mark.parametrize(
    ("thing", "members"),
    [
        (EMPTY_IMAGE, {"schemaVersion", "mediaType", "config", "layers"}),
        (EMPTY_INDEX, {"schemaVersion", "mediaType", "manifests"}),
    ],
)
def test_required_members_are_written_even_where_they_have_their_default(
    thing: Any, members: Any
) -> None:
    assert set(json.loads(thing.raw_manifest)) == members
    assert json.loads(EMPTY_IMAGE.raw_config)["rootfs"] == {"type": "layers", "diff_ids": []}


def test_a_platform_is_written_with_its_os() -> None:
    item = json.loads(random_index(1).raw_manifest)["manifests"][0]
    assert item["platform"] == {"architecture": "amd64", "os": "linux"}


def test_a_digest_may_stand_in_a_document() -> None:
    raw = encode(describe(b"{}", mediatype.EMPTY))
    assert json.loads(raw)["digest"] == (
        "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    )


def test_null_for_none_is_read_as_go_programs_write_it() -> None:
    raw = b'{"architecture":"amd64","os":"linux","config":{"Labels":null,"Env":null},"rootfs":{"type":"layers","diff_ids":null},"variant":null}'
    config = decode(ImageConfig, raw, "a configuration")
    assert config.rootfs.diff_ids == ()
    assert config.platform == AMD64


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"schemaVersion":"two"}', b"\xff"])
def test_what_is_no_manifest_is_refused_with_an_error_of_ours(raw: Any) -> None:
    with pytest.raises(InputError):
        derive.parse_manifest(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"schemaVersion":1,"name":"a","fsLayers":[]}',
        b'{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v1+prettyjws"}',
    ],
)
def test_schema_1_is_refused_by_name(raw: Any) -> None:
    with pytest.raises(InputError, match="schema 1") as caught:
        derive.detect_media_type(raw)
    assert caught.value.problems[0].help


def test_the_media_type_is_detected_where_a_document_leaves_it_out() -> None:
    image, index = (json.loads(x.raw_manifest) for x in (random_image(1), random_index(1)))
    del image["mediaType"], index["mediaType"]
    assert derive.detect_media_type(json.dumps(image).encode()) == mediatype.MANIFEST
    assert derive.detect_media_type(json.dumps(index).encode()) == mediatype.INDEX


def test_images_of_an_index_leave_attestations_and_artifacts_out() -> None:
    attestation = random_image(8)
    artifact = msgspec.structs.replace(
        random_image(9),
        raw_manifest=encode(Manifest(schema_version=2, config=describe(b"{}", mediatype.EMPTY))),
        raw_config=b"{}",
        layers=(),
    )
    inner = random_index(1, platforms=[Platform("s390x")])
    index = make_index(
        [
            (AMD64, random_image(3)),
            (Platform("unknown", "unknown"), attestation),
            (None, artifact),
            (None, inner),
        ]
    )
    assert [str(platform) for platform, _ in derive.images(index)] == [
        "linux/amd64",
        "linux/s390x",
    ]
    assert len(derive.children(index)) == 4


def test_children_of_unknown_media_type_are_no_error() -> None:
    document = json.loads(random_index(1).raw_manifest)
    strange = {"mediaType": "application/vnd.example+json", "digest": sha256(b"x"), "size": 1}
    document["manifests"].append({**strange, "digest": str(strange["digest"])})
    index = msgspec.structs.replace(random_index(1), raw_manifest=json.dumps(document).encode())
    assert len(derive.children(index)) == 2


def test_an_unknown_configuration_is_never_parsed() -> None:
    raw = encode(Manifest(schema_version=2, config=describe(b"{}", "application/x-mine")))
    artifact = derive.MemoryImage(raw, b"not json")
    with pytest.raises(InputError, match="artifact"):
        derive.config(artifact)


def test_a_child_that_is_not_held_is_not_found() -> None:
    with pytest.raises(NotFound):
        EMPTY_INDEX.child(Descriptor(media_type=mediatype.MANIFEST, digest=sha256(b""), size=0))


def test_a_verifying_reader_gives_what_it_was_promised() -> None:
    data = bytes(range(256)) * 9999
    assert verified(io.BytesIO(data), sha256(data), len(data)).read() == data
    assert verified(io.BytesIO(data), sha256(data)).read() == data
    buffered = io.BufferedReader(VerifyingReader(io.BytesIO(data), sha256(data), len(data)))
    assert buffered.read() == data


@pytest.mark.parametrize("held", [b"hellO", b"hello!", b"hell", b""])
def test_a_verifying_reader_refuses_everything_else(held: Any) -> None:
    with pytest.raises(Untrusted):
        verified(io.BytesIO(held), sha256(b"hello"), 5).read()
    with pytest.raises(Untrusted):
        io.BufferedReader(VerifyingReader(io.BytesIO(held), sha256(b"hello"), 5)).read()


def test_deeply_nested_documents_are_refused() -> None:
    raw = b'{"schemaVersion": 2, "x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    for parse in (derive.parse_manifest, derive.parse_index, derive.detect_media_type):
        with pytest.raises(InputError, match="recursion"):
            parse(raw)


def test_a_document_wrong_in_shape_and_then_no_json_is_refused() -> None:
    with pytest.raises(InputError, match="not JSON"):
        derive.parse_manifest(b'{"schemaVersion":"two",')


@pytest.mark.parametrize(
    "digest", ["sha256:../../x", "sha256:" + "A" * 64, "sha256:" + "0" * 64 + "\\n", "x", "", "sha512:00"]
)  # fmt: skip
def test_what_is_no_digest_is_refused_where_it_is_read(digest: str) -> None:
    raw = f'{{"mediaType":"x","digest":"{digest}","size":1}}'.encode()
    with pytest.raises(InputError):
        decode(Descriptor, raw, "a descriptor")
    with pytest.raises(InputError):
        decode(ImageConfig, f'{{"rootfs":{{"diff_ids":["{digest}"]}}}}'.encode(), "x")


@pytest.mark.parametrize(
    "digest", ["sha256:" + "0" * 64, "sha512:" + "f" * 128, "multihash+b58:Qm"]
)
def test_digests_of_every_algorithm_are_read(digest: str) -> None:
    raw = f'{{"mediaType":"x","digest":"{digest}","size":1}}'.encode()
    assert decode(Descriptor, raw, "a descriptor").digest == digest
