"""The small verbs beside crane's: what they print, and what the registry holds afterwards."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.registries import free_port, running, started
from fixtures.serving import serving
from fixtures.webserver import Answer, Web, serve
from imagist.digest import sha256
from imagist.net.environment import Environment
from imagist.net.transport import HttpTransport
from imagist.oci import mediatype
from imagist.oci.contents import Blob
from imagist.oci.reference import parse_reference
from imagist.registry.client import Registries
from support import ROOT, find_tool, needs

pytestmark = needs("registry", "crane")


class Place:
    """A registry, and imagist and crane beside each other."""

    def __init__(self, host: str, home: Path) -> None:
        self.host = host
        self.repository = f"{host}/team/app"
        self.home = home
        self.environment = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "src"),
        }

    def imagist(self, *words: str, code: int = 0) -> bytes:
        return self.say(*words, code=code)[0]

    def say(self, *words: str, code: int = 0) -> tuple[bytes, str]:
        done = subprocess.run(
            [sys.executable, "-m", "imagist", *words],
            capture_output=True,
            timeout=60,
            env=self.environment,
            cwd=self.home,
        )
        said = done.stderr.decode()
        assert done.returncode == code, done.stdout.decode(errors="replace") + said
        assert "Traceback" not in said
        return done.stdout, said

    def crane(self, *words: str) -> bytes:
        tool = find_tool("crane")
        assert tool
        return subprocess.run(
            [tool, *words],
            capture_output=True,
            timeout=60,
            check=True,
            env=self.environment,
            cwd=self.home,
        ).stdout

    def digest(self, tag: str) -> str:
        return self.crane("digest", f"{self.repository}:{tag}").decode().strip()


def fill(place: Place) -> None:
    """`one` (amd64), `two` (arm64) and `both`, an index of them."""
    (place.home / "hello").write_text("hello\n" * 100_000)
    subprocess.run(["tar", "-cf", "layer.tar", "hello"], cwd=place.home, check=True)
    name = place.repository
    place.crane("append", "-f", "layer.tar", "-t", f"{name}:one")
    place.crane("mutate", "--set-platform", "linux/amd64", f"{name}:one", "-t", f"{name}:one")
    place.crane("mutate", "--set-platform", "linux/arm64", f"{name}:one", "-t", f"{name}:two")
    place.crane("index", "append", "-m", f"{name}:one", "-m", f"{name}:two", "-t", f"{name}:both")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A registry that nobody changes."""
    folder = tmp_path_factory.mktemp("names")
    with running("registry", folder / "registry") as host:
        here = Place(host, folder)
        fill(here)
        yield here


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Place]:
    """A registry to change."""
    with running("registry", tmp_path / "registry") as host:
        here = Place(host, tmp_path)
        fill(here)
        yield here


SAME = [
    "digest REPO:one",
    "digest REPO:both",
    "digest --full-ref REPO:both",
    "digest --platform linux/arm64 REPO:both",
    "digest --platform linux/amd64 --full-ref REPO:both",
    "manifest REPO:one",
    "manifest REPO:both",
    "manifest --platform linux/arm64 REPO:both",
    "config REPO:one",
    "config REPO:two",
    "config REPO:both",
    "config --platform linux/arm64 REPO:both",
    "ls REPO",
    "ls --full-ref REPO",
    "ls -O REPO",
    "catalog HOST",
    "catalog --full-ref HOST",
]


@pytest.mark.parametrize("line", SAME)
def test_the_answer_is_cranes_byte_by_byte(place: Place, line: str) -> None:
    words = line.replace("REPO", place.repository).replace("HOST", place.host).split()
    assert place.imagist(*words) == place.crane(*words) != b""


def test_a_digest_does_as_well_as_a_tag(place: Place) -> None:
    pinned = f"{place.repository}@{place.digest('both')}"
    for verb in ("digest", "manifest", "config"):
        assert place.imagist(verb, pinned) == place.crane(verb, pinned)
    assert place.imagist("digest", f"{place.repository}:one@{place.digest('both')}") == (
        place.imagist("digest", pinned)
    )


def test_a_blob_is_cranes(place: Place) -> None:
    manifest = json.loads(place.imagist("manifest", f"{place.repository}:one"))
    for item in (manifest["config"], *manifest["layers"]):
        name = f"{place.repository}@{item['digest']}"
        found = place.imagist("blob", name)
        assert found == place.crane("blob", name)
        assert f"sha256:{hashlib.sha256(found).hexdigest()}" == item["digest"]


