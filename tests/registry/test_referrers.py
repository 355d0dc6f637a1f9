from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from fixtures.artifacts import EMPTY, artifact
from fixtures.faults import faulty
from fixtures.registries import running
from fixtures.webserver import Answer, serve
from imagist.errors import InputError, NetworkError
from imagist.oci import derive, mediatype
from imagist.oci.derive import MemoryImage, MemoryIndex
from imagist.oci.image import Image, Index
from imagist.oci.manifest import Descriptor, Manifest, describe, encode
from imagist.oci.random import random_image, random_index
from imagist.oci.reference import Reference, parse_reference
from imagist.oci.referrer import describe_referrer, fallback_tag
from imagist.registry.client import Registries
from imagist.registry.copy import copy_images
from imagist.registry.push import push_image
from imagist.registry.source import load_image
from support import needs

Connect = Callable[..., Registries]
_seeds = count(7000)


@pytest.fixture
def name(any_registry: str) -> Reference:
    return parse_reference(f"{any_registry}/refer/app{next(_seeds)}:1")


def beside(name: Reference, thing: Image | Index) -> Reference:
    return parse_reference(f"{name.registry}/{name.repository}@{derive.digest(thing)}")


def test_referrers_are_listed_by_any_registry_and_go_with_their_manifest(
    name: Reference, registries: Registries, connect: Connect
) -> None:
    image = random_image(next(_seeds))
    first, second = artifact(image), artifact(image, "text/signature", {"by": "me"})
    push_image(registries, image, [name])
    repository = connect().repository(name)
    assert repository.referrers(derive.digest(image)) == []
    for thing in (first, second, first):
        push_image(registries, thing, [beside(name, thing)])
    found = {item.digest: item for item in repository.referrers(derive.digest(image))}
    assert set(found) == {derive.digest(first), derive.digest(second)}
    item = found[derive.digest(second)]
    assert (item.artifact_type, item.annotations) == ("text/signature", {"by": "me"})
    assert item.media_type == mediatype.MANIFEST
    assert [x.digest for x in repository.referrers(derive.digest(image), "text/sbom")] == [
        derive.digest(first)
    ]
    connect().repository(name).delete_manifest(derive.digest(first))
    left = connect().repository(name).referrers(derive.digest(image))
    assert [x.digest for x in left] == [derive.digest(second)]


def test_many_writers_of_one_fallback_tag_lose_nothing(
    name: Reference, registries: Registries, connect: Connect
) -> None:
    image = random_image(next(_seeds))
    things = [artifact(image, annotations={"n": str(n)}) for n in range(12)]
    registries.each(lambda thing: push_image(registries, thing, [beside(name, thing)]), things)
    found = connect().repository(name).referrers(derive.digest(image))
    assert {item.digest for item in found} == {derive.digest(thing) for thing in things}


def test_fallback_tags_are_spelt_as_the_specification_says() -> None:
    assert fallback_tag("sha256:" + "a" * 64) == "sha256-" + "a" * 64
    assert fallback_tag("sha512:" + "b" * 128) == "sha512-" + "b" * 64
    odd = f"{'+'.join(['algo'] * 12)}:{'Some=Thing_' * 10}"
    assert fallback_tag(odd) == f"{'-'.join(['algo'] * 12)[:32]}-{('Some-Thing_' * 10)[:64]}"


def test_types_of_referrers_follow_their_documents() -> None:
    image = random_image(1)
    subject = derive.describe_image(image)
    plain = MemoryImage(
        encode(
            Manifest(
                schema_version=2,
                config=describe(EMPTY, "application/vnd.example.config"),
                subject=subject,
            )
        ),
        EMPTY,
    )
    found = describe_referrer(plain.raw_manifest, plain.media_type)
    assert found is not None
    assert found[0].artifact_type == "application/vnd.example.config"
    raw = json.dumps(
        {"schemaVersion": 2, "manifests": [], "subject": json.loads(encode(subject))}
    ).encode()
    index = describe_referrer(raw, mediatype.INDEX)
    assert index is not None
    assert index[0].artifact_type == ""
    assert index[1] == subject.digest
    assert describe_referrer(image.raw_manifest, image.media_type) is None


