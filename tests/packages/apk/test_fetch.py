from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace as replace_fields
from pathlib import Path

import pytest
from msgspec.structs import replace

from fixtures import corrupt
from fixtures.maker import Repository
from fixtures.webserver import Answer, Asked, Web, part
from imagist.errors import ImagistError, NetworkError, NotFound, Untrusted
from imagist.packages import fetch as room
from imagist.packages.apk.fetch import PackageFetcher, Wanted
from imagist.packages.reading import Reader
from imagist.store import blobs
from imagist.store.store import Store

ARCH = "x86_64"
TAG = {"ETag": '"one"'}


@pytest.fixture
def wanted(repository: Repository) -> list[Wanted]:
    """All packages of one architecture, from their folder."""
    return [
        Wanted(
            built.apk.name,
            built.apk.version,
            ARCH,
            built.checksum,
            str(repository.root / ARCH / name),
            len(built.blob),
        )
        for name, built in repository.packages[ARCH].items()
    ]


@pytest.fixture
def remote(web: Web, repository: Repository, wanted: list[Wanted]) -> list[Wanted]:
    """The same, from a server."""
    base = web.serve_folder(repository.root, "/os")
    return [replace(each, url=f"{base}/{ARCH}/{Path(each.url).name}") for each in wanted]


@pytest.fixture
def fetcher(store: Store, reader: Reader) -> PackageFetcher:
    return PackageFetcher(store, reader)


class Counter:
    """A `Meter` that keeps what it is told."""

    def __init__(self) -> None:
        self.expected = 0
        self.size = 0
        self.finished: list[tuple[str, bool]] = []

    def expect(self, size: int) -> None:
        self.expected += size

    def add(self, size: int) -> None:
        self.size += size

    def finish(self, name: str, *, remembered: bool = False) -> None:
        self.finished.append((name, remembered))


def path_of(package: Wanted) -> str:
    return package.url[package.url.index("/os") :]


def assert_empty(store: Store) -> None:
    assert list((store.root / "blobs" / "sha256").iterdir()) == []
    assert list((store.root / "tmp").iterdir()) == []


def test_packages_come_from_a_folder_in_the_order_asked_for(
    fetcher: PackageFetcher, wanted: list[Wanted], store: Store
) -> None:
    found = fetcher.fetch(wanted[::-1])
    assert [files.package.name for files in found] == ["large", "middle", "small"]
    assert all(store.has(files.data) for files in found)


def test_the_largest_is_asked_for_first_and_each_only_once(
    web: Web, store: Store, reader: Reader, remote: list[Wanted]
) -> None:
    counter = Counter()
    fetcher = PackageFetcher(store, reader, jobs=1, meter=counter)
    first = fetcher.fetch([*remote, *remote])
    assert counter.size == sum(package.size or 0 for package in remote)
    assert [path_of(each) for each in remote[::-1]] == [asked.path for asked in web.asked]
    assert fetcher.fetch([*remote, *remote]) == first
    assert len(web.asked) == 3
    assert counter.size == counter.expected == sum(package.size or 0 for package in remote)
    labels = [f"{package.name}-{package.version}" for package in remote]
    assert set(counter.finished[:3]) == {(label, False) for label in labels}
    assert counter.finished[3:] == [(label, True) for label in labels]


def test_while_a_package_waits_for_the_disk_the_next_is_verified(
    store: Store, reader: Reader, wanted: list[Wanted], monkeypatch: pytest.MonkeyPatch
) -> None:
    all_wait = threading.Barrier(len(wanted), timeout=20)
    written: list[int] = []

    def wait_for_disk(file: int) -> None:
        all_wait.wait()
        written.append(file)

    monkeypatch.setattr(blobs, "wait_for_disk", wait_for_disk)
    found = PackageFetcher(store, reader, jobs=1).fetch(wanted)
    assert len(written) == len(found) == 3


def test_offline_what_is_in_the_store_will_do_and_what_is_not_is_named(
    web: Web,
    store: Store,
    fetcher: PackageFetcher,
    make_reader: Callable[..., Reader],
    remote: list[Wanted],
    wanted: list[Wanted],
) -> None:
    offline = PackageFetcher(store, make_reader(offline=True))
    fetcher.fetch(remote[:1])
    asked = len(web.asked)
    assert offline.fetch(remote[:1])[0].package.name == "small"
    with pytest.raises(NetworkError, match=r"middle.* is not in the store.*offline"):
        offline.fetch(remote[:2])
    assert offline.fetch(wanted)[2].package.name == "large"  # folders are no network
    assert len(web.asked) == asked


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            {"checksum": "Q1" + base64.b64encode(bytes(20)).decode()},
            "not the package of the index",
        ),
        ({"name": "other"}, "calls itself small"),
        ({"version": "9-r9"}, "calls itself small"),
        ({"arch": "s390x"}, "is built for x86_64"),
        ({"size": 12}, "larger than 12 bytes"),
        ({"size": 1 << 20}, "but the index has"),
        ({"datahash": "0" * 64}, "the lock has sha256:0000"),
    ],
)
@pytest.mark.parametrize("warm", [False, True])
def test_a_package_that_is_not_what_was_asked_for_is_refused_in_the_store_or_not(
    change: dict[str, object],
    match: str,
    warm: bool,
    fetcher: PackageFetcher,
    wanted: list[Wanted],
) -> None:
    if warm:
        fetcher.fetch(wanted[:1])
    with pytest.raises(Untrusted, match=match):
        fetcher.fetch([replace(wanted[0], **change)])


