"""Documents of a base that came once are not asked for again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

from fixtures.faults import Proxy, faulty
from fixtures.serving import serving
from imagist.errors import NotFound
from imagist.oci.derive import MAX_DOCUMENT
from imagist.oci.random import random_index
from imagist.oci.reference import parse_reference
from imagist.oci.validate import validate
from imagist.registry.client import Registries
from imagist.registry.push import push_image
from imagist.registry.source import RegistrySource, load_image
from imagist.store.store import Store

INDEX = random_index(3, layers=1)


@pytest.fixture
def proxy(connect: Callable[..., Registries]) -> Iterator[Proxy]:
    """A registry that has an index, seen through a proxy that counts."""
    with serving() as registry, faulty(registry.address) as between:
        push_image(connect(), INDEX, [parse_reference(f"{registry.address}/base:1")])
        yield between


def test_what_was_kept_is_not_fetched_again(
    proxy: Proxy, connect: Callable[..., Registries], tmp_path: Path
) -> None:
    name = parse_reference(f"{proxy.address}/base:1")
    with Store.open(tmp_path) as store:
        assert not validate(load_image(connect(), name, store=store, keep=True))
        before = len(proxy.passed)
        again = load_image(connect(), name, store=store, keep=True)
        assert not validate(again)
    assert again.raw_manifest == INDEX.raw_manifest
    fetched = [passed.path for passed in proxy.passed[before:] if passed.method == "GET"]
    assert fetched == ["/v2/", "/v2/base/manifests/1"]


def test_what_is_damaged_in_the_store_is_fetched_again(
    proxy: Proxy, connect: Callable[..., Registries], tmp_path: Path
) -> None:
    name = parse_reference(f"{proxy.address}/base:1")
    with Store.open(tmp_path) as store:
        load_image(connect(), name, store=store, keep=True)
        assert not validate(load_image(connect(), name, store=store, keep=True))
        for digest in store.blob_sizes():
            if store.read(digest).startswith(b"{"):
                store.path(digest).chmod(0o644)
                store.path(digest).write_bytes(b"{}")
        assert not validate(load_image(connect(), name, store=store, keep=True))


def test_without_being_asked_nothing_is_kept(
    proxy: Proxy, connect: Callable[..., Registries], tmp_path: Path
) -> None:
    name = parse_reference(f"{proxy.address}/base:1")
    with Store.open(tmp_path) as store:
        assert not validate(load_image(connect(), name, store=store))
        assert not store.blob_sizes()


def test_a_layer_of_the_store_is_not_read_as_a_document(
    proxy: Proxy, connect: Callable[..., Registries], tmp_path: Path
) -> None:
    """An index may name anything as its child, and so what is here already and large."""
    repository = connect().repository(parse_reference(f"{proxy.address}/base:1"))
    with Store.open(tmp_path) as store:
        large = store.put(bytes(MAX_DOCUMENT + 1))
        source = RegistrySource(repository, store, keep=True)
        source._manifests.add(large)
        with pytest.raises(NotFound), mock.patch.object(Store, "read") as read:
            source.read_manifest(large)
    assert not read.called
