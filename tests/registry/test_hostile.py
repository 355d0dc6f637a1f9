"""Registries that mean harm: their answers are errors that end soon, and nothing of ours leaks."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable, Sequence
from contextlib import closing

import pytest

from fixtures.webserver import Answer, Asked, Web, serve
from imagist.digest import sha256
from imagist.errors import ImagistError, InputError, NetworkError, Untrusted
from imagist.net.url import origin_of
from imagist.oci import contents, derive, mediatype
from imagist.oci.contents import Blob
from imagist.oci.derive import MemoryImage, MemoryIndex
from imagist.oci.image import Image, Index
from imagist.oci.manifest import IndexManifest, encode
from imagist.oci.random import random_image
from imagist.oci.reference import parse_reference
from imagist.progress import SILENT
from imagist.registry.chunked import ChunkedUpload
from imagist.registry.client import Registries
from imagist.registry.copy import find_companions
from imagist.registry.push import push_image
from imagist.registry.repository import Repository
from imagist.registry.scope import Scope
from imagist.registry.session import join
from imagist.registry.source import gather, load_image
from imagist.registry.upload import LARGEST_CHUNK

Connect = Callable[..., Registries]


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("127.1", True), ("2130706433", True), ("0x7f000001", True), ("0177.0.0.1", True), ("0", True),
        ("10.1.2.3", True), ("169.254.169.254", True), ("100.100.100.200", True), ("[::1]", True),
        ("[::ffff:127.0.0.1]", True), ("[fe80::1]", True), ("localhost", True), ("a.localhost", True),
        ("8.8.8.8", False), ("example.org", False), ("dead.beef", False), ("[2600::1]", False),
    ],
)  # fmt: skip
def test_addresses_are_seen_through_their_spellings(host: str, inside: bool) -> None:
    assert origin_of(f"http://{host}:80/").is_inside == inside


@pytest.mark.parametrize(
    "location", ["http://[", "http://[x>", "http://a:999999999/", "http://a b/"]
)
def test_what_is_no_url_is_the_registrys_fault(location: str) -> None:
    with pytest.raises(NetworkError):
        join("https://registry.example/v2/", location)


class Nobody:
    """Sends a password to everybody who asks."""

    header_text = "Basic " + base64.b64encode(b"user:SECRETWORD").decode()

    def header(self, url: str, scopes: Sequence[Scope]) -> str:
        return self.header_text

    def answer(
        self,
        url: str,
        challenges: list[str],
        scopes: Sequence[Scope],
        *,
        refused: str | None = None,
    ) -> None:
        return None

    def explain(
        self, url: str, scopes: Sequence[Scope], said: ImagistError | None = None
    ) -> ImagistError:
        return said or NetworkError("no")


def test_what_was_sent_is_not_shown_though_it_comes_back(connect: Connect) -> None:
    def echo(asked: Asked) -> Answer:
        said = f"bad {asked.headers['authorization']} of user:SECRETWORD\nerror: fake"
        return Answer(400, json.dumps({"errors": [{"code": "X", "message": said}]}).encode())

    with serve() as web:
        web.on("/v2/", Answer(200))
        web.on("/v2/x/manifests/t", echo)
        repository = at(web, connect(authorization=Nobody()))
        with pytest.raises(NetworkError) as caught:
            repository.get_manifest("t")
    told = str(caught.value)
    assert "SECRETWORD" not in told
    assert Nobody.header_text.split()[1] not in told
    assert "***" in told
    assert "\n" not in told


def at(web: Web, registries: Registries, name: str = "x") -> Repository:
    return registries.repository(parse_reference(f"127.0.0.1:{web.port}/{name}:t"))


@pytest.mark.parametrize(
    "headers",
    [
        {"Link": '<http://[x>; rel="next"'},
        {"Link": '<ftp://x/y>; rel="next"'},
        {"Link": '</v2/x/tags/list?n=1000>; rel="next"'},
    ],
)
def test_lists_that_lead_nowhere_end(connect: Connect, headers: dict[str, str]) -> None:
    with serve() as web:
        web.on("/v2/", Answer(200))
        web.on("/v2/x/tags/list?n=1000", Answer(200, b'{"tags":["a"]}', headers))
        with pytest.raises(NetworkError):
            list(at(web, connect()).tags())


def test_lists_in_circles_end(connect: Connect) -> None:
    with serve() as web:
        web.on("/v2/", Answer(200))
        for here, there in (("?n=1000", "?b"), ("?b", "?c"), ("?c", "?b")):
            link = {"Link": f'</v2/x/tags/list{there}>; rel="next"'}
            web.on(f"/v2/x/tags/list{here}", Answer(200, b'{"tags":["a"]}', link))
        with pytest.raises(NetworkError, match="the next page"):
            list(at(web, connect()).tags())
        assert len(web.asked) < 8


def test_a_link_of_brackets_takes_no_time(connect: Connect) -> None:
    with serve() as web:
        web.on("/v2/", Answer(200))
        web.on("/v2/x/tags/list?n=1000", Answer(200, b'{"tags":["a"]}', {"Link": "<" * 60_000}))
        done = threading.Event()

        def ask() -> None:
            assert list(at(web, connect()).tags()) == ["a"]
            done.set()

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        assert done.wait(20)


def test_lengths_of_many_digits_are_none(connect: Connect) -> None:
    digits = {"Content-Length": "9" * 5000}
    with serve() as web:
        web.on("/v2/", Answer(200))
        web.on("/v2/x/manifests/t", Answer(200, b"", digits))
        web.on(f"/v2/x/blobs/sha256:{'0' * 64}", Answer(200, b"", digits))
        repository = at(web, connect())
        with pytest.raises((NetworkError, Untrusted, InputError)):
            repository.resolve("t")
        with (
            pytest.raises((NetworkError, Untrusted)),
            repository.open_blob(f"sha256:{'0' * 64}") as blob,
        ):
            blob.read()


def lattice(depth: int) -> Index:
    """Each index names the one below twice."""
    thing: Image | Index = random_image(1, layers=1)
    for _ in range(depth):
        item = derive.describe_image(thing)
        document = IndexManifest(schema_version=2, manifests=(item, item))
        thing = MemoryIndex(encode(document), {item.digest: thing})
    assert isinstance(thing, Index)
    return thing


class Opened:
    """Counts how often children are opened."""

    media_type = mediatype.INDEX

    def __init__(self, index: Index, counts: list[int]) -> None:
        self.raw_manifest = index.raw_manifest
        self._index = index
        self._counts = counts

    def child(self, descriptor: object) -> Image | Index:
        self._counts.append(1)
        found = self._index.child(descriptor)  # type: ignore[arg-type]
        return Opened(found, self._counts) if isinstance(found, Index) else found


def test_an_index_that_names_its_children_twice_is_walked_once() -> None:
    for walk in (contents.blobs, contents.manifests):
        counts: list[int] = []
        list(walk(Opened(lattice(8), counts)))
        assert len(counts) <= 16
        with pytest.raises(InputError, match="nested more than 8 deep"):
            list(walk(lattice(9)))


def test_gathering_looks_at_each_child_once(connect: Connect) -> None:
    counts: list[int] = []
    gather(connect(), Opened(lattice(8), counts))
    assert len(counts) == 8
    with pytest.raises(InputError, match="nested more than 8 deep"):
        gather(connect(), lattice(9))


class Endless:
    """Invents a referrer for each digest."""

    def referrers(self, digest: str) -> list[object]:
        return [derive.describe_image(MemoryImage(digest.encode(), b"{}"))]

    def tagged(self, tag: str) -> None:
        return None

    def load(self, digest: str) -> Image:
        return MemoryImage(digest.encode(), b"{}")


def test_referrers_of_referrers_have_an_end() -> None:
    with pytest.raises(InputError, match="no end of what refers"):
        find_companions(Endless(), random_image(1, layers=1))  # type: ignore[arg-type]


def test_a_registry_that_refuses_leaves_the_tags_of_another(connect: Connect) -> None:
    put: list[str] = []

    def take(asked: Asked) -> Answer:
        put.append(asked.path)
        return Answer(201, b"", {"Location": "/x"})

    image = random_image(3, layers=1)
    digest = derive.digest(image)
    with serve() as good, serve() as bad:
        for web, answer in ((good, take), (bad, Answer(403, b"{}"))):
            web.on("/v2/", Answer(200))
            for blob in contents.blobs(image):
                web.on(
                    f"/v2/x/blobs/uploads/?digest={blob.digest}",
                    Answer(201, b"", {"Location": "/x"}),
                )
            web.on(f"/v2/x/manifests/{digest}", Answer(404), answer)
            web.on("/v2/x/manifests/t", Answer(404), answer)
        names = [parse_reference(f"127.0.0.1:{web.port}/x:t") for web in (good, bad)]
        with pytest.raises(ImagistError):
            push_image(connect(), image, names)
    assert "/v2/x/manifests/t" not in put


LARGE = Blob(sha256(bytes(9 << 20)), 9 << 20, lambda: io.BytesIO(bytes(9 << 20)), layer=True)


def test_an_upload_of_which_more_arrived_than_there_is(connect: Connect) -> None:
    """It was passed over without end."""
    with serve() as web:
        uploader = at(web, connect())._uploader
        upload = ChunkedUpload(uploader, LARGE, "/u", 100_000_000_000, SILENT)
        with closing(upload), pytest.raises(NetworkError, match="bytes have arrived of"):
            upload.run()


@pytest.mark.parametrize("least", ["9" * 5000, "-1", "x", "999999999999"])
def test_no_chunk_is_as_large_as_a_registry_may_ask(connect: Connect, least: str) -> None:
    with serve() as web:
        web.on("/v2/", Answer(200))
        begun = Answer(202, headers={"Location": "/u", "OCI-Chunk-Min-Length": least})
        web.on("/v2/x/blobs/uploads/", begun)
        repository = at(web, connect())
        repository._uploader.begin()
        assert repository._uploader.chunk <= LARGEST_CHUNK


def test_a_layer_has_no_negative_size(connect: Connect) -> None:
    made = json.loads(random_image(1).raw_manifest)
    made["layers"][0]["size"] = -1
    raw = json.dumps(made).encode()
    with serve() as web:
        web.on("/v2/", Answer(200))
        web.on("/v2/x/manifests/t", Answer(200, raw, headers={"Content-Type": mediatype.MANIFEST}))
        with pytest.raises(InputError):
            derive.manifest(load_image(connect(), parse_reference(f"127.0.0.1:{web.port}/x:t")))  # type: ignore[arg-type]