def test_pages_are_followed_and_filters_of_registries_are_not_needed(
    registries: Registries,
) -> None:
    items = [
        Descriptor(media_type=mediatype.MANIFEST, digest=f"sha256:{n:064x}", size=1, artifact_type=f"t{n % 2}")
        for n in range(4)
    ]  # fmt: skip
    subject = "sha256:" + "1" * 64
    with serve() as web:
        web.on("/v2/", Answer())
        path = f"/v2/app/referrers/{subject}"
        kind = {"Content-Type": mediatype.INDEX}

        def page(part: list[Descriptor]) -> bytes:
            listed = [json.loads(encode(item)) for item in part]
            return json.dumps({"schemaVersion": 2, "manifests": listed}).encode()

        link = {"Link": f'<{path}?after=2>; rel="next"'}
        web.on(path, Answer(body=page(items[:2]), headers={**kind, **link}))
        web.on(f"{path}?artifactType=t1", Answer(body=page(items[:2]), headers={**kind, **link}))
        web.on(f"{path}?after=2", Answer(body=page(items[2:]), headers=kind))
        repository = registries.repository(parse_reference(f"127.0.0.1:{web.port}/app:1"))
        assert repository.referrers(subject) == items
        assert repository.referrers(subject, "t1") == items[1::2]


def test_a_fallback_tag_that_is_something_else_is_told_of(registries: Registries) -> None:
    subject = "sha256:" + "1" * 64
    image = random_image(3)
    with serve() as web:
        web.on("/v2/", Answer())
        tag = f"/v2/app/manifests/{fallback_tag(subject)}"
        web.on(tag, Answer(body=image.raw_manifest, headers={"Content-Type": image.media_type}))
        repository = registries.repository(parse_reference(f"127.0.0.1:{web.port}/app:1"))
        with pytest.raises(InputError, match="should list referrers"):
            repository.referrers(subject)


def test_a_start_page_for_every_path_is_no_list_of_referrers(registries: Registries) -> None:
    with serve() as web:
        web.on("/v2/", Answer())
        subject = "sha256:" + "1" * 64
        page = Answer(body=b"<html>", headers={"Content-Type": "text/html"})
        web.on(f"/v2/app/referrers/{subject}", page)
        repository = registries.repository(parse_reference(f"127.0.0.1:{web.port}/app:1"))
        assert repository.referrers(subject) == []


@needs("registry")
def test_another_writer_between_ours_is_noticed(distribution: str, connect: Connect) -> None:
    image = random_image(next(_seeds))
    thing = artifact(image)
    lost = json.dumps({"schemaVersion": 2, "mediaType": mediatype.INDEX, "manifests": []}).encode()
    with faulty(distribution) as proxy:
        tag = f"/manifests/{fallback_tag(derive.digest(image))}"
        proxied = parse_reference(f"{proxy.address}/app:1")
        headers = {"Content-Type": mediatype.INDEX}
        # What we wrote is gone when we look: somebody wrote what they had read before.
        proxy.fault("GET", tag, status=404)
        proxy.fault("GET", tag, status=200, body=lost, headers=headers)
        push_image(connect(), thing, [beside(proxied, thing)])
        assert proxy.count("PUT", tag) == 2
        found = connect().repository(parse_reference(f"{distribution}/app:1"))
        assert [x.digest for x in found.referrers(derive.digest(image))] == [derive.digest(thing)]
        proxy.fault("GET", tag, times=50, status=200, body=lost, headers=headers)
        other = artifact(image, "other/type")
        with pytest.raises(NetworkError, match="does not keep what is written"):
            push_image(connect(), other, [beside(proxied, other)])


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    with (
        running("registry", tmp_path_factory.mktemp("one")) as one,
        running("registry", tmp_path_factory.mktemp("two")) as two,
    ):
        yield one, two


