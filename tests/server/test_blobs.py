"""Blobs in every way that they come and go (distribution-spec, "Pulling" and "Pushing Blobs")."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from imagist.digest import sha256
from imagist.errors import InputError, Untrusted
from imagist.server.access import Access
from imagist.server.contents import give
from imagist.server.messages import FilePart, Refusal, Request
from imagist.server.metrics import Metrics
from imagist.server.quota import Quota
from imagist.server.registry import Policy, Registry
from imagist.store import uploads
from imagist.store.blobs import wait_for_disk
from imagist.store.repositories import Content, Repositories
from imagist.store.store import Store
from server.asking import Answer, Direct

DATA = bytes(range(256)) * 40
DIGEST = sha256(DATA)
SHA512 = "sha512:" + hashlib.sha512(DATA).hexdigest()
HUGE = f"0-{'9' * 5000}"
UPLOADS = "/v2/team/app/blobs/uploads/"
BLOB = f"/v2/team/app/blobs/{DIGEST}"


def begin(ask: Direct) -> str:
    answer = ask("POST", UPLOADS)
    assert (answer.status, answer.headers["range"]) == (202, "0-0")
    return answer.headers["location"]


def chunk(ask: Direct, place: str, start: int, end: int, method: str = "PATCH") -> Answer:
    fields = {"content-range": f"{start}-{end - 1}"}
    return ask(method, place, DATA[start:end], fields)


@pytest.mark.parametrize("digest", [DIGEST, SHA512])
def test_a_push_in_two_requests(ask: Direct, digest: str) -> None:
    done = ask("PUT", f"{begin(ask)}?digest={digest}", DATA)
    assert (done.status, done.headers["docker-content-digest"]) == (201, digest)
    given = ask("GET", done.headers["location"])
    assert (given.status, given.body) == (200, DATA)
    assert given.headers["docker-content-digest"] == digest


@pytest.mark.parametrize("digest", [DIGEST, SHA512])
def test_a_push_at_once(ask: Direct, digest: str) -> None:
    done = ask("POST", f"{UPLOADS}?digest={digest}", DATA)
    assert done.status == 201
    assert ask("GET", done.headers["location"]).body == DATA


@pytest.mark.parametrize("digest", [DIGEST, SHA512])
def test_a_push_in_chunks(ask: Direct, digest: str) -> None:
    place = begin(ask)
    for start in range(0, 9000, 3000):
        answer = chunk(ask, place, start, start + 3000)
        assert (answer.status, answer.headers["range"]) == (202, f"0-{start + 2999}")
    done = chunk(ask, f"{place}?digest={digest}", 9000, len(DATA), "PUT")
    assert done.status == 201
    assert ask("GET", done.headers["location"]).body == DATA


def test_a_push_as_a_stream(ask: Direct) -> None:
    place = begin(ask)
    assert ask("PATCH", place, iter([DATA[:100], DATA[100:]])).status == 202
    assert ask("PUT", f"{place}?digest={DIGEST}").status == 201
    assert ask("GET", BLOB).body == DATA


def test_an_empty_blob(ask: Direct) -> None:
    digest = sha256(b"")
    done = ask("PUT", f"{begin(ask)}?digest={digest}")
    assert done.status == 201
    given = ask("GET", done.headers["location"])
    assert (given.status, given.body, given.headers["content-length"]) == (200, b"", "0")


@pytest.mark.parametrize(("start", "end"), [(0, 100), (2000, 3000), (1001, 2000), (999, 2000)])
def test_a_chunk_that_is_not_the_next_one(ask: Direct, start: int, end: int) -> None:
    place = begin(ask)
    chunk(ask, place, 0, 1000)
    answer = chunk(ask, place, start, end)
    assert answer.status == 416
    assert (answer.headers["range"], answer.headers["location"]) == ("0-999", place)
    told = ask("GET", place)
    assert (told.status, told.headers["range"]) == (204, "0-999")
    assert chunk(ask, place, 1000, len(DATA)).status == 202
    assert ask("PUT", f"{place}?digest={DIGEST}").status == 201


@pytest.mark.parametrize("text", ["bytes 0-99/200", "nonsense", "5-1", "0-9999999", HUGE, "²-²"])
def test_a_range_that_says_something_else(ask: Direct, text: str) -> None:
    place = begin(ask)
    answer = ask("PATCH", place, DATA[:100], {"content-range": text})
    assert answer.status == {"bytes 0-99/200": 202, "0-9999999": 400}.get(text, 416)
    assert ask("PATCH", place, b"").status == 202  # nobody holds the upload any more


@pytest.mark.parametrize("way", ["put", "patch", "post"])
def test_another_digest_is_refused_and_nothing_stays(ask: Direct, root: Path, way: str) -> None:
    wrong = sha256(b"something else")
    if way == "post":
        answer = ask("POST", f"{UPLOADS}?digest={wrong}", DATA)
    else:
        place = begin(ask)
        if way == "patch":
            ask("PATCH", place, DATA)
        answer = ask("PUT", f"{place}?digest={wrong}", b"" if way == "patch" else DATA)
        assert ask("GET", place).code == "BLOB_UPLOAD_UNKNOWN"
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
    assert ask("HEAD", f"/v2/team/app/blobs/{wrong}").status == 404
    assert not list((root / "blobs" / "sha256").iterdir())
    assert not list((root / "repositories").rglob("_uploads/*"))


@pytest.mark.parametrize(
    "text", ["sha256:short", "md5:" + "0" * 32, "blake3:" + "0" * 64, "", "x"]
)
def test_a_digest_that_is_none(ask: Direct, text: str) -> None:
    answer = ask("PUT", f"{begin(ask)}?digest={text}", DATA)
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


def test_fewer_bytes_than_announced_can_be_completed(ask: Direct) -> None:
    place = begin(ask)
    answer = ask(
        "PUT", f"{place}?digest={DIGEST}", DATA[:5000], {"content-length": str(len(DATA))}
    )
    assert (answer.status, answer.code) == (400, "SIZE_INVALID")
    assert ask("GET", place).headers["range"] == "0-4999"
    assert chunk(ask, f"{place}?digest={DIGEST}", 5000, len(DATA), "PUT").status == 201


def test_an_upload_goes_on_in_another_process(ask: Direct, repositories: Repositories) -> None:
    place = begin(ask)
    chunk(ask, place, 0, 5000)
    other = Direct(Registry(repositories, Policy(Access()), Metrics()))
    assert other("GET", place).headers["range"] == "0-4999"
    assert chunk(other, f"{place}?digest={DIGEST}", 5000, len(DATA), "PUT").status == 201
    assert ask("GET", BLOB).body == DATA


def test_an_upload_is_cancelled(ask: Direct) -> None:
    place = begin(ask)
    chunk(ask, place, 0, 5000)
    assert ask("DELETE", place).status == 204
    for method in ("GET", "DELETE", "PATCH", "PUT"):
        answer = ask(method, f"{place}?digest={DIGEST}", DATA)
        assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_an_upload_belongs_to_its_repository(ask: Direct) -> None:
    place = begin(ask).replace("team/app", "team/other")
    assert ask("PUT", f"{place}?digest={DIGEST}", DATA).code == "BLOB_UPLOAD_UNKNOWN"


@pytest.mark.parametrize("number", ["../../../../x", "x", "0" * 31, ".."])
def test_an_upload_is_no_path(ask: Direct, number: str) -> None:
    assert ask("PATCH", f"{UPLOADS}{number}", DATA).status in {400, 404, 405}


def test_a_mount_from_another_repository(ask: Direct) -> None:
    ask.put_blob("team/source", DATA)
    answer = ask("POST", f"{UPLOADS}?mount={DIGEST}&from=team/source")
    assert (answer.status, answer.headers["location"]) == (201, BLOB)
    assert ask("GET", BLOB).body == DATA


@pytest.mark.parametrize("digest", [DIGEST, SHA512])
def test_a_mount_from_anywhere(ask: Direct, digest: str) -> None:
    ask("POST", f"/v2/team/source/blobs/uploads/?digest={digest}", DATA)
    assert ask("POST", f"{UPLOADS}?mount={digest}").status == 201
    assert ask("GET", f"/v2/team/app/blobs/{digest}").body == DATA


def test_what_was_built_into_the_store_is_mounted(ask: Direct, root: Path) -> None:
    assert ask("HEAD", BLOB).status == 404
    with Store.open(root) as store:
        store.put(DATA)
    assert ask("HEAD", BLOB).status == 404
    assert ask("POST", f"{UPLOADS}?mount={DIGEST}").status == 201
    assert ask("GET", BLOB).body == DATA


@pytest.mark.parametrize("source", ["", "&from=team/nowhere"])
def test_a_mount_of_what_is_not_there_becomes_an_upload(ask: Direct, source: str) -> None:
    if source:
        ask.put_blob("team/source", DATA)
    answer = ask("POST", f"{UPLOADS}?mount={DIGEST}{source}")
    assert answer.status == 202
    assert ask("PUT", f"{answer.headers['location']}?digest={DIGEST}", DATA).status == 201


def test_a_blob_is_deleted_from_one_repository(ask: Direct) -> None:
    for name in ("team/app", "team/other"):
        ask.put_blob(name, DATA)
    assert ask("DELETE", BLOB).status == 202
    assert ask("GET", BLOB).code == "BLOB_UNKNOWN"
    assert ask("DELETE", BLOB).code == "BLOB_UNKNOWN"
    assert ask("GET", BLOB.replace("/app/", "/other/")).body == DATA


@given(first=st.integers(0, 12_000), last=st.integers(0, 12_000))
def test_a_range_is_that_part(first: int, last: int) -> None:
    size = len(DATA)
    request = Request("GET", "", {"range": f"bytes={first}-{last}"})
    content = Content(DIGEST, "", size)
    if not DATA[first : last + 1]:
        with pytest.raises(Refusal) as refused:
            give(request, DIGEST, content, "text/plain")
        assert refused.value.status == 416
        return
    response = give(request, DIGEST, content, "text/plain")
    assert isinstance(response.body, FilePart)
    assert DATA[response.body.start : response.body.end] == DATA[first : last + 1]


@pytest.mark.parametrize(
    ("text", "part", "told"),
    [
        ("bytes=0-", DATA, "bytes 0-10239/10240"),
        ("bytes=-10", DATA[-10:], "bytes 10230-10239/10240"),
        ("bytes=-99999", DATA, "bytes 0-10239/10240"),
        ("bytes=10000-99999", DATA[10000:], "bytes 10000-10239/10240"),
    ],
)
def test_ranges(ask: Direct, text: str, part: bytes, told: str) -> None:
    ask.put_blob("team/app", DATA)
    answer = ask("GET", BLOB, headers={"range": text})
    assert (answer.status, answer.body) == (206, part)
    assert answer.headers["content-range"] == told


@pytest.mark.parametrize(
    "text", ["bytes=0-1,5-6", "lines=1-2", "bytes=-", "bytes=x-y", "bytes=" + HUGE]
)
def test_ranges_that_give_everything(ask: Direct, text: str) -> None:
    ask.put_blob("team/app", DATA)
    assert ask("GET", BLOB, headers={"range": text}).status == 200


def test_a_range_behind_the_end(ask: Direct) -> None:
    ask.put_blob("team/app", DATA)
    answer = ask("GET", BLOB, headers={"range": "bytes=10240-"})
    assert (answer.status, answer.headers["content-range"]) == (416, "bytes */10240")
    assert ask("GET", BLOB, headers={"range": "bytes=-0"}).status == 416


def test_what_the_client_has_is_not_sent(ask: Direct) -> None:
    ask.put_blob("team/app", DATA)
    tag = ask("GET", BLOB).headers["etag"]
    answer = ask("GET", BLOB, headers={"if-none-match": f'"x", W/{tag}'})
    assert (answer.status, answer.body) == (304, b"")
    other = ask("GET", BLOB, headers={"range": "bytes=0-1", "if-range": '"x"'})
    assert (other.status, other.body) == (200, DATA)


def test_an_upload_that_is_cancelled_while_its_end_arrives(
    ask: Direct, repositories: Repositories, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = begin(ask)
    wait = wait_for_disk

    def cancel_then_wait(file: int) -> None:
        assert ask("DELETE", place).status == 204
        wait(file)

    monkeypatch.setattr(uploads, "wait_for_disk", cancel_then_wait)
    answer = ask("PUT", f"{place}?digest={DIGEST}", DATA)
    assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert repositories.get("team/app").find_blob(DIGEST) is None


def test_an_upload_is_let_go_whatever_fails(ask: Direct, monkeypatch: pytest.MonkeyPatch) -> None:
    place = begin(ask)
    with monkeypatch.context() as patched:
        patched.setattr(Quota, "reserve", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ask("PATCH", place, DATA)
    assert ask("PATCH", place, DATA).status == 202
    assert ask("PUT", f"{place}?digest={DIGEST}").status == 201


def test_a_write_that_fails_halfway_is_not_taken_for_whole(
    ask: Direct, repositories: Repositories, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that goes on behind what it sent, rather than behind what arrived."""
    known = uploads.Uploads(repositories)
    repository = repositories.get("team/app")
    number = known.begin(repository)
    write = os.write

    def half(file: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", fail)
        return write(file, data[:1000])

    def fail(file: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "write", half)
    with known.open(repository, number) as upload, pytest.raises(InputError):
        upload.write(DATA[:5000])
    monkeypatch.setattr(os, "write", write)
    with known.open(repository, number) as upload:
        upload.write(DATA[5000:])
        with pytest.raises(Untrusted):
            upload.finish(DIGEST)
    assert repository.find_blob(DIGEST) is None


def test_a_blob_that_is_there_is_replaced_only_by_one_that_was_read_again(
    ask: Direct, repositories: Repositories, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask.put_blob("team/other", DATA)
    known = uploads.Uploads(repositories)
    repository = repositories.get("team/app")

    def push(data: bytes) -> None:
        number = known.begin(repository)
        with known.open(repository, number) as upload:
            upload.write(data)
        memory = known.take_known(number)
        assert memory
        known.remember(number, replace(memory, state=hashlib.sha256(DATA)))
        with known.open(repository, number) as upload:
            upload.finish(DIGEST)

    with pytest.raises(Untrusted, match="the file of the upload"):
        push(DATA[:5000])
    place = Path(repositories.blobs.place(DIGEST))
    assert place.read_bytes() == DATA
    place.chmod(0o644)
    os.truncate(place, 5000)  # a damaged one is mended
    push(DATA)
    assert place.read_bytes() == DATA


def test_an_upload_that_the_disk_did_not_keep_is_dropped(
    ask: Direct, repositories: Repositories, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(file: int) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(uploads, "wait_for_disk", fail)
    monkeypatch.setattr(uploads, "_FLUSH_EVERY", 1000)
    place = begin(ask)
    assert ask("PATCH", place, DATA).status in {202, 507}
    assert ask("GET", place).code == "BLOB_UPLOAD_UNKNOWN"


def test_uploads_that_were_given_up_are_removed(ask: Direct, repositories: Repositories) -> None:
    old, young, busy = (begin(ask).rpartition("/")[2] for _ in range(3))
    repository = repositories.get("team/app")
    for number in (old, busy):
        os.utime(f"{repository.folder}/_uploads/{number}", (1, 1))
    with uploads.Uploads(repositories).open(repository, busy):
        assert uploads.remove_abandoned(repositories) == 1
    assert ask("GET", UPLOADS + old).status == 404
    for number in (young, busy):
        assert ask("GET", UPLOADS + number).status == 204