def test_programs_read_json(place: Place) -> None:
    def ask(*words: str) -> object:
        return json.loads(place.imagist(*words, "--json"))

    digest, name = place.digest("both"), place.repository
    assert ask("digest", f"{name}:both") == {"digest": digest, "reference": f"{name}@{digest}"}
    assert ask("ls", name) == {"repository": name, "tags": ["both", "one", "two"]}
    assert ask("catalog", place.host) == {"registry": place.host, "repositories": ["team/app"]}
    assert ask("manifest", f"{name}:both") == json.loads(place.crane("manifest", f"{name}:both"))
    assert ask("config", f"{name}:one") == json.loads(place.crane("config", f"{name}:one"))


def test_images_elsewhere_are_asked_the_same_way(place: Place) -> None:
    name = f"{place.repository}:both"
    place.imagist("pull", name, "-o", "both.tar")
    place.imagist("pull", name, "-o", "layout")
    stored = place.imagist("pull", name).decode().strip()
    for verb in ("digest", "manifest", "config"):
        for words in ([], ["--platform", "arm64"]):
            said = place.imagist(verb, name, *words)
            for other in ("both.tar", "layout", stored):
                assert place.imagist(verb, other, *words) == said
    assert "no registry" in place.say("digest", "--full-ref", "layout", code=2)[1]


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("digest REPO:none", 3, "there is no"),
        ("digest --platform linux/s390x REPO:both", 3, "no image for `linux/s390x`"),
        ("digest --platform linux/arm64 REPO:one", 3, "no image for `linux/arm64`"),
        ("manifest REPO:none", 3, "MANIFEST_UNKNOWN"),
        ("config --platform arm64,amd64 REPO:both", 2, "one image is needed"),
        ("ls REPO:one", 2, "not the name of a repository"),
        ("ls HOST", 2, "imagist catalog HOST"),
        ("ls HOST/none", 3, "NAME_UNKNOWN"),
        ("ls REPO --offline", 2, "--offline"),
        ("catalog HOST/team", 2, "not the name of a registry"),
        ("blob REPO:one", 2, "names no blob"),
        ("blob REPO@sha256:" + 64 * "0", 3, "BLOB_UNKNOWN"),
        ("tag REPO:none x", 3, "MANIFEST_UNKNOWN"),
        ("tag REPO:one a/b", 2, "not a tag"),
        ("tag REPO:one REPO:x", 2, "imagist copy"),
        ("tag REPO:one", 2, "TAGS"),
        ("untag REPO", 2, "names no tag"),
        ("untag REPO:none", 3, "none"),
        ("delete REPO:none", 3, "none"),
        ("push layout REPO:1 --all-tags", 2, "REPO:1` is not the name of a repository"),
        ("tree REPO:none", 3, "MANIFEST_UNKNOWN"),
    ],
)
def test_what_is_wrong_is_said(place: Place, line: str, code: int, told: str) -> None:
    line, told = (
        text.replace("REPO", place.repository).replace("HOST", place.host) for text in (line, told)
    )
    answer, said = place.say(*line.split(), code=code)
    assert answer == b""
    assert told in said


# Changing


def test_tags_name_the_whole_index(own: Place) -> None:
    digest = own.digest("both")
    said = own.imagist("tag", f"{own.repository}:both", "1", "1.2", "latest").decode()
    assert said == "".join(f"{own.repository}:{tag}@{digest}\n" for tag in ("1", "1.2", "latest"))
    assert {own.digest(tag) for tag in ("1", "1.2", "latest", "both")} == {digest}
    own.imagist("tag", f"{own.repository}@{own.digest('one')}", "1")
    assert own.digest("1") == own.digest("one")
    own.crane("tag", f"{own.repository}:both", "cranes")
    assert own.digest("cranes") == digest
    listed = json.loads(own.imagist("tag", f"{own.repository}:both", "x", "--json"))
    assert listed == {"digest": digest, "references": [f"{own.repository}:x"]}


def test_untag_leaves_the_image(own: Place) -> None:
    digest = own.digest("both")
    own.imagist("tag", f"{own.repository}:both", "1", "2")
    assert own.imagist("untag", f"{own.repository}:1", f"{own.repository}:2") == b""
    assert own.imagist("ls", own.repository) == b"both\none\ntwo\n"
    assert own.digest("both") == digest


