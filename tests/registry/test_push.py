from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from imagist.errors import NotFound, RequestError
from imagist.oci import contents, derive
from imagist.oci.image import Index
from imagist.oci.random import random_image, random_index
from imagist.oci.reference import Reference, parse_reference
from imagist.oci.validate import validate
from imagist.registry.client import Registries
from imagist.registry.push import missing_blobs, push_image
from imagist.registry.source import load_image

_seeds = count(1)


@pytest.fixture
def name(any_registry: str) -> Reference:
    """A repository that nobody used before."""
    return parse_reference(f"{any_registry}/team/app{next(_seeds)}:1")


def test_what_is_pushed_is_there_and_the_same(
    name: Reference, registries: Registries, connect: Callable[..., Registries]
) -> None:
    image = random_image(next(_seeds), layers=3, size=200_000)
    assert len(missing_blobs(registries.repository(name), image)) == 4
    assert push_image(registries, image, [name]) == [name]
    fresh = connect()
    assert missing_blobs(fresh.repository(name), image) == []
    found = load_image(fresh, name)
    assert found.raw_manifest == image.raw_manifest
    assert not isinstance(found, Index)
    assert found.raw_config == image.raw_config
    assert [layer.compressed().read() for layer in found.layers] == [
        layer.compressed().read() for layer in image.layers
    ]


def test_an_index_is_pushed_whole_with_several_tags(
    name: Reference, registries: Registries, connect: Callable[..., Registries]
) -> None:
    index = random_index(next(_seeds), layers=2, size=100_000)
    other = parse_reference(str(name).replace(":1", ":2"))
    assert push_image(registries, index, [name]) == [name]
    assert push_image(registries, index, [name, other]) == [other]
    repository = connect().repository(name)
    for tag in ("1", "2"):
        found = repository.resolve(tag)
        assert found is not None
        assert found.digest == derive.digest(index)
        assert found.media_type == index.media_type
    assert sorted(repository.tags()) == ["1", "2"]
    validate(load_image(connect(), name))


def test_a_reference_with_another_digest_is_refused(
    name: Reference, registries: Registries
) -> None:
    image = random_image(next(_seeds))
    wrong = parse_reference(f"{name.registry}/{name.repository}@sha256:{'0' * 64}")
    with pytest.raises(RequestError, match="cannot be pushed"):
        push_image(registries, image, [wrong])


def test_what_is_not_there_is_told(name: Reference, registries: Registries) -> None:
    repository = registries.repository(name)
    assert repository.resolve("1") is None
    assert not repository.has_blob(f"sha256:{'0' * 64}")
    with pytest.raises(NotFound, match=r"GET http://.*/manifests/1: the registry answers 404"):
        load_image(registries, name)
    with pytest.raises(NotFound):
        repository.open_blob(f"sha256:{'0' * 64}")


def test_blobs_of_other_repositories_are_mounted(
    name: Reference, registries: Registries, connect: Callable[..., Registries]
) -> None:
    image = random_image(next(_seeds), layers=2, size=300_000)
    push_image(registries, image, [name])
    other = parse_reference(f"{name.registry}/elsewhere/app{next(_seeds)}:1")
    sent = [
        registries.repository(other).put_blob(blob) for blob in contents.blobs(image) if blob.layer
    ]
    push_image(registries, image, [other])
    found = load_image(connect(), other)
    assert found.raw_manifest == image.raw_manifest
    validate(found)
    assert sent in ([False, False], [True, True])  # `crane registry serve` mounts nothing
