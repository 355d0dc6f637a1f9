"""Networks and registries that break: nothing wrong is stored, and work goes on or says why not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from fixtures.faults import Proxy, faulty
from fixtures.registries import running
from fixtures.webserver import Answer, Asked, Web, part, serve
from imagist.digest import sha256_stream
from imagist.errors import InputError, NetworkError, NotFound, Untrusted
from imagist.oci import contents, derive
from imagist.oci.contents import Blob
from imagist.oci.derive import MemoryImage
from imagist.oci.image import Image
from imagist.oci.random import random_image
from imagist.oci.reference import Reference, parse_reference
from imagist.oci.validate import validate
from imagist.registry.catalog import list_repositories
from imagist.registry.client import Registries
from imagist.registry.push import push_image
from imagist.registry.refusal import Refused
from imagist.registry.source import gather, load_image
from imagist.store.archive import write_archive
from imagist.store.layout import read_layout, write_layout
from imagist.store.store import Store
from support import needs

pytestmark = needs("registry")
_seeds = count(5000)
SMALL = random_image(1, layers=2, size=300_000)
LARGE = random_image(2, layers=1, size=20_000_000)
Connect = Callable[..., Registries]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running("registry", tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def proxy(real: str) -> Iterator[Proxy]:
    with faulty(real) as between:
        yield between


class Place:
    """One repository, as seen through the proxy and without it."""

    def __init__(self, proxy: Proxy, connect: Connect) -> None:
        self.name = f"faults/app{next(_seeds)}"
        self.proxied = parse_reference(f"{proxy.address}/{self.name}:1")
        self.direct = parse_reference(f"{proxy.target}/{self.name}:1")
        self._connect = connect

    def holds(self, image: Image) -> bool:
        """Whether the registry has the image, whole."""
        found = load_image(self._connect(), self.direct)
        validate(found)
        return found.raw_manifest == image.raw_manifest

    def is_untouched(self) -> bool:
        """Whether the tag names nothing."""
        return self._connect().repository(self.direct).resolve("1") is None


@pytest.fixture
def place(proxy: Proxy, connect: Connect) -> Place:
    return Place(proxy, connect)


def layer_of(image: MemoryImage) -> str:
    return image.layers[0].digest


# Uploads


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_registry_that_is_busy_for_a_while_gets_everything(
    status: int, proxy: Proxy, place: Place, registries: Registries, slept: list[float]
) -> None:
    for method, path in (("HEAD", "/blobs/"), ("POST", "/uploads/"), ("PUT", "/uploads/")):
        proxy.fault(method, path, status=status, headers={"Retry-After": "2"})
    proxy.fault("PUT", "/manifests/", status=status, headers={"Retry-After": "3"})
    push_image(registries, SMALL, [place.proxied])
    assert place.holds(SMALL)
    assert sorted(slept) == [2.0, 2.0, 2.0, 3.0]


def test_a_registry_that_stays_busy_is_told_of_after_four_attempts(
    proxy: Proxy, place: Place, registries: Registries
) -> None:
    body = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}'
    proxy.fault("POST", "/uploads/", status=429, times=100, body=body)
    with pytest.raises(Refused, match=r"POST http://.*: the registry answers 429: TOOMANYR") as e:
        push_image(registries, SMALL, [place.proxied])
    assert "limits" in str(e.value.problems[0].help)
    assert proxy.count("POST") <= 4 * 3
    assert place.is_untouched()


def test_a_registry_that_asks_for_too_much_patience_is_told_of(
    proxy: Proxy, place: Place, registries: Registries, slept: list[float]
) -> None:
    proxy.fault("PUT", "/uploads/", times=10, status=503, headers={"Retry-After": "3600"})
    with pytest.raises(NetworkError):
        push_image(registries, SMALL, [place.proxied])
    assert not slept


@pytest.mark.parametrize("image", [SMALL, LARGE])
@pytest.mark.parametrize("where", [0, 100_000])
def test_an_upload_that_breaks_off_is_done_again_or_goes_on(
    where: int, image: MemoryImage, proxy: Proxy, place: Place, registries: Registries
) -> None:
    proxy.fault("PUT", layer_of(image), cut_request=where)
    push_image(registries, image, [place.proxied])
    assert place.holds(image)
    assert bool(proxy.count("PATCH")) == (image is LARGE)


def test_an_upload_whose_answer_was_lost_is_made_sure_of(
    proxy: Proxy, place: Place, registries: Registries
) -> None:
    proxy.fault("PUT", "/uploads/", lose_answer=True)
    proxy.fault("PUT", "/manifests/", lose_answer=True)
    push_image(registries, SMALL, [place.proxied])
    assert place.holds(SMALL)


def test_chunks_go_where_large_requests_are_refused(
    proxy: Proxy, place: Place, registries: Registries
) -> None:
    proxy.fault("PUT", layer_of(LARGE), status=413)
    push_image(registries, LARGE, [place.proxied])
    assert place.holds(LARGE)
    spans = [p.headers["content-range"] for p in proxy.passed if p.method == "PATCH"]
    assert spans[0] == f"0-{(8 << 20) - 1}"
    assert all(int(p.headers["content-length"]) for p in proxy.passed if p.method == "PATCH")


def test_chunks_are_as_large_as_the_registry_asks_for(
    proxy: Proxy, place: Place, registries: Registries
) -> None:
    least = {"OCI-Chunk-Min-Length": str(9 << 20)}
    proxy.fault("POST", "/uploads/", headers=least, times=9)
    proxy.fault("PUT", layer_of(LARGE), status=413)
    push_image(registries, LARGE, [place.proxied])
    assert place.holds(LARGE)
    spans = [p.headers["content-range"] for p in proxy.passed if p.method == "PATCH"]
    assert spans == [f"0-{(9 << 20) - 1}", f"{9 << 20}-{(18 << 20) - 1}"]


@pytest.mark.parametrize("fault", [{"cut_request": 3_000_000}, {"status": 503}])
def test_a_chunk_that_breaks_off_is_sent_again(
    fault: dict[str, int], proxy: Proxy, place: Place, registries: Registries
) -> None:
    proxy.fault("PUT", layer_of(LARGE), status=413)
    proxy.fault("PATCH", "/uploads/", **fault)
    push_image(registries, LARGE, [place.proxied])
    assert place.holds(LARGE)
    asked = [p.method for p in proxy.passed if "/uploads/" in p.path]
    assert "GET" in asked[asked.index("PATCH") :]  # how much has arrived


def test_a_network_that_always_breaks_is_told_of(
    proxy: Proxy, place: Place, registries: Registries, slept: list[float]
) -> None:
    proxy.fault("PUT", layer_of(LARGE), cut_request=1000, times=100)
    proxy.fault("PATCH", "/uploads/", cut_request=1000, times=100)
    with pytest.raises(NetworkError, match="cannot be reached"):
        push_image(registries, LARGE, [place.proxied])
    assert place.is_untouched()
    assert len(proxy.passed) < 100
    assert sum(slept) < 60


def test_a_blob_that_is_changed_on_its_way_is_refused_by_the_registry(
    proxy: Proxy, place: Place, registries: Registries
) -> None:
    proxy.fault("PUT", "/uploads/", corrupt_request=77, times=100)
    with pytest.raises(Refused, match="DIGEST_INVALID"):
        push_image(registries, SMALL, [place.proxied])
    assert place.is_untouched()


def test_a_damaged_source_never_reaches_the_registry_whole(
    proxy: Proxy, place: Place, registries: Registries, tmp_path: Path
) -> None:
    for number, image in enumerate((SMALL, LARGE)):
        folder = tmp_path / str(number)
        write_layout(image, folder)
        blob = folder / "blobs/sha256" / layer_of(image).removeprefix("sha256:")
        data = bytearray(blob.read_bytes())
        data[-1] ^= 1
        blob.chmod(0o644)
        blob.write_bytes(data)
        with pytest.raises(Untrusted, match="not what was promised"):
            push_image(registries, read_layout(folder), [place.proxied])
        assert not registries.repository(place.direct).has_blob(layer_of(image))
    assert place.is_untouched()


def test_a_source_of_another_size_is_refused(
    proxy: Proxy, place: Place, registries: Registries, tmp_path: Path
) -> None:
    with Store.open(tmp_path / "store") as store:
        store.add_image(SMALL)
        place_ = Path(store.blobs.place(layer_of(SMALL)))
        place_.chmod(0o644)
        place_.write_bytes(place_.read_bytes()[:-1])
        with pytest.raises(Untrusted, match="damaged"):
            push_image(registries, store.image(derive.digest(SMALL)), [place.proxied])
    assert place.is_untouched()


def test_a_redirected_upload_goes_there_without_our_name(
    proxy: Proxy, place: Place, connect: Connect
) -> None:
    class Ours:
        def header(self, url: str, scopes: object) -> str:
            return "Basic c2VjcmV0"

        def answer(self, *args: object, **more: object) -> None:
            return None

        def explain(self, *args: object) -> NetworkError:
            return NetworkError("no")

    blob = next(contents.blobs(SMALL))
    got: list[Asked] = []

    def take(asked: Asked) -> Answer:
        got.append(asked)
        return Answer(201)

    with serve() as other:
        other.on(f"/there?digest={blob.digest}", take)
        location = f"{other.url}/there"
        proxy.fault("POST", "/uploads/", status=202, headers={"Location": location})
        registries = connect(authorization=Ours())
        registries.repository(place.proxied)._uploader.put(blob)
        proxy.fault("POST", "/uploads/", status=202, headers={"Location": "/v2/here"})
        elsewhere = f"{location}?digest={blob.digest}"
        proxy.fault("PUT", "/v2/here", status=307, headers={"Location": elsewhere})
        registries.repository(place.proxied)._uploader.put(blob)
    assert [asked.headers["content-length"] for asked in got] == [str(blob.size)] * 2
    assert all("authorization" not in asked.headers for asked in got)
    assert all(p.headers["authorization"] == "Basic c2VjcmV0" for p in proxy.passed[-3:])


def test_a_registry_that_says_nothing_is_given_up_in_time(
    proxy: Proxy, place: Place, connect: Connect
) -> None:
    proxy.fault("GET", "/manifests/", status=200, headers={"Content-Length": "100"}, times=9)
    begun = time.monotonic()
    with pytest.raises(NetworkError):
        load_image(connect(stall=0.3), place.proxied)
    assert time.monotonic() - begun < 15


# Downloads


@pytest.fixture
def pushed(place: Place, connect: Connect) -> Place:
    push_image(connect(), LARGE, [place.direct])
    return place


def content(image: MemoryImage) -> bytes:
    with image.layers[0].compressed() as stream:
        return stream.read()


@pytest.mark.parametrize("polite", [False, True])
def test_a_download_that_breaks_off_goes_on_where_it_did(
    polite: bool, proxy: Proxy, pushed: Place, registries: Registries
) -> None:
    for cut in (5_000_000, 2_000_000, 0):
        proxy.fault("GET", "/blobs/", cut_answer=cut, polite=polite)
    with registries.repository(pushed.proxied).open_blob(layer_of(LARGE)) as stream:
        assert b"".join(iter(lambda: stream.read(1 << 20), b"")) == content(LARGE)
    asked = [p.headers.get("range") for p in proxy.passed if "/blobs/" in p.path]
    first, *offsets = [int((text or "bytes=0-")[6:-1]) for text in asked]
    assert first == 0
    if polite:
        assert offsets == [5_000_000, 7_000_000, 7_000_000]
    else:  # a reset may overtake what was sent before it
        assert offsets == sorted(offsets)
        assert 0 < offsets[0] <= 5_000_000


def test_a_registry_that_knows_no_ranges_gives_everything_again(
    proxy: Proxy, pushed: Place, registries: Registries
) -> None:
    proxy.fault("GET", "/blobs/", cut_answer=5_000_000)
    proxy.fault("GET", "/blobs/", drop_range=True)
    with registries.repository(pushed.proxied).open_blob(layer_of(LARGE)) as stream:
        assert b"".join(iter(lambda: stream.read(1 << 20), b"")) == content(LARGE)


def test_a_download_that_stalls_is_taken_up_again(
    proxy: Proxy, pushed: Place, connect: Connect
) -> None:
    proxy.fault("GET", "/blobs/", pause=3.0)
    with connect(stall=0.5).repository(pushed.proxied).open_blob(layer_of(LARGE)) as stream:
        assert b"".join(iter(lambda: stream.read(1 << 20), b"")) == content(LARGE)


def test_a_download_that_always_breaks_off_is_given_up(
    proxy: Proxy, pushed: Place, registries: Registries, tmp_path: Path
) -> None:
    proxy.fault("GET", layer_of(LARGE), cut_answer=100_000, times=100)
    image = load_image(registries, pushed.proxied)
    with pytest.raises(NetworkError, match="broke off after"):
        write_layout(image, tmp_path / "layout")
    assert not any(tmp_path.iterdir())
    assert proxy.count("GET", layer_of(LARGE)) < 10


@pytest.mark.parametrize("target", ["layout", "archive.tar", "store"])
def test_a_download_that_was_changed_is_not_kept(
    target: str, proxy: Proxy, pushed: Place, registries: Registries, tmp_path: Path
) -> None:
    proxy.fault("GET", layer_of(LARGE), corrupt_answer=12_345_678)
    image = load_image(registries, pushed.proxied)
    with Store.open(tmp_path / "store") as store:
        ways: dict[str, Callable[[], object]] = {
            "layout": lambda: write_layout(image, tmp_path / target, jobs=8),
            "archive.tar": lambda: write_archive(image, tmp_path / target, jobs=8),
            "store": lambda: store.add_image(image, jobs=8),
        }
        with pytest.raises(Untrusted):
            ways[target]()
        assert not store.has(layer_of(LARGE))
    assert {path.name for path in tmp_path.iterdir()} == {"store"}


def test_a_part_that_was_changed_is_found_out_although_it_was_asked_for_apart(
    proxy: Proxy, pushed: Place, registries: Registries
) -> None:
    proxy.fault("GET", "/blobs/", cut_answer=5_000_000)
    proxy.fault("GET", "/blobs/", corrupt_answer=10)
    with (
        registries.repository(pushed.proxied).open_blob(layer_of(LARGE)) as stream,
        pytest.raises(Untrusted),
    ):
        sha256_stream(stream)


def test_a_blob_that_is_announced_with_another_size_is_refused_at_once(
    proxy: Proxy, pushed: Place, registries: Registries
) -> None:
    headers = {"Content-Length": "123456789012"}
    proxy.fault("GET", layer_of(LARGE), status=200, headers=headers)
    image = load_image(registries, pushed.proxied)
    assert isinstance(image, Image)
    with pytest.raises(Untrusted, match="announced to have 123456789012 bytes"):
        image.layers[0].compressed()


@pytest.mark.parametrize("what", ["/manifests/1", "/blobs/"])
def test_documents_that_were_changed_are_refused(
    what: str, proxy: Proxy, pushed: Place, registries: Registries
) -> None:
    proxy.fault("GET", what, corrupt_answer=20)
    with pytest.raises(Untrusted):
        gather(registries, load_image(registries, pushed.proxied))


def test_a_blob_elsewhere_is_fetched_without_our_name_and_taken_up_at_the_registry(
    proxy: Proxy, pushed: Place, registries: Registries
) -> None:
    body = content(LARGE)
    with serve() as other:
        stored = other.on(
            "/stored", Answer(body=body, cut=1_000_000, polite=True), lambda a: part(body, a, {})
        )
        proxy.fault("GET", layer_of(LARGE), times=2, status=307, headers={"Location": stored})
        with registries.repository(pushed.proxied).open_blob(layer_of(LARGE)) as stream:
            assert b"".join(iter(lambda: stream.read(1 << 20), b"")) == body
        assert [asked.headers.get("range") for asked in other.asked] == [None, "bytes=1000000-"]
    assert proxy.count("GET", layer_of(LARGE)) == 2  # signed addresses expire


def test_a_registry_that_fails_once_is_asked_again(
    proxy: Proxy, pushed: Place, registries: Registries, tmp_path: Path
) -> None:
    for path in ("/manifests/", "/blobs/"):
        proxy.fault("GET", path, status=503)
        proxy.fault("GET", path, status=500)
    write_layout(load_image(registries, pushed.proxied), tmp_path / "layout", jobs=8)
    validate(read_layout(tmp_path / "layout"))


# Answers that are odd


def answer(web: Web, body: bytes, kind: str) -> Reference:
    web.on("/v2/", Answer(body=b"{}"))
    web.on("/v2/odd/manifests/1", Answer(body=body, headers={"Content-Type": kind}))
    return parse_reference(f"127.0.0.1:{web.port}/odd:1")


@pytest.fixture
def web() -> Iterator[Web]:
    with serve() as running_web:
        yield running_web


def test_schema_1_is_refused_with_the_next_step(web: Web, registries: Registries) -> None:
    body = b'{"schemaVersion":1,"name":"odd","fsLayers":[]}'
    kind = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    with pytest.raises(InputError, match="schema 1") as e:
        load_image(registries, answer(web, body, kind))
    assert "pull it with an old Docker" in str(e.value.problems[0].help)


def test_a_manifest_without_an_end_is_refused(web: Web, registries: Registries) -> None:
    with pytest.raises(Untrusted, match="larger than any manifest"):
        load_image(registries, answer(web, b"{" + b" " * (5 << 20), "application/json"))


def test_warnings_are_told_once(web: Web, connect: Connect) -> None:
    told: list[str] = []
    registries = connect(notice=told.append)
    reference = answer(web, SMALL.raw_manifest, SMALL.media_type)
    headers = {"Warning": '299 - "this repository \\"odd\\" will go"', "Content-Type": "x/y"}
    web.on("/v2/odd/manifests/2", Answer(404, headers=headers))
    for _ in range(3):
        assert registries.repository(reference).resolve("2") is None
    assert told == [f'{reference.registry} says: this repository "odd" will go']


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"errors":[{"code":"DENIED","message":"not yours"}]}', "403: DENIED not yours"),
        (b"<html>no</html>", "answers 403"),
        (b"go away", "403: go away"),
        (b'{"errors":null}', "answers 403"),
    ],
)
def test_refusals_are_told_in_the_words_of_the_registry(
    body: bytes, told: str, web: Web, registries: Registries
) -> None:
    reference = answer(web, b"", "")
    web.on("/v2/odd/manifests/1", Answer(403, body))
    with pytest.raises(NetworkError, match=told) as e:
        load_image(registries, reference)
    assert "imagist login" in str(e.value.problems[0].help)


@pytest.mark.parametrize(
    "told",
    [
        "the quota of 9 bytes leaves no room",
        "Quota exceeded when processing the request",
        "adding 2 MiB of storage will exceed the configured upper limit of 1 MiB",
    ],
)
def test_a_quota_is_told_without_a_word_of_credentials(
    told: str, web: Web, registries: Registries
) -> None:
    reference = answer(web, b"", "")
    body = b'{"errors":[{"code":"DENIED","message":"%s"}]}' % told.encode()
    web.on("/v2/odd/manifests/1", Answer(403, body))
    with pytest.raises(NetworkError, match=f"answers 403: DENIED {told}$") as e:
        load_image(registries, reference)
    assert "larger quota" in str(e.value.problems[0].help)


@pytest.mark.parametrize("name", ["1", "sha256:" + "0" * 64])
def test_a_server_that_is_no_registry(name: str, web: Web, registries: Registries) -> None:
    page = Answer(200, b"<!doctype html><p>Welcome", {"Content-Type": "text/html"})
    for path in (f"page/manifests/{name}", "page/tags/list?n=1000", "_catalog?n=1000"):
        web.on(f"/v2/{path}", page)
    host = f"127.0.0.1:{web.port}"
    repository = registries.repository(parse_reference(f"{host}/page"))
    for ask in (
        lambda: repository.resolve(name),
        lambda: list(repository.tags()),
        lambda: list(list_repositories(registries.session(host))),
    ):
        with pytest.raises(NetworkError, match=f"{host} does not answer as a registry does"):
            ask()


def test_a_repository_that_is_not_there_is_no_reason_to_wait(
    web: Web, registries: Registries, slept: list[float]
) -> None:
    reference = answer(web, b"", "")
    body = b'{"errors":[{"code":"NAME_UNKNOWN","message":"no such repository"}]}'
    web.on("/v2/odd/blobs/uploads/", Answer(404, body))
    blob = Blob(layer_of(LARGE), LARGE.layers[0].size, LARGE.layers[0].compressed, layer=True)
    with pytest.raises(NotFound, match="NAME_UNKNOWN") as e:
        registries.repository(reference)._uploader.put(blob)
    assert "made first" in str(e.value.problems[0].help)
    assert not slept
    assert web.count("/v2/odd/blobs/uploads/") == 1