def test_delete_does_as_crane_does(own: Place) -> None:
    for tool, tag in ((own.imagist, "mine"), (own.crane, "cranes")):
        own.imagist("tag", f"{own.repository}:one", tag)
        assert tool("delete", f"{own.repository}:{tag}") == b""
    assert own.imagist("ls", own.repository) == b"both\none\ntwo\n"
    pinned = f"{own.repository}@{own.digest('both')}"
    assert json.loads(own.imagist("delete", pinned, "--json")) == {"deleted": [pinned]}
    assert own.imagist("ls", own.repository) == b"one\ntwo\n"
    assert own.say("digest", pinned, code=3)[0] == b""


@needs("docker-registry")
def test_a_registry_that_cannot_untag_is_told_to(tmp_path: Path) -> None:
    with running("docker-registry", tmp_path / "registry") as host:
        here = Place(host, tmp_path)
        fill(here)
        said = here.say("untag", f"{here.repository}:one", code=4)[1]
        assert "cannot remove a tag without its image" in said
        assert "imagist delete" in said
        assert here.imagist("ls", here.repository) == here.crane("ls", here.repository)
        assert here.digest("one")


def test_a_registry_that_is_read_only_says_so(tmp_path: Path) -> None:
    with serving(tmp_path / "store", "--read-only") as registry:
        here = Place(registry.address, tmp_path)
        for verb in ("untag", "delete"):
            said = here.say(verb, f"{here.repository}:one", code=4)[1]
            assert "this registry is read-only" in said
            assert "imagist delete" not in said


# Trees


def attach(place: Place, subject: str, kind: str) -> str:
    """Push a referrer of a tag or digest with imagist's client; its digest."""
    transport = HttpTransport(Environment(), anonymous=True)
    repository = Registries(transport).repository(parse_reference(f"{place.repository}:x"))
    found = repository.resolve(subject)
    assert found
    empty = b"{}"
    repository.put_blob(Blob(sha256(empty), 2, lambda: io.BytesIO(empty), layer=False))
    blank = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(empty), "size": 2}
    document = {
        "schemaVersion": 2,
        "mediaType": mediatype.MANIFEST,
        "artifactType": kind,
        "config": blank,
        "layers": [blank],
        "subject": {"mediaType": found.media_type, "digest": found.digest, "size": found.size},
    }
    raw = json.dumps(document).encode()
    digest = repository.put_manifest(raw, mediatype.MANIFEST)
    transport.close()
    return digest


def test_a_tree_has_platforms_referrers_and_what_cosign_tags(own: Place) -> None:
    index, one, two = own.digest("both"), own.digest("one"), own.digest("two")
    sbom = attach(own, one, "application/spdx+json")
    signature = attach(own, sbom, "application/vnd.dev.sigstore.bundle.v0.3+json")
    provenance = attach(own, index, "application/vnd.in-toto+json")
    tag = f"{index.replace(':', '-')}.sig"
    own.crane("tag", f"{own.repository}:two", tag)
    name = f"{own.repository}:both"
    lines = own.imagist("tree", name, "-v").decode().splitlines()
    assert lines == [
        f"{name} {index}",
        f"├─ linux/amd64 {one}",
        f"│  └─ application/spdx+json {sbom}",
        f"│     └─ application/vnd.dev.sigstore.bundle.v0.3+json {signature}",
        f"├─ linux/arm64 {two}",
        f"├─ application/vnd.in-toto+json {provenance}",
        f"└─ signature (application/vnd.docker.image.rootfs.diff.tar.gzip) {two}",
    ]
    tree = json.loads(own.imagist("tree", name, "--json"))
    assert tree["digest"] == index
    assert [item["platform"] for item in tree["manifests"]] == ["linux/amd64", "linux/arm64"]
    assert tree["manifests"][0]["referrers"][0]["artifactType"] == "application/spdx+json"
    assert [item.get("tag", "") for item in tree["referrers"]] == ["", tag]
    only = own.imagist(
        "tree", name, "-v", "--artifact-type", "application/vnd.dev.sigstore.bundle.v0.3+json"
    ).decode()
    assert sbom in only
    assert signature in only
    assert provenance not in only
    short = own.imagist("tree", name, "--platform", "linux/amd64").decode().splitlines()
    assert short[0] == f"{name} {one[:19]}"
    assert len(short) == 3


