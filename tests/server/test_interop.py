"""The clients that people have push to `imagist serve` and pull from it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.engines import running_docker, running_podman
from fixtures.serving import Serving, serving
from imagist.oci import derive
from imagist.oci.random import random_image, random_index
from imagist.store.archive import write_archive
from imagist.store.layout import read_layout, write_layout
from imagist.store.store import Store
from realworld.tools import imagist, run
from server.asking import Asker
from support import needs

INDEX = random_index(7, layers=3, size=200_000)
DIGEST = derive.digest(INDEX)


@pytest.fixture(scope="module")
def registry() -> Iterator[Serving]:
    with serving() as running:
        yield running


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """An index of two platforms."""
    write_layout(INDEX, tmp_path / "layout", names=["1"])
    return tmp_path / "layout"


@pytest.fixture
def state() -> Iterator[Path]:
    """A folder with a short name, since sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="i", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def check_copy(folder: Path) -> None:
    """The layout that a client pulled holds the index, whole."""
    copied = read_layout(folder)
    assert derive.digest(copied) == DIGEST


@needs("crane")
def test_crane(registry: Serving, layout: Path, tmp_path: Path) -> None:
    name = f"{registry.address}/team/crane"
    pushed = run("crane", "push", "--index", layout, f"{name}:1")  # index.json, as an index
    digest = pushed.rpartition("@")[2]
    assert run("crane", "digest", f"{name}:1") == digest
    run("crane", "tag", f"{name}:1", "2")
    assert run("crane", "ls", name).split() == ["1", "2"]
    assert "team/crane" in run("crane", "catalog", registry.address).split()
    run("crane", "validate", "--remote", f"{name}:2")
    run("crane", "pull", "--format", "oci", f"{name}:2", tmp_path / "copy")
    run("crane", "copy", f"{name}:1", f"{registry.address}/team/mounted:1")
    assert run("crane", "digest", f"{registry.address}/team/mounted:1") == digest
    run("crane", "delete", f"{name}@{digest}")
    assert run("crane", "ls", name) == ""


@needs("skopeo")
def test_skopeo(registry: Serving, layout: Path, tmp_path: Path) -> None:
    name = f"docker://{registry.address}/team/skopeo:1"
    copy = ("skopeo", "--insecure-policy", "copy", "-q", "--all", "--preserve-digests")
    run(*copy, "--dest-tls-verify=false", f"oci:{layout}:1", name)
    run(*copy, "--src-tls-verify=false", name, f"oci:{tmp_path}/copy:1")
    check_copy(tmp_path / "copy")
    told = json.loads(run("skopeo", "inspect", "--tls-verify=false", name))
    assert told["RepoTags"] == ["1"]
    run("skopeo", "delete", "--tls-verify=false", name)


@needs("oras")
def test_oras(registry: Serving, layout: Path, tmp_path: Path) -> None:
    name = f"{registry.address}/team/oras"
    run("oras", "cp", "--from-oci-layout", f"{layout}:1", "--to-plain-http", f"{name}:1")
    (tmp_path / "note.txt").write_text("no word too many")
    attach = ("oras", "attach", "--plain-http", "--artifact-type", "text/plain", f"{name}:1")
    run(*attach, "note.txt:text/plain", cwd=tmp_path)
    tree = run("oras", "discover", "--plain-http", "--format", "json", f"{name}:1")
    assert [item["artifactType"] for item in json.loads(tree)["referrers"]] == ["text/plain"]
    run(
        "oras",
        "cp",
        "-r",
        "--from-plain-http",
        f"{name}:1",
        "--to-oci-layout",
        f"{tmp_path}/copy:1",
    )
    assert any(
        item["digest"] == DIGEST
        for item in json.loads((tmp_path / "copy" / "index.json").read_text())["manifests"]
    )
    with Asker(registry.address) as ask:  # natively, so without a tag that stands in
        assert ask("GET", "/v2/team/oras/tags/list").json["tags"] == ["1"]


@needs("regctl")
def test_regctl(registry: Serving, layout: Path, tmp_path: Path) -> None:
    name = f"{registry.address}/team/regctl"
    plain = ("regctl", "--host", f"reg={registry.address},tls=disabled")
    run(*plain, "image", "copy", f"ocidir://{layout}:1", f"{name}:1")
    run(*plain, "image", "copy", f"{name}:1", f"ocidir://{tmp_path}/copy:1")
    check_copy(tmp_path / "copy")
    run(*plain, "image", "mod", f"{name}:1", "--create", f"{name}:2", "--annotation", "a=b")
    run(*plain, "image", "mod", f"{name}:1", "--create", f"{name}:512", "--digest-algo", "sha512")
    digest = run(*plain, "image", "digest", f"{name}:512")
    assert digest.startswith("sha512:")
    assert run(*plain, "manifest", "get", f"{name}@{digest}", "--format", "raw-body")
    run(*plain, "tag", "delete", f"{name}:2")
    assert run(*plain, "tag", "ls", name).split() == ["1", "512"]


@needs("podman", "runc")
def test_podman(registry: Serving, layout: Path, state: Path) -> None:
    name = f"{registry.address}/team/podman:1"
    with running_podman(state) as podman:
        podman("pull", "-q", f"oci:{layout}:1")
        (image,) = podman("images", "-q", "--no-trunc").split()
        podman("push", "-q", "--tls-verify=false", image, name)
        podman("rmi", "--force", image)
        pulled = podman("pull", "-q", "--tls-verify=false", name)
        assert pulled == image.removeprefix("sha256:")


@needs("dockerd", "docker")
def test_docker(registry: Serving, tmp_path: Path, state: Path) -> None:
    name = f"{registry.address}/team/docker:1"
    write_archive(random_image(9, size=100_000), tmp_path / "i.tar", tags=[name])
    with running_docker(state / "docker") as docker:
        docker("load", "-q", "-i", tmp_path / "i.tar")
        image = docker("images", "-q", "--no-trunc", name)
        docker("push", "-q", name)
        docker("rmi", name)
        docker("pull", "-q", name)
        assert docker("images", "-q", "--no-trunc", name) == image
    with Asker(registry.address) as ask:
        answer = ask("GET", "/v2/team/docker/manifests/1")
        assert answer.json["config"]["digest"] == image


def test_imagist_sends_nothing_that_the_registry_was_built_beside(tmp_path: Path) -> None:
    """The layers are in the store that is served, so the repository gets them by mounting."""
    image = random_image(11, layers=3, size=3 << 20)
    store = tmp_path / "store"
    with Store.open(store) as opened:
        digest = opened.add_image(image)
    with serving(store) as registry:
        imagist("push", digest, f"{registry.address}/team/app:1", cache=store)
        registry.stop()
        asked = registry.requests()
    assert {line["status"] for line in asked if "mount=" in line.get("query", "")} == {201}
    assert sum(line["received"] for line in asked) < 100_000


def test_imagist(registry: Serving, layout: Path, tmp_path: Path) -> None:
    name = f"{registry.address}/team/imagist"
    pushed = imagist("push", layout, f"{name}:1", cache=tmp_path / "cache")
    assert pushed.endswith(f"@{DIGEST}")
    imagist("pull", f"{name}:1", "-o", tmp_path / "copy", cache=tmp_path / "other")
    check_copy(tmp_path / "copy")