@needs("registry")
@pytest.mark.parametrize("same", [False, True])
def test_copies_take_along_what_belongs_to_an_image(
    same: bool, hosts: tuple[str, str], registries: Registries, connect: Connect
) -> None:
    one, two = hosts
    index = random_index(next(_seeds), size=100_000)
    child = derive.images(index)[0][1]
    origin = parse_reference(f"{one}/source/app{next(_seeds)}:1")
    push_image(registries, index, [origin])
    about_index, about_child = artifact(index), artifact(child, "text/attestation")
    about_artifact = artifact(about_index, "text/signature")
    for thing in (about_index, about_child, about_artifact):
        push_image(registries, thing, [beside(origin, thing)])
    signature = random_image(next(_seeds), layers=1)
    signed = fallback_tag(derive.digest(child)) + ".sig"
    push_image(registries, signature, [parse_reference(f"{one}/{origin.repository}:{signed}")])

    target = parse_reference(f"{one if same else two}/target/app{next(_seeds)}:2")
    [copied] = copy_images(connect(), [(origin, target)])
    assert (copied.digest, copied.companions) == (derive.digest(index), 4)
    there = connect().repository(target)
    for subject, thing in (
        (index, about_index),
        (child, about_child),
        (about_index, about_artifact),
    ):
        [item] = there.referrers(derive.digest(subject))
        assert item.digest == derive.digest(thing)
        found = load_image(connect(), beside(target, thing))
        assert found.raw_manifest == thing.raw_manifest
    found = load_image(
        connect(), parse_reference(f"{target.registry}/{target.repository}:{signed}")
    )
    assert found.raw_manifest == signature.raw_manifest

    bare = parse_reference(f"{two}/bare/app{next(_seeds)}:1")
    [copied] = copy_images(connect(), [(origin, bare)], referrers=False)
    assert copied.companions == 0
    assert connect().repository(bare).referrers(derive.digest(index)) == []


@needs("registry")
def test_a_copy_within_a_registry_sends_no_blob(
    distribution: str, registries: Registries, connect: Connect
) -> None:
    index = random_index(next(_seeds), size=100_000)
    push_image(registries, index, [parse_reference(f"{distribution}/a:1")])
    with faulty(distribution) as proxy:
        pair = tuple(parse_reference(f"{proxy.address}/{n}:1") for n in "ab")
        copy_images(connect(), [(pair[0], pair[1])])
        assert not proxy.count("PUT", "/blobs/")
        assert proxy.count("POST", "mount=") == 6
        proxy.passed.clear()
        copy_images(connect(), [(pair[0], pair[1])], referrers=False)  # again: nothing to do
        assert not proxy.count("POST")
        assert not proxy.count("PUT")


@needs("registry")
def test_another_tag_in_the_same_repository_costs_one_manifest(
    distribution: str, registries: Registries, connect: Connect
) -> None:
    index = random_index(next(_seeds), size=100_000)
    push_image(registries, index, [parse_reference(f"{distribution}/a:1")])
    with faulty(distribution) as proxy:
        pair = tuple(parse_reference(f"{proxy.address}/a:{n}") for n in "12")
        copy_images(connect(), [(pair[0], pair[1])])
        assert [p.path for p in proxy.passed if p.method == "PUT"] == ["/v2/a/manifests/2"]
        assert not proxy.count("POST")


@needs("registry")
def test_unchanged_images_cost_one_question_each(
    distribution: str, registries: Registries, connect: Connect
) -> None:
    index = random_index(next(_seeds), layers=3, size=100_000)
    with faulty(distribution) as proxy:
        names = [parse_reference(f"{proxy.address}/app:{n}") for n in range(3)]
        push_image(registries, index, names)
        proxy.passed.clear()
        push_image(connect(), index, names)
        asked = [p.method for p in proxy.passed if p.path != "/v2/"]
        assert asked == ["HEAD"] * 3


@needs("registry")
def test_what_a_tag_named_before_proves_blobs_without_questions(
    distribution: str, registries: Registries, connect: Connect
) -> None:
    from imagist.oci.mutate import set_config

    old = random_image(next(_seeds), layers=8, size=80_000)
    new = set_config(old, {"author": "somebody else"})
    with faulty(distribution) as proxy:
        name = parse_reference(f"{proxy.address}/app:1")
        push_image(registries, old, [name])
        proxy.passed.clear()
        push_image(connect(), new, [name])
        assert not proxy.count("HEAD", "/blobs/")
        assert proxy.count("PUT", "/blobs/") == 1  # the configuration


def test_an_index_with_a_subject_is_a_referrer_too(
    name: Reference, registries: Registries, connect: Connect
) -> None:
    image = random_image(next(_seeds))
    push_image(registries, image, [name])
    subject = json.loads(encode(derive.describe_image(image)))
    raw = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": mediatype.INDEX,
            "artifactType": "text/list",
            "manifests": [],
            "subject": subject,
        }
    ).encode()
    index = MemoryIndex(raw)
    push_image(registries, index, [beside(name, index)])
    [item] = connect().repository(name).referrers(derive.digest(image))
    assert (item.digest, item.artifact_type) == (derive.digest(index), "text/list")
