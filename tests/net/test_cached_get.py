from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.webserver import OLD, Answer, Asked, Web, cacheable
from imagist.errors import (
    ImagistError,
    InputError,
    NetworkError,
    NotFound,
    RequestError,
    Untrusted,
)
from imagist.net.conditional import RETRY_AFTER, CachedGet
from imagist.net.environment import Environment
from imagist.net.transport import HttpTransport
from imagist.store.store import Store

LIMIT = 1 << 20
DAY = 86400.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cached(transport: HttpTransport, store: Store, clock: Clock) -> CachedGet:
    return CachedGet(transport, store, clock=clock)


@pytest.fixture
def offline(transport: HttpTransport, store: Store, clock: Clock) -> CachedGet:
    return CachedGet(transport, store, offline=True, clock=clock)


def test_a_document_with_a_tag_is_fetched_once_and_then_only_asked_about(
    web: Web, cached: CachedGet
) -> None:
    url = web.on("/a", cacheable(b"hello", '"tag"'))
    assert [cached.get(url, limit=LIMIT) for _ in range(3)] == [b"hello"] * 3
    asked = [request.headers.get("if-none-match") for request in web.asked]
    assert asked == [None, '"tag"', '"tag"']


def test_a_document_with_a_date_is_asked_about_by_date(web: Web, cached: CachedGet) -> None:
    def reply(asked: Asked) -> Answer:
        same = asked.headers.get("if-modified-since") == OLD
        return Answer(304) if same else Answer(body=b"hello", headers={"Last-Modified": OLD})

    url = web.on("/a", reply)
    assert [cached.get(url, limit=LIMIT) for _ in range(2)] == [b"hello"] * 2
    assert "if-modified-since" in web.asked[1].headers


def test_a_document_that_changed_replaces_the_old_one(web: Web, cached: CachedGet) -> None:
    url = web.on("/a", cacheable(b"one", '"1"'), cacheable(b"two", '"2"'))
    assert [cached.get(url, limit=LIMIT) for _ in range(3)] == [b"one", b"two", b"two"]
    assert web.asked[2].headers["if-none-match"] == '"2"'


def test_what_is_sent_is_taken_even_under_the_old_tag(web: Web, cached: CachedGet) -> None:
    tag = {"ETag": '"1"'}
    url = web.on("/a", Answer(body=b"one", headers=tag), Answer(body=b"two", headers=tag))
    assert [cached.get(url, limit=LIMIT) for _ in range(2)] == [b"one", b"two"]


def test_without_validators_it_is_fetched_each_time(web: Web, cached: CachedGet) -> None:
    url = web.on("/a", Answer(body=b"one"), Answer(body=b"two"))
    assert [cached.get(url, limit=LIMIT) for _ in range(2)] == [b"one", b"two"]


def test_a_blob_that_was_pruned_is_fetched_again_and_not_asked_about(
    web: Web, cached: CachedGet, store: Store
) -> None:
    url = web.on("/a", cacheable(b"hello"))
    digest = cached.find(url, limit=LIMIT)
    assert digest is not None
    store.path(digest).unlink()
    assert cached.get(url, limit=LIMIT) == b"hello"
    assert "if-none-match" not in web.asked[1].headers


def test_a_304_that_was_not_asked_for_is_an_error(web: Web, cached: CachedGet) -> None:
    with pytest.raises(NetworkError, match="was not asked that"):
        cached.get(web.on("/a", Answer(304)), limit=LIMIT)


def test_the_memory_is_of_the_place_and_not_of_the_user(
    web: Web, cached: CachedGet, offline: CachedGet, store: Store
) -> None:
    url = web.on("/a", cacheable(b"hello"))
    with_user = url.replace("://", "://me:hush@")
    assert cached.get(with_user, limit=LIMIT) == b"hello"
    assert "authorization" in web.asked[0].headers
    assert offline.get(url, limit=LIMIT) == b"hello"
    assert not any(b"hush" in file.read_bytes() for file in store.root.glob("memo*"))


# Absent documents


@pytest.mark.parametrize("status", [404, 410])
def test_an_absent_document_is_none_where_it_is_optional(
    status: int, web: Web, cached: CachedGet
) -> None:
    url = web.on("/a", Answer(status))
    assert cached.get(url, limit=LIMIT, optional=True) is None
    with pytest.raises(NotFound, match="there is no"):
        cached.get(url, limit=LIMIT)


def test_absence_is_remembered_for_as_long_as_asked(
    web: Web, cached: CachedGet, offline: CachedGet, clock: Clock
) -> None:
    url = web.on("/a", Answer(404), Answer(body=b"new"))
    assert cached.get(url, limit=LIMIT, optional=True, max_age=DAY) is None
    assert cached.get(url, limit=LIMIT, optional=True, max_age=DAY) is None
    assert offline.get(url, limit=LIMIT, optional=True) is None
    assert web.count("/a") == 1
    clock.now += DAY
    assert cached.get(url, limit=LIMIT, optional=True, max_age=DAY) == b"new"


def test_forbidden_means_absent_only_for_what_can_be_done_without(
    web: Web, cached: CachedGet
) -> None:
    url = web.on("/a", Answer(403))
    with pytest.raises(NetworkError, match="answers 403"):
        cached.get(url, limit=LIMIT, optional=True)
    with pytest.raises(NetworkError, match="answers 403"):
        cached.get(url, limit=LIMIT, max_age=DAY)
    assert cached.get(url, limit=LIMIT, optional=True, max_age=DAY) is None


