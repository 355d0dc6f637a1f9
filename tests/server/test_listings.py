"""Lists page by page, paths that mean nothing, and what a policy forbids."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from imagist.errors import InputError
from imagist.oci import derive, mediatype
from imagist.oci.random import random_image, random_index
from imagist.server.access import Access
from imagist.server.layout import LayoutSources
from imagist.server.metrics import Metrics, Seen
from imagist.server.registry import Policy, Registry
from imagist.store.layout import write_layout
from imagist.store.repositories import Repositories
from server.asking import Direct

TAGS = "/v2/team/app/tags/list"
NAMES = ["1.10", "1.9", "A", "_x", "a", "latest"]


@pytest.fixture
def tagged(ask: Direct) -> Direct:
    for tag in reversed(NAMES):
        ask.put_image("team/app", tag)
    return ask


def test_tags_are_in_order_of_their_bytes(tagged: Direct) -> None:
    assert tagged("GET", TAGS).json == {"name": "team/app", "tags": NAMES}


@pytest.mark.parametrize("size", [1, 2, 4, 6, 7])
def test_following_the_link_gives_every_tag_once(tagged: Direct, size: int) -> None:
    path, seen = f"{TAGS}?n={size}", []
    while path:
        answer = tagged("GET", path)
        seen.append(answer.json["tags"])
        path = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
    assert [tag for page in seen for tag in page] == NAMES
    assert all(len(page) == size for page in seen[:-1])
    assert seen[-1]


@pytest.mark.parametrize(
    ("query", "tags"),
    [
        ("last=1.9", NAMES[2:]),
        ("last=B", NAMES[3:]),
        ("last=zzz", []),
        ("n=0", []),
        ("last=", NAMES),
    ],
)
def test_parts_of_the_list(tagged: Direct, query: str, tags: list[str]) -> None:
    answer = tagged("GET", f"{TAGS}?{query}")
    assert answer.json["tags"] == tags
    assert "link" not in answer.headers


@pytest.mark.parametrize("n", ["x", "-1", "1.5", "", "9" * 5000])
def test_a_page_of_no_number(tagged: Direct, n: str) -> None:
    answer = tagged("GET", f"{TAGS}?n={n}")
    assert (answer.status, answer.code) == (400, "PAGINATION_NUMBER_INVALID")


def test_the_catalog(ask: Direct) -> None:
    assert ask("GET", "/v2/_catalog").json == {"repositories": []}
    for name in ("b", "a/b/c", "a/b", "a-b"):
        ask.put_image(name, "1")
    ask.put_blob("only/blobs", b"x")
    answer = ask("GET", "/v2/_catalog?n=3")
    assert answer.json["repositories"] == ["a-b", "a/b", "a/b/c"]
    assert answer.headers["link"] == '</v2/_catalog?n=3&last=a%2Fb%2Fc>; rel="next"'
    assert ask("GET", "/v2/_catalog?last=a/b/c").json["repositories"] == ["b"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/", "NOT_FOUND"),
        ("/v1/x", "NOT_FOUND"),
        ("/v2/x", "NOT_FOUND"),
        ("/v2/team/app/things/1", "NOT_FOUND"),
        ("/v2/team/app/manifests/", "NOT_FOUND"),
        ("/v2/Team/manifests/1", "NAME_INVALID"),
        ("/v2/a/../b/manifests/1", "NAME_INVALID"),
        ("/v2/_x/manifests/1", "NAME_INVALID"),
        (f"/v2/{'a' * 256}/manifests/1", "NAME_INVALID"),
        ("/v2//manifests/1", "NAME_INVALID"),
        ("/v2/a/_manifests/manifests/1", "NAME_INVALID"),
    ],
)
def test_paths_that_mean_nothing(ask: Direct, path: str, code: str) -> None:
    assert ask("GET", path).code == code


@pytest.mark.parametrize(
    "name", ["a/manifests", "a/blobs/uploads", "a/tags/list", "uploads", "v2"]
)
def test_names_that_look_like_paths(ask: Direct, name: str) -> None:
    digest = ask.put_image(name, "1", b"layer")
    assert ask("GET", f"/v2/{name}/manifests/1").headers["docker-content-digest"] == digest
    assert ask("GET", f"/v2/{name}/tags/list").json == {"name": name, "tags": ["1"]}
    assert ask("GET", "/v2/_catalog").json["repositories"] == [name]


def test_a_method_that_is_not_possible(ask: Direct) -> None:
    answer = ask("POST", "/v2/team/app/manifests/1")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, PUT, DELETE")


def test_read_only_takes_and_removes_nothing(tagged: Direct, repositories: Repositories) -> None:
    reader = Direct(Registry(repositories, Policy(Access(), read_only=True), Metrics()))
    for method, path in (
        ("POST", "/v2/team/app/blobs/uploads/"),
        ("PUT", "/v2/team/app/manifests/1"),
        ("DELETE", "/v2/team/app/manifests/a"),
    ):
        answer = reader(method, path, b"{}")
        assert (answer.status, answer.code) == (405, "UNSUPPORTED")
    assert reader("GET", TAGS).json["tags"] == NAMES


def test_a_quota(repositories: Repositories) -> None:
    ask = Direct(Registry(repositories, Policy(Access(), quota=10_000), Metrics()))
    ask.put_blob("team/app", b"x" * 6000)
    place = ask("POST", "/v2/team/app/blobs/uploads/").headers["location"]
    for body in (b"y" * 6000, iter([b"y" * 2000, b"y" * 4000])):
        answer = ask("PATCH", place, body)
        assert (answer.status, answer.code) == (403, "DENIED")
        assert "quota of 10000 bytes" in answer.json["errors"][0]["message"]
    assert ask("GET", place).code == "BLOB_UPLOAD_UNKNOWN"  # it would take up room for nothing
    time.sleep(1.1)  # what was given up is noticed by then
    ask.put_blob("team/other", b"z" * 3500)
    raw = json.dumps({"padding": "x" * 1000}).encode()
    kind = {"content-type": "application/x+json"}
    assert ask("PUT", "/v2/team/app/manifests/1", raw, kind).code == "DENIED"


def test_metrics(tagged: Direct) -> None:
    answer = tagged("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b"# TYPE imagist_request_seconds histogram" in answer.body


def test_methods_that_clients_make_up_are_counted_as_one() -> None:
    metrics = Metrics()
    for number in range(100):
        metrics.begin()
        metrics.end(Seen("other", f"MADE-UP-{number}", 401, 0, 0, 0.1))
    assert 'kind="other",method="other",status="401"} 100' in metrics.format()
    assert "MADE-UP" not in metrics.format()


class TestLayout:
    """An OCI layout is served as it is."""

    @pytest.fixture
    def reader(self, tmp_path: Path) -> Direct:
        folder = tmp_path / "My_Images"
        write_layout(random_index(1), folder, names=["1", "example.org/app:two"])
        write_layout(random_image(5), folder, names=["three"])
        return Direct(Registry(LayoutSources(folder), Policy(Access()), Metrics()))

    def test_its_names_are_tags(self, reader: Direct) -> None:
        assert reader("GET", "/v2/_catalog").json == {"repositories": ["my-images"]}
        assert reader("GET", "/v2/my-images/tags/list").json["tags"] == ["1", "three", "two"]
        assert reader("GET", "/v2/other/tags/list").code == "NAME_UNKNOWN"

    def test_everything_below_its_images_can_be_pulled(self, reader: Direct) -> None:
        index = reader("GET", "/v2/my-images/manifests/two")
        assert index.headers["docker-content-digest"] == derive.digest(random_index(1))
        for item in index.json["manifests"]:
            image = reader("GET", f"/v2/my-images/manifests/{item['digest']}")
            assert image.headers["content-type"] == mediatype.MANIFEST
            for blob in (image.json["config"], *image.json["layers"]):
                given = reader("GET", f"/v2/my-images/blobs/{blob['digest']}")
                assert (given.status, len(given.body)) == (200, blob["size"])

    @pytest.mark.parametrize("part", ["blobs/sha256/{}", "blobs/sha256", "blobs"])
    def test_links_lead_nowhere(self, tmp_path: Path, part: str) -> None:
        """A layout is somebody's; what is beside it on this machine is not."""
        image = random_image(5)
        write_layout(image, tmp_path / "it")
        blob = image.layers[0].digest
        link = tmp_path / "it" / part.format(blob.partition(":")[2])
        reader = Direct(Registry(LayoutSources(tmp_path / "it"), Policy(Access()), Metrics()))
        link.rename(tmp_path / "elsewhere")
        link.symlink_to(tmp_path / "elsewhere")
        assert reader("GET", f"/v2/it/blobs/{blob}").code == "BLOB_UNKNOWN"
        link.unlink()
        (tmp_path / "elsewhere").rename(link)
        assert reader("GET", f"/v2/it/blobs/{blob}").status == 200

    @pytest.mark.parametrize("name", ["index.json", "oci-layout"])
    def test_a_document_that_lies_elsewhere(self, tmp_path: Path, name: str) -> None:
        write_layout(random_image(5), tmp_path / "it")
        (tmp_path / "it" / name).rename(tmp_path / name)
        (tmp_path / "it" / name).symlink_to(tmp_path / name)
        with pytest.raises(InputError, match=name):
            LayoutSources(tmp_path / "it")

    def test_nothing_is_taken(self, reader: Direct) -> None:
        assert reader("POST", "/v2/my-images/blobs/uploads/").code == "UNSUPPORTED"