def test_a_lock_knows_no_size_but_a_datahash(
    fetcher: PackageFetcher, wanted: list[Wanted], repository: Repository
) -> None:
    datahash = next(iter(repository.packages[ARCH].values())).datahash
    (found,) = fetcher.fetch([replace(wanted[0], size=None, datahash=datahash)])
    assert found.data == f"sha256:{datahash}"


def test_all_that_is_wrong_is_told_with_package_and_place_and_nothing_stays(
    web: Web, fetcher: PackageFetcher, remote: list[Wanted], repository: Repository, store: Store
) -> None:
    blobs = [built.blob for built in repository.packages[ARCH].values()]
    web.on(path_of(remote[0]), Answer(404))
    web.on(path_of(remote[1]), Answer(body=corrupt.flip_byte(blobs[1], -30)))
    secret = remote[2].url.replace("://", "://me:hush@")
    web.on(path_of(remote[2]), Answer(body=blobs[0]))
    with pytest.raises(ImagistError) as caught:
        fetcher.fetch([*remote[:2], replace(remote[2], url=secret)])
    text = str(caught.value)
    assert len(caught.value.problems) == 3
    assert all(f"{name}-" in text for name in ("small", "middle", "large"))
    assert remote[1].url in text
    assert "hush" not in text
    assert caught.value.exit_code == 3
    assert_empty(store)


def test_a_transfer_that_breaks_goes_on_where_it_broke(
    web: Web, fetcher: PackageFetcher, remote: list[Wanted], repository: Repository
) -> None:
    blob = repository.packages[ARCH][Path(remote[2].url).name].blob
    cut = Answer(body=blob, headers=TAG, cut=len(blob) // 2)
    web.on(path_of(remote[2]), cut, lambda asked: part(blob, asked, TAG))
    assert fetcher.fetch(remote)[2].package.size == len(blob)
    assert web.count(path_of(remote[2])) == 2


@pytest.mark.parametrize("length", [None, -1])
def test_a_transfer_that_cannot_go_on_is_begun_anew(
    length: int | None,
    web: Web,
    fetcher: PackageFetcher,
    remote: list[Wanted],
    repository: Repository,
) -> None:
    blob = repository.packages[ARCH][Path(remote[2].url).name].blob
    whole = Answer(body=blob)
    broken = replace_fields(whole, cut=len(blob) // 2, length=length, polite=length == -1)
    web.on(path_of(remote[2]), broken, broken, whole)
    assert fetcher.fetch(remote[2:])[0].package.size == len(blob)
    assert web.count(path_of(remote[2])) == 3


def test_what_never_comes_whole_is_a_network_error_and_nothing_stays(
    web: Web, fetcher: PackageFetcher, remote: list[Wanted], repository: Repository, store: Store
) -> None:
    blob = repository.packages[ARCH][Path(remote[2].url).name].blob
    web.on(path_of(remote[2]), Answer(body=blob[: len(blob) // 2], length=len(blob)))
    with pytest.raises(NetworkError, match="broke off"):
        fetcher.fetch(remote[2:])
    assert_empty(store)


def test_a_server_that_is_down_is_not_asked_for_every_package(
    web: Web, store: Store, reader: Reader, remote: list[Wanted]
) -> None:
    for package in remote:
        web.on(path_of(package), Answer(503))
    with pytest.raises(NetworkError, match="2 more packages were not asked for"):
        PackageFetcher(store, reader, jobs=1).fetch(remote)
    assert web.count(path_of(remote[0])) == 0


def test_credentials_reach_the_packages_of_a_learnt_repository(
    web: Web, fetcher: PackageFetcher, reader: Reader, remote: list[Wanted], repository: Repository
) -> None:
    blob = repository.packages[ARCH][Path(remote[0].url).name].blob

    def guarded(asked: Asked) -> Answer:
        return Answer(body=blob) if "authorization" in asked.headers else Answer(401)

    web.on(path_of(remote[0]), guarded)
    with pytest.raises(NetworkError, match="answers 401"):
        fetcher.fetch(remote[:1])
    reader.learn(web.url.replace("://", "://me:hush@") + "/os")
    assert fetcher.fetch(remote[:1])[0].package.name == "small"


def test_a_missing_file_is_not_found(fetcher: PackageFetcher, wanted: list[Wanted]) -> None:
    with pytest.raises(NotFound, match=r"there is no file"):
        fetcher.fetch([replace(wanted[0], url=wanted[0].url + "x")])


def test_an_interruption_ends_what_is_running_and_begins_nothing_more(
    web: Web,
    store: Store,
    reader: Reader,
    remote: list[Wanted],
    repository: Repository,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C reaches the waiting thread while the largest package is on its way."""
    monkeypatch.setattr(room, "ThreadPoolExecutor", _InterruptedPool)
    with pytest.raises(KeyboardInterrupt):
        PackageFetcher(store, reader, jobs=2).fetch(remote)
    assert list((store.root / "tmp").iterdir()) == []
    assert len(web.asked) < 3


class _InterruptedPool(ThreadPoolExecutor):
    """A pool whose owner is interrupted as soon as it waits."""

    def map(self, function, *items, **more):  # type: ignore[no-untyped-def,override]
        begun, interrupted = threading.Event(), threading.Event()

        def work(item):  # type: ignore[no-untyped-def]
            begun.set()
            interrupted.wait(2)
            return function(item)

        for item in items[0]:
            self.submit(work, item)
        begun.wait(2)
        interrupted.set()
        raise KeyboardInterrupt
