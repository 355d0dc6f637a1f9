from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures import corrupt
from fixtures.maker import Apk, Item, Repository, load_key, write_repository, write_tar
from fixtures.maker import gzip as gzip_member
from fixtures.webserver import Web
from imagist.errors import ImagistError, InputError, NetworkError, NotFound, Untrusted
from imagist.packages.apk import repository as room
from imagist.packages.apk.keys import TrustedKeys, load_keyring
from imagist.packages.apk.location import Location
from imagist.packages.apk.repository import IndexLoader
from imagist.packages.apk.table import IndexTable
from imagist.packages.reading import Reader
from imagist.store.store import Store
from imagist.store.upkeep import remove_damaged


@pytest.fixture
def keys(repository: Repository, reader: Reader) -> TrustedKeys:
    return TrustedKeys(load_keyring([str(repository.key)], reader))


@pytest.fixture
def loader(store: Store, reader: Reader, keys: TrustedKeys) -> IndexLoader:
    return IndexLoader(store, reader, keys)


def forbid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **more: object) -> None:
        raise AssertionError(f"{name} was called")

    monkeypatch.setattr(room, name, refuse)


def test_a_local_repository_is_read_for_each_architecture(
    loader: IndexLoader, repository: Repository
) -> None:
    location = Location(str(repository.root), "local")
    universes, indexes, warnings = loader.load_universes([location], ["x86_64", "aarch64"])
    assert {arch: len(found) for arch, found in universes.items()} == {"x86_64": 3, "aarch64": 2}
    (candidate,) = universes["x86_64"].named("large")
    assert candidate.tag == "local"
    assert Path(candidate.url).read_bytes() == (
        repository.packages["x86_64"][candidate.package.file_name].blob
    )
    assert {index.key for index in indexes} == {load_key().name}
    assert warnings == []


