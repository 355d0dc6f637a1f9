"""Manifests, tags and referrers (distribution-spec, "Pushing Manifests", "Listing Referrers")."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from imagist.digest import Digest, sha256
from imagist.oci import mediatype
from imagist.server.access import Access
from imagist.server.manifests import LARGEST
from imagist.server.metrics import Metrics
from imagist.server.registry import Policy, Registry
from imagist.store.repositories import Repositories
from server.asking import Answer, Direct, describe, image_of

CONFIG = b"{}"
SIZE = {"size": -1}
MANIFESTS = "/v2/team/app/manifests/"


def put(ask: Direct, reference: str, document: object, kind: str = mediatype.MANIFEST) -> Answer:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    return ask("PUT", MANIFESTS + reference, raw, {"content-type": kind} if kind else {})


def test_a_manifest_comes_back_byte_for_byte(ask: Direct) -> None:
    ask.put_blob("team/app", CONFIG)
    raw = json.dumps(image_of(CONFIG), indent=3).encode() + b"\n"
    digest = sha256(raw)
    done = put(ask, "1.0", raw, f"{mediatype.MANIFEST}; charset=utf-8")
    assert (done.status, done.headers["location"]) == (201, MANIFESTS + digest)
    for reference in ("1.0", digest):
        answer = ask("GET", MANIFESTS + reference)
        assert (answer.status, answer.body) == (200, raw)
        assert answer.headers["content-type"] == mediatype.MANIFEST
        assert answer.headers["docker-content-digest"] == digest
        head = ask("HEAD", MANIFESTS + reference)
        assert (head.headers, head.body) == (answer.headers, b"")


def test_a_manifest_by_its_sha512(ask: Direct) -> None:
    ask.put_blob("team/app", CONFIG)
    raw = json.dumps(image_of(CONFIG)).encode()
    digest = "sha512:" + hashlib.sha512(raw).hexdigest()
    assert put(ask, f"{digest}?tag=long", raw).headers["docker-content-digest"] == digest
    for reference in (digest, "long"):
        answer = ask("GET", MANIFESTS + reference)
        assert (answer.body, answer.headers["docker-content-digest"]) == (raw, digest)
    assert ask("GET", MANIFESTS + sha256(raw)).status == 404


def test_tags_with_a_digest(ask: Direct) -> None:
    ask.put_blob("team/app", CONFIG)
    raw = json.dumps(image_of(CONFIG)).encode()
    done = put(ask, f"{sha256(raw)}?tag=a&tag=b&tag=a", raw)
    assert done.headers["oci-tag"] == "a, b"
    assert ask("GET", "/v2/team/app/tags/list").json["tags"] == ["a", "b"]
    assert put(ask, f"{sha256(raw)}?tag=a/b", raw).code == "TAG_INVALID"
    many = "&".join(f"tag={number}" for number in range(200))
    assert put(ask, f"{sha256(raw)}?{many}", raw).status == 414


def test_a_tag_moves(ask: Direct) -> None:
    first = ask.put_image("team/app", "1", b"a")
    second = ask.put_image("team/app", "1", b"b")
    assert ask("HEAD", MANIFESTS + "1").headers["docker-content-digest"] == second
    assert ask("HEAD", MANIFESTS + first).status == 200


@pytest.mark.parametrize(
    ("document", "kind", "why"),
    [
        (b"{", mediatype.MANIFEST, "not JSON"),
        (b"[]", mediatype.MANIFEST, "not what"),
        (b"\xff", mediatype.MANIFEST, "not JSON"),
        (image_of(CONFIG), mediatype.INDEX, "Content-Type"),
        (image_of(CONFIG, schemaVersion=1), mediatype.MANIFEST, "schemaVersion"),
        (image_of(CONFIG, manifests=[]), mediatype.MANIFEST, "manifests"),
        ({"schemaVersion": 2, "layers": []}, mediatype.MANIFEST, "no config"),
        (image_of(CONFIG, mediaType=mediatype.INDEX), mediatype.INDEX, "neither"),
        ({"schemaVersion": 2}, "", "neither Content-Type nor mediaType"),
        (b"{}", "application/vnd.docker.distribution.manifest.v1+prettyjws", "schema 1"),
        ({"mediaType": "x\r\nSet-Cookie: a=b"}, "", "no media type"),
        ({"mediaType": "text"}, "", "no media type"),
        (b"{}", "x/y z", "no media type"),
        (
            image_of(CONFIG) | {"config": describe(CONFIG, "a/b\r\nc: d")},
            mediatype.MANIFEST,
            "is 'a/b",
        ),
        (
            image_of(CONFIG) | {"layers": [describe(CONFIG, "a/b") | SIZE]},
            mediatype.MANIFEST,
            ">= 0",
        ),
        (image_of(CONFIG, subject=describe(CONFIG, "a/b") | SIZE), mediatype.MANIFEST, ">= 0"),
        ({"manifests": [describe(CONFIG, "a/b") | SIZE]}, mediatype.INDEX, ">= 0"),
    ],
)
def test_what_is_no_manifest(ask: Direct, document: object, kind: str, why: str) -> None:
    ask.put_blob("team/app", CONFIG)
    answer = put(ask, "1", document, kind)
    assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")
    assert why in answer.json["errors"][0]["message"]
    assert ask("GET", "/v2/team/app/tags/list").json["tags"] == []


def test_the_media_type_may_stand_in_the_manifest_alone(ask: Direct) -> None:
    ask.put_blob("team/app", CONFIG)
    assert put(ask, "1", image_of(CONFIG), "").status == 201
    assert ask("HEAD", MANIFESTS + "1").headers["content-type"] == mediatype.MANIFEST


def test_a_manifest_of_a_kind_nobody_knows(ask: Direct) -> None:
    kind = "application/vnd.example.thing+json"
    assert put(ask, "1", {"anything": [1, 2]}, kind).status == 201
    assert ask("GET", MANIFESTS + "1").headers["content-type"] == kind


def test_a_wrong_digest(ask: Direct) -> None:
    ask.put_blob("team/app", CONFIG)
    answer = put(ask, sha256(b"x"), image_of(CONFIG))
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


def test_blobs_come_before_the_manifest(ask: Direct, repositories: Repositories) -> None:
    document = image_of(CONFIG, b"layer")
    ask.put_blob("team/app", CONFIG)
    ask.put_blob("team/other", b"layer")
    answer = put(ask, "1", document)
    assert (answer.status, answer.code) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert answer.json["errors"][0]["detail"] == [{"digest": sha256(b"layer")}]
    lax = Direct(Registry(repositories, Policy(Access(), sparse=True), Metrics()))
    assert put(lax, "1", document).status == 201


def test_images_come_before_the_index(ask: Direct, repositories: Repositories) -> None:
    image = json.dumps(image_of(CONFIG)).encode()
    index = {"schemaVersion": 2, "manifests": [describe(image, mediatype.MANIFEST)]}
    ask.put_blob("team/app", image)  # as a blob nobody can pull it
    answer = put(ask, "1", index, mediatype.INDEX)
    assert (answer.status, answer.code) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert f"has no manifest {sha256(image)}" in answer.json["errors"][0]["message"]
    assert answer.json["errors"][0]["detail"] == [{"digest": sha256(image)}]
    assert ask("GET", "/v2/team/app/tags/list").json["tags"] == []
    lax = Direct(Registry(repositories, Policy(Access(), sparse=True), Metrics()))
    assert put(lax, "sparse", index, mediatype.INDEX).status == 201
    ask.put_blob("team/app", CONFIG)
    assert put(ask, sha256(image), image).status == 201
    assert put(ask, "1", index, mediatype.INDEX).status == 201


def test_an_index_of_a_build_cache_names_blobs(ask: Direct) -> None:
    kinds = (mediatype.LAYER_TAR, "application/vnd.buildkit.cacheconfig.v0")
    index = {"schemaVersion": 2, "manifests": [describe(CONFIG, kind) for kind in kinds]}
    assert put(ask, "cache", index, mediatype.INDEX).code == "MANIFEST_BLOB_UNKNOWN"
    ask.put_blob("team/app", CONFIG)
    assert put(ask, "cache", index, mediatype.INDEX).status == 201


def test_layers_that_stay_where_they_are_need_not_come(ask: Direct) -> None:
    ask.put_blob("team/app", CONFIG)
    foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    elsewhere = describe(b"far", mediatype.LAYER_TAR) | {"urls": ["https://example.org/far"]}
    layers = [describe(b"foreign", foreign), elsewhere]
    assert put(ask, "1", image_of(CONFIG, layers=layers)).status == 201


def test_a_large_manifest(ask: Direct) -> None:
    ask.put_blob("team/app", CONFIG)
    document = image_of(CONFIG, annotations={"a": "x" * (4 << 20)})
    assert put(ask, "large", document).status == 201
    assert ask("GET", MANIFESTS + "large").json == json.loads(json.dumps(document))
    answer = put(ask, "huge", b" " * (LARGEST + 1))
    assert (answer.status, answer.code) == (413, "SIZE_INVALID")
    pieces = iter([b" " * (1 << 20)] * 17)
    stream = ask("PUT", MANIFESTS + "huge", pieces, {"content-type": mediatype.MANIFEST})
    assert stream.status == 413


def test_deleting_a_tag_leaves_the_manifest(ask: Direct) -> None:
    digest = ask.put_image("team/app", "1")
    ask.put_image("team/app", "2")
    assert ask("DELETE", MANIFESTS + "1").status == 202
    assert ask("GET", MANIFESTS + "1").code == "MANIFEST_UNKNOWN"
    assert ask("GET", MANIFESTS + digest).status == 200
    assert ask("DELETE", MANIFESTS + "1").code == "MANIFEST_UNKNOWN"


def test_deleting_a_manifest_takes_its_tags(ask: Direct) -> None:
    digest = ask.put_image("team/app", "1", b"a")
    ask.put_image("team/app", "2", b"a")
    other = ask.put_image("team/app", "3", b"b")
    assert ask("DELETE", MANIFESTS + digest).status == 202
    for reference in ("1", "2", digest):
        assert ask("GET", MANIFESTS + reference).code == "MANIFEST_UNKNOWN"
    assert ask("GET", "/v2/team/app/tags/list").json["tags"] == ["3"]
    assert ask("GET", MANIFESTS + other).status == 200
    assert ask("DELETE", MANIFESTS + digest).code == "MANIFEST_UNKNOWN"


def test_an_unknown_repository_is_told_from_an_unknown_manifest(ask: Direct) -> None:
    assert ask("GET", MANIFESTS + "1").code == "NAME_UNKNOWN"
    assert ask("DELETE", MANIFESTS + "1").code == "NAME_UNKNOWN"
    assert ask("GET", "/v2/team/app/tags/list").code == "NAME_UNKNOWN"
    ask.put_blob("team/app", CONFIG)
    assert ask("GET", MANIFESTS + "1").code == "MANIFEST_UNKNOWN"
    assert ask("GET", "/v2/team/app/tags/list").json == {"name": "team/app", "tags": []}


class TestReferrers:
    """What refers to a manifest."""

    subject = describe(b"a manifest", mediatype.MANIFEST)
    path = f"/v2/team/app/referrers/{subject['digest']}"

    def attach(self, ask: Direct, reference: str, **more: Any) -> Digest:
        ask.put_blob("team/app", CONFIG)
        done = put(ask, reference, image_of(CONFIG, subject=self.subject, **more))
        assert done.headers["oci-subject"] == self.subject["digest"]
        return Digest(done.headers["docker-content-digest"])

    def test_nothing_refers_to_what_nobody_knows(self, ask: Direct) -> None:
        answer = ask("GET", self.path)
        assert (answer.status, answer.headers["content-type"]) == (200, mediatype.INDEX)
        assert answer.json == {
            "schemaVersion": 2,
            "mediaType": mediatype.INDEX,
            "manifests": [],
        }
        assert ask("GET", "/v2/team/app/referrers/nonsense").code == "DIGEST_INVALID"

    def test_they_are_described(self, ask: Direct) -> None:
        first = self.attach(
            ask, "1", artifactType="text/x-a", annotations={"k": "naïve ✓" * 30_000}
        )
        second = self.attach(ask, "2")
        found = {item["digest"]: item for item in ask("GET", self.path).json["manifests"]}
        assert found.keys() == {first, second}
        assert found[first]["artifactType"] == "text/x-a"
        assert found[first]["annotations"] == {"k": "naïve ✓" * 30_000}
        assert found[first]["mediaType"] == mediatype.MANIFEST
        assert found[second]["artifactType"] == mediatype.CONFIG

    def test_they_are_filtered(self, ask: Direct) -> None:
        first = self.attach(ask, "1", artifactType="text/x-a")
        self.attach(ask, "2", artifactType="text/x-b")
        answer = ask("GET", f"{self.path}?artifactType=text%2Fx-a")
        assert [item["digest"] for item in answer.json["manifests"]] == [first]
        assert answer.headers["oci-filters-applied"] == "artifactType"

    def test_an_index_refers_too(self, ask: Direct) -> None:
        index = {"schemaVersion": 2, "manifests": [], "subject": self.subject}
        put(ask, "1", index, mediatype.INDEX)
        (item,) = ask("GET", self.path).json["manifests"]
        assert "artifactType" not in item

    def test_one_that_is_deleted_is_gone(self, ask: Direct, root: Path) -> None:
        digest = self.attach(ask, "1")
        assert ask("DELETE", MANIFESTS + digest).status == 202
        assert ask("GET", self.path).json["manifests"] == []
        assert not [p for p in root.glob("repositories/team/app/_referrers/**/*") if p.is_file()]

    def test_one_whose_manifest_never_came_is_not_listed(self, ask: Direct, root: Path) -> None:
        digest = self.attach(ask, "1")  # a kill between the two files
        (root / f"repositories/team/app/_manifests/sha256/{digest.hex}").unlink()
        assert ask("GET", self.path).json["manifests"] == []