@contextlib.contextmanager
def any_registry(kind: str, folder: Path) -> Iterator[str]:
    """Distribution's registry, which has no referrers API, or our own, which has one."""
    if kind == "registry":
        with running("registry", folder / "registry") as host:
            yield host
        return
    host = f"127.0.0.1:{free_port()}"
    words = [sys.executable, "-m", "imagist", "serve", str(folder / "served"), "--listen", host]
    variables = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    with started(words, folder, f"http://{host}/v2/", variables):
        yield host


@needs("oras")
@pytest.mark.parametrize("kind", ["registry", "imagist"])
def test_oras_attaches_what_a_tree_shows(tmp_path: Path, kind: str) -> None:
    oras = find_tool("oras")
    assert oras
    with any_registry(kind, tmp_path) as host:
        here = Place(host, tmp_path)
        fill(here)
        name = f"{here.repository}:both"

        def run(*words: str) -> str:
            done = subprocess.run(
                [oras, *words], cwd=tmp_path, env=here.environment, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        for to in (name, f"{here.repository}:one"):
            run("attach", "--plain-http", "--artifact-type", "application/x-note", to, "hello")
        theirs = json.loads(run("discover", "--plain-http", "--format", "json", name))
        tree = json.loads(here.imagist("tree", name, "--json"))
        assert [x["digest"] for x in tree["referrers"]] == [theirs["referrers"][0]["digest"]]
        assert tree["referrers"][0]["annotations"] == theirs["referrers"][0]["annotations"]
        below = json.loads(
            run("discover", "--plain-http", "--format", "json", f"{here.repository}:one")
        )
        [found] = tree["manifests"][0]["referrers"]
        assert found["digest"] == below["referrers"][0]["digest"]


def test_a_tree_is_drawn_in_ascii_where_nothing_else_can_be_shown(place: Place) -> None:
    place.environment |= {"PYTHONIOENCODING": "ascii"}
    lines = place.imagist("tree", f"{place.repository}:both").decode().splitlines()
    del place.environment["PYTHONIOENCODING"]
    assert [line[:3] for line in lines[1:]] == ["|- ", "`- "]


# A registry that lies


@pytest.fixture
def web() -> Iterator[Web]:
    with serve() as running_:
        yield running_


@pytest.mark.parametrize("size", [0, 10, 3_000_000])
def test_the_last_bytes_of_a_damaged_blob_are_held_back(
    tmp_path: Path, web: Web, size: int
) -> None:
    right = os.urandom(size) + b"right"
    digest = f"sha256:{hashlib.sha256(right).hexdigest()}"
    web.on("/v2/", Answer())
    web.on(f"/v2/a/blobs/{digest}", Answer(body=right[:-5] + b"wrong"))
    here = Place(f"127.0.0.1:{web.port}", tmp_path)
    answer, said = here.say("blob", f"{here.host}/a@{digest}", code=3)
    assert "not what was promised" in said
    assert len(answer) < len(right)
    assert right.startswith(answer)
    web.on(f"/v2/a/blobs/{digest}", Answer(body=right))
    assert here.imagist("blob", f"{here.host}/a@{digest}") == right


def test_tags_steer_no_terminal(tmp_path: Path, web: Web) -> None:
    web.on("/v2/", Answer())
    web.on("/v2/a/tags/list?n=1000", Answer(body=b'{"tags": ["x\\u001b[31m\\n2"]}'))
    here = Place(f"127.0.0.1:{web.port}", tmp_path)
    said = here.imagist("ls", f"{here.host}/a")
    assert b"\x1b" not in said
    assert said.count(b"\n") == 1


def test_a_tag_leads_nowhere_else(tmp_path: Path, web: Web) -> None:
    """Not into the path of a request to the registry that a repository is copied to."""
    web.on("/v2/", Answer())
    web.on("/v2/a/tags/list?n=1000", Answer(body=b'{"tags": ["1", "../../b/manifests/1"]}'))
    here = Place(f"127.0.0.1:{web.port}", tmp_path)
    told = here.say("copy", "-a", f"{here.host}/a", f"{here.host}/c", code=4)[1]
    assert "which is no tag" in told
    assert not [asked for asked in web.asked if asked.path.startswith("/v2/b/")]


def test_a_registry_without_a_catalog_is_told(tmp_path: Path, web: Web) -> None:
    web.on("/v2/", Answer())
    here = Place(f"127.0.0.1:{web.port}", tmp_path)
    assert "tells nobody which repositories" in here.say("catalog", here.host, code=4)[1]
