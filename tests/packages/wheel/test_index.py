"""Indexes are asked once, in order, with the user's credentials; files must have their hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fixtures.simpleindex import JSON, SimpleIndex
from fixtures.webserver import Answer, Web, cacheable
from imagist.errors import InputError, NetworkError, NotFound, Untrusted
from imagist.net.environment import Environment
from imagist.net.transport import HttpTransport
from imagist.packages.wheel.choose import chosen_files
from imagist.packages.wheel.fetch import WheelFetcher
from imagist.packages.wheel.index import Finder
from imagist.packages.wheel.indexes import Indexes
from imagist.packages.wheel.lock.model import File, Lock, Package
from imagist.packages.wheel.selection import select_files
from imagist.packages.wheel.simple import read_page
from imagist.store.store import Store
from packages.wheel.targets import target

WHEEL, SDIST = "alpha-1.0-py3-none-any.whl", "alpha-1.0.tar.gz"


@pytest.fixture
def finder(transport: HttpTransport, store: Store, index: SimpleIndex) -> Finder:
    return Finder(transport, store.memo, Indexes((index.url,)))


def named(*files: tuple[str, str], **rest: Any) -> Lock:
    """A lock with one package, whose files have names and hashes."""
    listed = tuple(File(name, sha256) for name, sha256 in files)
    package = Package(name="alpha", version="1.0", files=listed, where="p", **rest)
    return Lock(file="poetry.lock", packages=(package,))


def allowing(*hashes: str) -> Lock:
    """A lock with one package of which only hashes are known."""
    package = Package(name="alpha", version="1.0", allowed=frozenset(hashes), where="p")
    return Lock(file="requirements.txt", packages=(package,))


def locations(finder: Finder, lock: Lock) -> Sequence[File]:
    (found,) = finder.complete(lock, lock.packages).values()
    return found.files


@pytest.mark.parametrize("form", ["json", "html"])
def test_files_are_found_by_name_or_by_hash(index: SimpleIndex, finder: Finder, form: str) -> None:
    index.form = form
    wheel, sdist = index.add("alpha", WHEEL), index.add("alpha", SDIST)
    index.add("alpha", "alpha-2.0-py3-none-any.whl")
    size = len(index.files[WHEEL]) if form == "json" else None
    expected = File(WHEEL, wheel, size, index.location(WHEEL))
    assert locations(finder, named((WHEEL, wheel))) == (expected,)
    found = locations(finder, allowing(wheel, sdist))
    assert [file.name for file in found] == [WHEEL, SDIST]
    assert found[0] == expected


def test_an_index_is_asked_once_in_the_life_of_a_store(
    index: SimpleIndex, finder: Finder, transport: HttpTransport, store: Store
) -> None:
    lock = named((WHEEL, index.add("alpha", WHEEL)))
    first = locations(finder, lock)
    assert index.asked() == ["alpha"]
    again = Finder(transport, store.memo, Indexes((index.url,)), offline=True)
    assert locations(again, lock) == first
    assert index.asked() == ["alpha"]
    with pytest.raises(NetworkError, match="--offline forbids"):
        again.complete(lock, named(("beta-1.0-py3-none-any.whl", "0" * 64)).packages)


def test_a_lock_with_urls_asks_no_index(index: SimpleIndex, finder: Finder) -> None:
    file = File(WHEEL, "0" * 64, location="https://files.example/x.whl")
    lock = Lock(file="l", packages=(Package(name="alpha", files=(file,)),))
    assert locations(finder, lock) == (file,)
    assert index.asked() == []


def test_the_first_index_that_knows_a_package_is_believed(
    web: Web, transport: HttpTransport, store: Store
) -> None:
    own, public = SimpleIndex(web, "/own"), SimpleIndex(web, "/public")
    own.add("alpha", "alpha-0.1-py3-none-any.whl")
    lock = named((WHEEL, public.add("alpha", WHEEL)))
    finder = Finder(transport, store.memo, Indexes((own.url, public.url)))
    with pytest.raises(NotFound, match=r"/own/alpha/ has no file of alpha 1.0"):
        finder.complete(lock, lock.packages)
    assert public.asked() == []
    other = Finder(transport, store.memo, Indexes((public.url, own.url)))
    assert locations(other, lock)[0].location == public.location(WHEEL)


def test_a_package_is_looked_for_only_where_its_lock_says(
    web: Web, transport: HttpTransport, store: Store
) -> None:
    own, public = SimpleIndex(web, "/own"), SimpleIndex(web, "/public")
    public.add("alpha", WHEEL, b"evil")
    lock = named((WHEEL, own.add("alpha", WHEEL)), index=own.url)
    finder = Finder(transport, store.memo, Indexes((public.url,)))
    assert locations(finder, lock)[0].location == own.location(WHEEL)
    assert public.asked() == []


def test_a_file_with_another_hash_is_not_the_file(index: SimpleIndex, finder: Finder) -> None:
    index.add("alpha", WHEEL)
    for lock in (named((WHEEL, "0" * 64)), allowing("0" * 64)):
        with pytest.raises(NotFound, match="with a hash of the lock"):
            finder.complete(lock, lock.packages)


def test_all_that_is_nowhere_is_told_at_once(index: SimpleIndex, finder: Finder) -> None:
    packages = [Package(name=n, version="1", allowed=frozenset({"0"})) for n in ("a", "b")]
    lock = Lock(file="l", packages=tuple(packages))
    with pytest.raises(NotFound) as caught:
        finder.complete(lock, packages)
    assert [p.message.partition(" (")[0] for p in caught.value.problems] == [
        "no index has the package `a`",
        "no index has the package `b`",
    ]


def test_credentials_in_an_index_serve_its_files_and_are_not_shown(
    web: Web, transport: HttpTransport, store: Store, tmp_path: Path
) -> None:
    index = SimpleIndex(web, "/private", password="me:p@ss")
    lock = named((WHEEL, index.add("alpha", WHEEL)))
    url = index.url.replace("http://", "http://me:p%40ss@")
    finder = Finder(transport, store.memo, Indexes((url,)))
    files = locations(finder, lock)
    assert "me" not in files[0].location
    fetched = WheelFetcher(store, transport, tmp_path).fetch(files)
    assert store.read(fetched[files[0].sha256]) == index.files[WHEEL]
    assert "p%40ss" not in repr(Indexes((url,)))
    stranger = Finder(HttpTransport(Environment()), store.memo, Indexes((index.url + "/x",)))
    other = named((WHEEL, files[0].sha256), (SDIST, "0" * 64), index=index.url)
    with pytest.raises(NetworkError, match="401"):
        stranger.complete(other, other.packages)


def test_folders_of_wheels_come_before_indexes(
    index: SimpleIndex, transport: HttpTransport, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / WHEEL).write_bytes(b"built here")
    sha256 = hashlib.sha256(b"built here").hexdigest()
    index.add("alpha", SDIST)
    links = (str(tmp_path / "wheels"), str(tmp_path / "absent"))
    finder = Finder(transport, store.memo, Indexes((index.url,), links))
    (file,) = locations(finder, allowing(sha256))
    assert file.location == str(tmp_path / "wheels" / WHEEL)
    assert WheelFetcher(store, transport, tmp_path).fetch([file])
    assert index.asked() == []


def test_pages_that_are_none_are_refused() -> None:
    with pytest.raises(InputError, match=r"version 2\.0"):
        read_page(b'{"meta": {"api-version": "2.0"}, "files": []}', JSON, "https://h.example/a/")
    with pytest.raises(InputError, match="not what an index answers"):
        read_page(b'{"files": [{}]}', JSON, "https://h.example/a/")
    page = b'<meta name="pypi:repository-version" content="3.0">'
    with pytest.raises(InputError, match=r"version 3\.0"):
        read_page(page, "text/html", "https://h.example/a/")
    with pytest.raises(InputError, match="UTF-8"):
        read_page(b"\xff", "text/html", "https://h.example/a/")


def test_addresses_are_relative_to_where_the_page_was_found() -> None:
    page = b"<a href='x/alpha-1.0%2Bl.whl#md5=0'>a</a><a href='/b.whl#sha256=AB'>b</a><a>c</a>"
    links = read_page(page, "text/html", "https://h.example/simple/alpha/")
    assert [(link.name, link.url, link.sha256) for link in links] == [
        ("alpha-1.0+l.whl", "https://h.example/simple/alpha/x/alpha-1.0%2Bl.whl", ""),
        ("b.whl", "https://h.example/b.whl", ""),
    ]


@pytest.mark.parametrize("place", ["file:///etc/x-1.whl", "ftp://h/x-1.whl", "http://[h/x-1.whl"])
def test_an_index_names_nothing_of_this_machine(place: str) -> None:
    pages = {
        JSON: f'{{"files": [{{"filename": "x-1.whl", "url": "{place}"}}]}}',
        "text/html": f'<a href="{place}">x</a>',
        "text/html;": f'<base href="{place}"><a href="">x</a>',
    }
    for form, page in pages.items():
        assert read_page(page.encode(), form, "https://h.example/x/") == []


# fetching


def test_files_are_fetched_once(
    index: SimpleIndex, transport: HttpTransport, store: Store, tmp_path: Path
) -> None:
    names = [f"p{n}-1-py3-none-any.whl" for n in range(12)]
    files = [File(n, index.add(n[:2], n), len(index.files[n]), index.location(n)) for n in names]
    fetcher = WheelFetcher(store, transport, tmp_path, jobs=4)
    blobs = fetcher.fetch([*files, *files])
    assert {store.read(blobs[file.sha256]) for file in files} == set(index.files.values())
    fetcher.fetch(files)
    assert {index.web.count(f"/files/simple/{name}") for name in names} == {1}
    WheelFetcher(store, transport, tmp_path, offline=True).fetch(files)


def test_a_file_that_breaks_off_goes_on_where_it_did(
    web: Web, transport: HttpTransport, store: Store, tmp_path: Path
) -> None:
    data = bytes(range(256)) * 16_000
    sha256 = hashlib.sha256(data).hexdigest()
    broken = Answer(200, data, {"ETag": '"one"'}, cut=2_500_000, polite=True)
    url = web.on("/x.whl", broken, cacheable(data, '"one"'))
    fetched = WheelFetcher(store, transport, tmp_path).fetch(
        [File("x.whl", sha256, len(data), url)]
    )
    assert store.read(fetched[sha256]) == data
    start = int(web.asked[1].headers["range"].removeprefix("bytes=").removesuffix("-"))
    assert 1 << 20 <= start <= 2_500_000


def test_what_is_not_the_file_never_enters_the_store(
    web: Web, transport: HttpTransport, store: Store, tmp_path: Path
) -> None:
    sha256 = hashlib.sha256(b"good").hexdigest()
    fetcher = WheelFetcher(store, transport, tmp_path)
    wrong = [
        File("a.whl", sha256, 4, web.on("/a.whl", Answer(200, b"evil"))),
        File("b.whl", "1" * 64, 4, web.on("/b.whl", Answer(200, b"more than four"))),
        File("c.whl", "2" * 64, None, web.on("/c.whl", Answer(404))),
    ]
    with pytest.raises(Untrusted) as caught:
        fetcher.fetch(wrong)
    told = sorted(str(problem) for problem in caught.value.problems)
    assert len(told) == 3
    assert "a.whl from http://" in told[0]
    assert "does not have the digest promised" in told[0]
    assert not any(store.has(f"sha256:{file.sha256}") for file in wrong)


def test_a_size_that_lies_is_noticed_in_the_store_too(
    web: Web, transport: HttpTransport, store: Store, tmp_path: Path
) -> None:
    digest = store.put(b"good")
    with pytest.raises(Untrusted, match="the lock says 5"):
        WheelFetcher(store, transport, tmp_path).fetch([File("a.whl", digest.hex, 5, "x")])


def test_paths_are_relative_to_the_lock(
    transport: HttpTransport, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "a.whl").write_bytes(b"good")
    sha256 = hashlib.sha256(b"good").hexdigest()
    fetcher = WheelFetcher(store, transport, tmp_path)
    assert fetcher.fetch([File("a.whl", sha256, 4, "vendor/a.whl")])
    with pytest.raises(NotFound, match="it is not there"):
        fetcher.fetch([File("b.whl", "0" * 64, 4, "vendor/b.whl")])


def test_after_a_network_error_nothing_more_is_begun(
    web: Web, transport: HttpTransport, store: Store, tmp_path: Path
) -> None:
    files = [File(f"{n}.whl", f"{n:064x}", 4, web.on(f"/{n}.whl", Answer(503))) for n in range(9)]
    with pytest.raises(NetworkError, match="8 more files were not asked for"):
        WheelFetcher(store, transport, tmp_path, jobs=1).fetch(files)


def test_selection_asks_for_what_is_wanted_and_nothing_else(
    index: SimpleIndex, finder: Finder
) -> None:
    wheel = index.add("alpha", WHEEL)
    index.add("alpha", SDIST)
    lock = Lock(
        file="requirements.txt",
        packages=(
            Package(name="alpha", version="1.0", allowed=frozenset({wheel})),
            Package(name="beta", version="1", allowed=frozenset({"0"}), marker="os_name == 'nt'"),
        ),
    )
    targets = [target(), target("arm64")]
    selected = select_files(lock, targets, finder)
    assert [str(choice) for choice in selected[targets[1]]] == [WHEEL]
    assert [file.sha256 for file in chosen_files(selected)] == [wheel]
    assert index.asked() == ["alpha"]