def test_a_remote_repository_is_read_once_and_then_only_asked_whether_it_changed(
    web: Web,
    loader: IndexLoader,
    repository: Repository,
    store: Store,
    make_reader: Callable[..., Reader],
    keys: TrustedKeys,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    location = Location(web.serve_folder(repository.root, "/os"))
    first = loader.load(location, "x86_64")
    forbid("split_index", monkeypatch)
    forbid("verify_signatures", monkeypatch)
    again = loader.load(location, "x86_64")
    assert (again.digest, again.key) == (first.digest, first.key)
    assert again.table.names() == first.table.names()
    assert "if-none-match" in web.asked[-1].headers
    offline = IndexLoader(store, make_reader(offline=True), keys)
    asked = len(web.asked)
    assert offline.load(location, "x86_64").digest == first.digest
    assert len(web.asked) == asked


def test_trust_is_decided_anew_for_other_keys(
    loader: IndexLoader, repository: Repository, store: Store, reader: Reader, tmp_path: Path
) -> None:
    location = Location(str(repository.root))
    loader.load(location, "x86_64")
    other = tmp_path / "other.rsa.pub"
    other.write_bytes(load_key("other").public_pem)
    keys = TrustedKeys(load_keyring([str(other)], reader))
    with pytest.raises(Untrusted, match="not among the trusted keys"):
        IndexLoader(store, reader, keys).load(location, "x86_64")
    impostor = tmp_path / repository.key.name
    impostor.write_bytes(load_key("other").public_pem)
    keys = TrustedKeys(load_keyring([str(impostor)], reader))
    with pytest.raises(Untrusted, match="does not match its signature"):
        IndexLoader(store, reader, keys).load(location, "x86_64")
    trusting = IndexLoader(store, reader, TrustedKeys(), ignore_signatures=True)
    assert trusting.load(location, "x86_64").key == ""


def test_a_discovered_key_counts_for_its_own_repository_only(
    keys: TrustedKeys, repository: Repository, store: Store, reader: Reader, tmp_path: Path
) -> None:
    here = Location(str(repository.root))
    copy = Location(str(shutil.copytree(repository.root, tmp_path / "copy")))
    scoped = IndexLoader(store, reader, TrustedKeys((), {here: keys.declared}))
    assert scoped.load(here, "x86_64").key
    with pytest.raises(Untrusted):
        scoped.load(copy, "x86_64")


def test_a_damaged_index_is_refused_and_not_remembered(
    loader: IndexLoader, repository: Repository
) -> None:
    file = repository.root / "x86_64" / "APKINDEX.tar.gz"
    good = file.read_bytes()
    file.write_bytes(corrupt.flip_byte(good, -20))
    with pytest.raises(ImagistError) as caught:
        loader.load(Location(str(repository.root)), "x86_64")
    assert caught.value.exit_code == 3
    file.write_bytes(good)
    assert len(loader.load(Location(str(repository.root)), "x86_64").table) == 3


def test_a_table_that_was_lost_is_made_again(
    loader: IndexLoader, repository: Repository, store: Store
) -> None:
    location = Location(str(repository.root))
    loader.load(location, "x86_64")
    for blob in (store.root / "blobs" / "sha256").iterdir():
        blob.unlink()
    assert len(loader.load(location, "x86_64").table) == 3


def find_table(store: Store) -> Path:
    (table,) = [
        blob
        for blob in (store.root / "blobs" / "sha256").iterdir()
        if IndexTable.FORMAT.encode() in blob.read_bytes()
    ]
    return table


def test_a_table_with_a_damaged_directory_is_made_again(
    loader: IndexLoader, repository: Repository, store: Store
) -> None:
    location = Location(str(repository.root))
    names = loader.load(location, "x86_64").table.names()
    table = find_table(store)
    good = table.read_bytes()
    for bad in (b"", good[:-1], corrupt.flip_byte(good, -100)):
        table.chmod(0o644)
        table.write_bytes(bad)
        assert loader.load(location, "x86_64").table.names() == names
        assert find_table(store).read_bytes() == good


def test_a_damaged_record_is_told_when_it_is_read(
    loader: IndexLoader, repository: Repository, store: Store
) -> None:
    location = Location(str(repository.root))
    loader.load(location, "x86_64")
    table = find_table(store)
    table.chmod(0o644)
    table.write_bytes(corrupt.flip_byte(table.read_bytes(), 5))
    with pytest.raises(InputError, match="changed on the disk") as caught:
        loader.load(location, "x86_64").table.providers("large")
    assert "cache verify" in str(caught.value.problems[0].help)
    remove_damaged(store)
    assert len(loader.load(location, "x86_64").table.providers("large")) == 1


def test_a_damaged_index_says_so_rather_than_that_its_signature_is_wrong(
    loader: IndexLoader, repository: Repository
) -> None:
    file = repository.root / "x86_64" / "APKINDEX.tar.gz"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(Untrusted, match="is cut off"):
        loader.load(Location(str(repository.root)), "x86_64")


def test_an_index_with_a_nameless_record_is_refused_by_its_place_and_not_remembered(
    store: Store, reader: Reader, tmp_path: Path
) -> None:
    folder = tmp_path / "x86_64"
    folder.mkdir()
    items = [Item("APKINDEX", content=b"P:a\nV:1\n\nV:2\n\n")]
    (folder / "APKINDEX.tar.gz").write_bytes(gzip_member(write_tar(items) + bytes(1024)))
    trusting = IndexLoader(store, reader, TrustedKeys(), ignore_signatures=True)
    for _ in range(2):
        with pytest.raises(InputError, match="names no package: `V:2`") as caught:
            trusting.load(Location(str(tmp_path)), "x86_64")
        assert caught.value.problems[0].where == str(folder / "APKINDEX.tar.gz")
    assert not store.blob_sizes()


def test_all_that_is_wrong_with_several_repositories_is_told_at_once(
    web: Web, loader: IndexLoader, repository: Repository
) -> None:
    here = Location(web.serve_folder(repository.root, "/os"))
    with pytest.raises(NotFound) as caught:
        loader.load_universes([here, Location(web.url + "/none")], ["x86_64", "s390x"])
    text = str(caught.value)
    assert "/os has no packages for s390x" in text
    assert "/none has no packages for x86_64" in text
    assert len(caught.value.problems) == 3


def test_an_empty_folder_beside_a_full_one_is_a_warning(
    loader: IndexLoader, repository: Repository, tmp_path: Path
) -> None:
    locations = [Location(str(tmp_path / "later")), Location(str(repository.root))]
    universes, _, warnings = loader.load_universes(locations, ["x86_64"])
    assert len(universes["x86_64"]) == 3
    assert len(warnings) == 1
    assert "later" in warnings[0]


def test_an_index_over_the_limit_is_refused(
    store: Store, reader: Reader, keys: TrustedKeys, repository: Repository
) -> None:
    small = IndexLoader(store, reader, keys, limit=100)
    with pytest.raises(Untrusted, match="more than 100 bytes"):
        small.load(Location(str(repository.root)), "x86_64")


def test_offline_without_memory_says_what_is_missing(
    web: Web, store: Store, make_reader: Callable[..., Reader], keys: TrustedKeys
) -> None:
    loader = IndexLoader(store, make_reader(offline=True), keys)
    with pytest.raises(NetworkError, match="offline"):
        loader.load(Location(web.url + "/os"), "x86_64")
    assert web.asked == []


def test_an_index_that_grew_is_taken_anew(
    web: Web, loader: IndexLoader, repository: Repository, tmp_path: Path
) -> None:
    location = Location(web.serve_folder(repository.root, "/os"))
    assert len(loader.load(location, "aarch64").table) == 2
    newer = write_repository(tmp_path / "newer", {"aarch64": [Apk("only")]})
    web.serve_folder(newer.root, "/os")
    assert loader.load(location, "aarch64").table.names() == ["only"]
