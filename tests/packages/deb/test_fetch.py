"""Fetching .debs: what was verified is remembered by its SHA-256, and what differs is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from fixtures.debfile import Deb, build_deb, verify_made
from fixtures.maker import Item, file, folder, hardlink, symlink
from imagist.errors import InputError, NotFound, Untrusted
from imagist.net.conditional import CachedGet
from imagist.net.environment import Environment
from imagist.net.transport import HttpTransport
from imagist.packages.deb.archive import DebLimits
from imagist.packages.deb.fetch import DebFetcher, WantedDeb
from imagist.packages.deb.packed import decode_deb_files, encode_deb_files
from imagist.packages.reading import Reader
from imagist.store.store import Store

DEBS = [
    Deb("one", "1:1-1", [file("usr/share/one", "1" * 9000)], conffiles=()),
    Deb("two", "2", [file("etc/two", "2")], arch="all", conffiles=["etc/two"]),
    Deb("three", "3", [file("usr/bin/three", "3", 0o755)], scripts={"postinst": "#!/bin/sh\n"}),
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def reader(store: Store) -> Iterator[Reader]:
    transport = HttpTransport(Environment())
    yield Reader(transport, CachedGet(transport, store))
    transport.close()


@pytest.fixture
def wanted(tmp_path: Path) -> list[WantedDeb]:
    found = []
    for deb in DEBS:
        blob = build_deb(deb)
        path = tmp_path / deb.filename
        path.write_bytes(blob)
        sha256 = hashlib.sha256(blob).hexdigest()
        found.append(WantedDeb(deb.name, deb.version, "amd64", sha256, str(path), len(blob)))
    return found


def test_packages_come_in_the_order_asked_for_and_are_in_the_store(
    store: Store, reader: Reader, wanted: list[WantedDeb]
) -> None:
    found = DebFetcher(store, reader).fetch([*wanted, wanted[0]])
    assert [files.package.name for files in found] == ["one", "two", "three", "one"]
    assert all(store.has(files.data) for files in found)


def test_what_was_verified_once_is_not_read_again(
    store: Store, reader: Reader, wanted: list[WantedDeb]
) -> None:
    first = DebFetcher(store, reader).fetch(wanted)
    for package in wanted:
        Path(package.url).unlink()
    assert DebFetcher(store, reader).fetch(wanted) == first
    assert DebFetcher(store, reader).recall(wanted) == first
    store.path(first[0].data).unlink()
    with pytest.raises(NotFound):
        DebFetcher(store, reader).fetch(wanted)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"version": "1-1"}, "the version is not 1-1"),
        ({"name": "uno"}, "the name is not uno"),
        ({"size": 99}, "larger than 99"),
        ({"arch": "arm64"}, "not for arm64"),
    ],
)
def test_the_memo_does_not_widen_what_is_accepted(
    store: Store, reader: Reader, wanted: list[WantedDeb], change: dict[str, object], why: str
) -> None:
    DebFetcher(store, reader).fetch(wanted)
    with pytest.raises(Untrusted, match=why):
        DebFetcher(store, reader).fetch([replace(wanted[0], **change)])


def test_limits_hold_for_what_is_remembered(
    store: Store, reader: Reader, wanted: list[WantedDeb]
) -> None:
    DebFetcher(store, reader).fetch(wanted)
    limits = DebLimits(tar=replace(DebLimits().tar, total=4096))
    with pytest.raises(Untrusted, match="more than 4096"):
        DebFetcher(store, reader, limits=limits).fetch([wanted[0]])


def test_all_problems_are_told_at_once_and_nothing_stays(
    store: Store, reader: Reader, wanted: list[WantedDeb]
) -> None:
    wrong = [replace(package, sha256="0" * 64) for package in wanted]
    with pytest.raises(Untrusted) as caught:
        DebFetcher(store, reader).fetch(wrong)
    assert len(caught.value.problems) == len(DEBS)
    assert list((store.root / "tmp").iterdir()) == []


def test_what_somebody_says_is_taken_only_for_a_layer_that_a_lock_knows(
    store: Store, reader: Reader, wanted: list[WantedDeb], tmp_path: Path
) -> None:
    known = DebFetcher(store, reader).fetch(wanted)
    with Store.open(tmp_path / "other") as empty:
        recollected = {w.identity: files for w, files in zip(wanted, known, strict=True)}
        fetcher = DebFetcher(empty, reader, recollected=recollected)
        assert fetcher.recall(wanted) is None
        locked = [replace(w, layer=str(f.data)) for w, f in zip(wanted, known, strict=True)]
        assert fetcher.recall(locked) == known


ITEMS: list[Item] = [
    folder("a", 0o2775, gid=50), file("a/é", "x"), symlink("a/link", "é"), hardlink("a/z", "a/é"),
    file("usr/lib/libx.so.1", "no library"),
]  # fmt: skip


def test_the_memo_keeps_everything() -> None:
    deb = Deb("demo", items=ITEMS, conffiles=["a/é"], scripts={"postinst": "x", "triggers": "y"})
    files = verify_made(deb)
    assert decode_deb_files(encode_deb_files(files)) == files


@pytest.mark.parametrize("keep", [0, 1, 10, 60, 200, -1])
def test_bytes_of_another_format_are_our_error(keep: int) -> None:
    with pytest.raises(InputError, match="memo"):
        decode_deb_files(encode_deb_files(verify_made(Deb("demo", items=ITEMS)))[:keep])