def test_authorities_that_are_missing_do_not_make_a_document_absent(
    store: Store, make: Callable[..., HttpTransport]
) -> None:
    transport = make(Environment(ca_file="/nowhere/authorities.pem"))
    with pytest.raises(InputError, match="SSL_CERT_FILE"):
        CachedGet(transport, store).get("https://127.0.0.1:1/a", limit=LIMIT, optional=True)


# Ages and servers that do not answer


def test_a_fresh_document_is_not_asked_about(web: Web, cached: CachedGet, clock: Clock) -> None:
    url = web.on("/a", cacheable(b"hello"))
    for _ in range(3):
        assert cached.get(url, limit=LIMIT, max_age=DAY) == b"hello"
    assert web.count("/a") == 1
    clock.now += DAY
    assert cached.get(url, limit=LIMIT, max_age=DAY) == b"hello"
    assert web.count("/a") == 2
    cached.get(url, limit=LIMIT, max_age=DAY)
    assert web.count("/a") == 2, "a 304 makes it fresh again"


def test_a_clock_that_was_set_back_makes_nothing_fresh(
    web: Web, cached: CachedGet, clock: Clock
) -> None:
    url = web.on("/a", cacheable(b"hello"))
    cached.get(url, limit=LIMIT, max_age=DAY)
    clock.now -= 2 * DAY
    cached.get(url, limit=LIMIT, max_age=DAY)
    assert web.count("/a") == 2


@pytest.mark.parametrize(
    "failure",
    [Answer(503), Answer(403), Answer(body=b"new" * 9000, cut=20), Answer(body=b"x", length=50)],
    ids=["unavailable", "forbidden", "reset", "truncated"],
)
def test_an_old_document_will_do_where_the_server_fails_and_an_age_is_given(
    failure: Answer, web: Web, cached: CachedGet, clock: Clock
) -> None:
    url = web.on("/a", cacheable(b"old"), failure)
    cached.get(url, limit=LIMIT, max_age=DAY)
    clock.now += 2 * DAY
    assert cached.get(url, limit=LIMIT, max_age=DAY) == b"old"
    count = web.count("/a")
    clock.now += RETRY_AFTER - 1
    assert cached.get(url, limit=LIMIT, max_age=DAY) == b"old"
    assert web.count("/a") == count, "a failing server is left alone for a while"
    clock.now += 2
    cached.get(url, limit=LIMIT, max_age=DAY)
    assert web.count("/a") > count
    with pytest.raises(NetworkError):
        cached.get(url, limit=LIMIT)


def test_a_body_without_validators_that_breaks_off_is_fetched_anew(
    web: Web, cached: CachedGet, store: Store
) -> None:
    body = bytes(300_000)
    url = web.on("/a", Answer(body=body, cut=1000), Answer(body=body))
    assert cached.get(url, limit=LIMIT) == body
    url = web.on("/b", Answer(body=body, cut=1000))
    with pytest.raises(NetworkError, match="broke off"):
        cached.get(url, limit=LIMIT)
    assert web.count("/b") == 3
    assert list((store.root / "tmp").iterdir()) == []


# Limits, offline, damage


def test_more_than_the_limit_is_refused_and_nothing_stays(
    web: Web, cached: CachedGet, store: Store
) -> None:
    url = web.on("/a", Answer(body=b"x" * 5000, length=-1))
    with pytest.raises(Untrusted, match="more than 4999 bytes"):
        cached.get(url, limit=4999)
    assert list((store.root / "blobs" / "sha256").iterdir()) == []
    assert cached.get(url, limit=5000) == b"x" * 5000


def test_the_limit_holds_for_what_is_remembered(
    web: Web, cached: CachedGet, offline: CachedGet
) -> None:
    url = web.on("/a", cacheable(b"x" * 5000))
    cached.get(url, limit=LIMIT)
    for each in (cached, offline):
        with pytest.raises(Untrusted):
            each.get(url, limit=10)


def test_offline_takes_what_is_remembered_and_asks_nobody(
    web: Web, cached: CachedGet, offline: CachedGet, clock: Clock
) -> None:
    url = web.on("/a", cacheable(b"hello"))
    with pytest.raises(NetworkError, match="--offline") as caught:
        offline.get(url, limit=LIMIT, optional=True)
    assert caught.value.problems[0].help
    cached.get(url, limit=LIMIT)
    clock.now += 1000 * DAY
    assert offline.get(url, limit=LIMIT, max_age=DAY) == b"hello"
    assert web.count("/a") == 1


def test_a_memo_that_cannot_be_used_costs_only_time(
    web: Web, cached: CachedGet, store: Store
) -> None:
    (store.root / "memo.sqlite").mkdir()
    url = web.on("/a", cacheable(b"hello"))
    assert [cached.get(url, limit=LIMIT) for _ in range(2)] == [b"hello"] * 2


def test_what_is_no_url_is_a_wrong_request(cached: CachedGet) -> None:
    with pytest.raises(RequestError):
        cached.get("http://[half/a", limit=LIMIT)


def test_many_threads_may_ask_for_the_same_and_other_documents(
    web: Web, cached: CachedGet
) -> None:
    urls = [web.on(f"/{number}", cacheable(b"%d" % number * 999)) for number in range(4)] * 3
    results: list[object] = [None] * len(urls)

    def ask(position: int) -> None:
        try:
            results[position] = cached.get(urls[position], limit=LIMIT)
        except ImagistError as error:
            results[position] = error

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(urls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [b"%d" % (number % 4) * 999 for number in range(len(urls))]
