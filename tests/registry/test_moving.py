"""`imagist push`, `pull` and `copy` beside crane: the same digests, the same bytes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.artifacts import artifact
from fixtures.registries import running
from imagist.cli.main import main
from imagist.oci import derive
from imagist.oci.random import ARM64, random_image, random_index
from imagist.oci.referrer import fallback_tag
from imagist.oci.validate import validate
from imagist.store.archive import read_archive, write_archive
from imagist.store.layout import read_index, read_layout, write_layout
from support import find_tool, needs

pytestmark = needs("registry", "crane")
INDEX = random_index(70, layers=2, size=150_000)
IMAGE = random_image(80, layers=3, size=90_000)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running("registry", tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGIST_CACHE", str(tmp_path / "store"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run_words(*words: object, code: int = 0) -> str:
        capsys.readouterr()
        assert main([str(word) for word in words]) == code, capsys.readouterr().err
        out, err = capsys.readouterr()
        return out if code == 0 else err

    return run_words


def crane(*words: object) -> str:
    tool = find_tool("crane")
    assert tool
    done = subprocess.run(
        [tool, *map(str, words)], check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    write_layout(INDEX, tmp_path / "layout", names=["one"])
    return tmp_path / "layout"


def test_an_index_is_pushed_as_crane_pushes_it(
    layout: Path, host: str, run: Callable[..., str]
) -> None:
    digest = derive.digest(INDEX)
    assert run("push", layout, f"{host}/ours/index:1") == f"{host}/ours/index:1@{digest}\n"
    told = crane("push", "--index", layout, f"{host}/theirs/index:1")
    assert crane("manifest", f"{host}/ours/index:1").encode() == INDEX.raw_manifest
    assert crane("digest", f"{host}/ours/index:1").strip() == digest
    # crane pushes the layout's own index.json, which names the index; ours is what it names.
    assert told.startswith(f"{host}/theirs/index@sha256:")
    assert crane("validate", "--remote", f"{host}/ours/index:1").startswith("PASS")


def test_one_image_has_the_same_digest_from_both(
    tmp_path: Path, host: str, run: Callable[..., str]
) -> None:
    write_layout(IMAGE, tmp_path / "image")
    ours = run("push", tmp_path / "image", f"{host}/ours/image:1").strip()
    theirs = crane("push", tmp_path / "image", f"{host}/theirs/image:1").strip()
    assert ours.rpartition("@")[2] == theirs.rpartition("@")[2] == derive.digest(IMAGE)


def test_one_platform_is_pushed_alone(layout: Path, host: str, run: Callable[..., str]) -> None:
    run("push", layout, f"{host}/one/arm:1", "--platform", "arm64")
    chosen = {str(p): image for p, image in derive.images(INDEX)}[str(ARM64)]
    assert crane("digest", f"{host}/one/arm:1").strip() == derive.digest(chosen)


def test_all_named_images_of_a_layout_are_pushed(
    tmp_path: Path, host: str, run: Callable[..., str]
) -> None:
    folder = tmp_path / "many"
    for number in range(5):
        write_layout(random_image(90 + number), folder, names=[f"n{number}"])
    lines = run("push", folder, f"{host}/many/app", "--all-tags", "--image-refs", "refs")
    assert len(lines.splitlines()) == 5
    assert (tmp_path / "refs").read_text() == lines
    assert crane("ls", f"{host}/many/app").split() == [f"n{number}" for number in range(5)]


def test_an_archive_is_pushed_and_pulled(
    tmp_path: Path, host: str, run: Callable[..., str]
) -> None:
    write_archive(IMAGE, tmp_path / "a.tar", tags=["example.org/app:1"])
    run("push", tmp_path / "a.tar", f"{host}/archive/app:1")
    out = json.loads(run("pull", f"{host}/archive/app:1", "-o", "b.tar", "--json"))
    assert out == {
        "digest": derive.digest(IMAGE),
        "media_type": IMAGE.media_type,
        "output": "b.tar",
    }
    found = read_archive(tmp_path / "b.tar", f"{host}/archive/app:1")
    assert found.raw_manifest == IMAGE.raw_manifest
    validate(found)
    crane("push", "b.tar", f"{host}/archive/again:1")  # crane reads what we write
    assert crane("config", f"{host}/archive/again:1").encode() == IMAGE.raw_config


def test_a_layout_is_pulled_as_crane_pulls_it(
    layout: Path, tmp_path: Path, host: str, run: Callable[..., str]
) -> None:
    run("push", layout, f"{host}/pulled/index:1")
    assert run("pull", f"{host}/pulled/index:1", "ours", "--format", "oci").strip() == (
        derive.digest(INDEX)
    )
    crane("pull", "--format", "oci", f"{host}/pulled/index:1", "theirs")
    ours, theirs = (
        {file.name: file.read_bytes() for file in (tmp_path / side / "blobs" / "sha256").iterdir()}
        for side in ("ours", "theirs")
    )
    assert ours == theirs
    [item] = read_index(tmp_path / "ours")
    assert item.annotations == {"org.opencontainers.image.ref.name": "1"}
    validate(read_layout(tmp_path / "ours"))


def test_platforms_of_an_index_are_pulled_into_the_store(
    layout: Path, tmp_path: Path, host: str, run: Callable[..., str]
) -> None:
    run("push", layout, f"{host}/stored/index:1")
    digest = run("pull", f"docker://{host}/stored/index:1").strip()
    assert digest == derive.digest(INDEX)
    assert run("validate", digest)
    one = run("pull", f"{host}/stored/index:1", "--platform", "arm64").strip()
    assert one in {derive.digest(image) for _, image in derive.images(INDEX)}
    both = run(
        "pull", f"{host}/stored/index:1", "-o", "both", "--platform", "linux/arm64,linux/amd64"
    )
    assert both.strip() == digest  # nothing was left out, so nothing changed
    # What the store has is linked, not fetched.
    blob = derive.images(INDEX)[0][1].layers[0].digest.removeprefix("sha256:")
    assert (tmp_path / "both/blobs/sha256" / blob).samefile(tmp_path / "store/blobs/sha256" / blob)


def test_a_copy_is_what_crane_copies(layout: Path, host: str, run: Callable[..., str]) -> None:
    run("push", layout, f"{host}/source/index:1")
    digest = derive.digest(INDEX)
    told = run("copy", f"{host}/source/index:1", f"{host}/target/index:2")
    assert told == f"{host}/target/index:2@{digest}\n"
    crane("copy", f"{host}/source/index:1", f"{host}/target/crane:2")
    assert crane("manifest", f"{host}/target/index:2") == crane(
        "manifest", f"{host}/target/crane:2"
    )
    assert crane("validate", "--remote", f"{host}/target/index:2").startswith("PASS")


def test_copies_go_between_any_two_places(
    layout: Path, tmp_path: Path, host: str, run: Callable[..., str]
) -> None:
    digest = derive.digest(INDEX)
    run("copy", layout, f"{host}/places/a:1")
    assert run("copy", f"{host}/places/a:1", "copied/").strip() == digest
    assert run("copy", "copied", "copied.tar").strip() == digest
    assert run("copy", "copied.tar", "store:").strip() == digest
    assert run("copy", digest, f"{host}/places/b:1").strip().endswith(digest)
    assert run("copy", f"{host}/places/b:1", "oci:last").strip() == digest
    validate(read_layout(tmp_path / "last"))


def test_what_belongs_to_an_image_goes_through_files_and_back(
    layout: Path, tmp_path: Path, host: str, run: Callable[..., str]
) -> None:
    digest = derive.digest(INDEX)
    run("push", layout, f"{host}/beside/a:1")
    about = artifact(INDEX)
    write_layout(about, tmp_path / "about")
    run("push", "about", f"{host}/beside/a@{derive.digest(about)}")
    signature = fallback_tag(digest) + ".sig"
    write_layout(IMAGE, tmp_path / "signature")
    run("push", "signature", f"{host}/beside/a:{signature}")
    for place, next_ in (("there/", "b"), ("there.tar", "c")):
        run("copy", f"{host}/beside/a:1", place)
        run("validate", place)
        told = json.loads(run("copy", place, f"{host}/beside/{next_}:1", "--json"))
        assert told == [
            {"reference": f"{host}/beside/{next_}:1", "digest": digest, "companions": 2}
        ]
        assert crane("digest", f"{host}/beside/{next_}:{signature}").strip() == derive.digest(
            IMAGE
        )
        listed = json.loads(crane("manifest", f"{host}/beside/{next_}:{fallback_tag(digest)}"))
        assert [item["digest"] for item in listed["manifests"]] == [derive.digest(about)]
    told = json.loads(run("copy", "there", f"{host}/beside/d:1", "--no-referrers", "--json"))
    assert told[0]["companions"] == 0
    # The image is still what the layout means, and what docker and podman load of the archive.
    assert run("inspect", "there", "--json") == run("inspect", "there.tar", "--json")
    assert json.loads(run("inspect", "there", "--json"))["digest"] == digest


def test_a_filtered_copy_keeps_what_it_keeps(
    layout: Path, host: str, run: Callable[..., str]
) -> None:
    run("push", layout, f"{host}/filter/index:1")
    run("copy", f"{host}/filter/index:1", f"{host}/filter/arm:1", "--platform", "arm64")
    found = json.loads(crane("manifest", f"{host}/filter/arm:1"))
    assert "layers" in found
    assert run("copy", f"{host}/filter/index:1", f"{host}/x:1", "--platform", "s390x", code=3)


def test_all_tags_are_copied_and_none_is_moved_against_our_will(
    host: str, tmp_path: Path, run: Callable[..., str]
) -> None:
    for number in range(3):
        write_layout(random_image(60 + number), tmp_path / "tags", names=[f"v{number}"])
    run("push", "tags", f"{host}/all/source", "-a")
    run("push", "oci:tags:v0", f"{host}/all/target:v1")
    run("copy", "-a", "-n", f"{host}/all/source", f"{host}/all/target")
    assert crane("ls", f"{host}/all/target").split() == ["v0", "v1", "v2"]
    assert crane("digest", f"{host}/all/target:v1") == crane("digest", f"{host}/all/source:v0")
    for source in (f"{host}/all/source:v1", "oci:tags:v1"):  # crane's exit code, too
        run("copy", "-n", source, f"{host}/all/target:v1", code=1)
    assert crane("digest", f"{host}/all/target:v1") == crane("digest", f"{host}/all/source:v0")
    run("copy", "-a", f"{host}/all/source", f"{host}/all/target")
    assert crane("digest", f"{host}/all/target:v1") == crane("digest", f"{host}/all/source:v1")


def test_a_whole_repository_goes_into_a_layout_and_back(
    host: str, tmp_path: Path, run: Callable[..., str]
) -> None:
    for number in range(3):
        write_layout(random_image(40 + number), tmp_path / "some", names=[f"v{number}"])
    run("push", "some", f"{host}/whole/source", "-a")
    about = artifact(random_image(41))
    write_layout(about, tmp_path / "about")
    run("push", "about", f"{host}/whole/source@{derive.digest(about)}")
    assert len(run("copy", "-a", f"{host}/whole/source", "kept/").splitlines()) >= 3
    run("copy", "-a", "kept", f"{host}/whole/target")
    assert crane("ls", f"{host}/whole/target") == crane("ls", f"{host}/whole/source")
    for tag in ("v0", "v1", "v2", fallback_tag(derive.digest(random_image(41)))):
        assert crane("digest", f"{host}/whole/target:{tag}") == crane(
            "digest", f"{host}/whole/source:{tag}"
        )
    assert "holds one image" in run("copy", "-a", f"{host}/whole/source", "a.tar", code=2)
    assert "no layout folder" in run("copy", "-a", layout_file(tmp_path), f"{host}/x", code=2)


def layout_file(folder: Path) -> Path:
    write_archive(IMAGE, folder / "one.tar")
    return folder / "one.tar"


def test_registry_images_are_taken_wherever_an_image_is(
    layout: Path, host: str, run: Callable[..., str]
) -> None:
    run("push", layout, f"{host}/taken/index:1")
    assert run("validate", f"{host}/taken/index:1")
    assert "linux/arm64" in run("inspect", f"{host}/taken/index:1")
    run("diff", f"{host}/taken/index:1", layout)  # exit code 0: the same
    assert run("history", f"{host}/taken/index@{derive.digest(INDEX)}")


@pytest.mark.parametrize("name", ["nosuch.tar", "./a:b", "dir/nosuch", "out.d/image.tar"])
def test_a_misspelt_path_is_not_asked_for_in_a_registry(
    name: str, run: Callable[..., str]
) -> None:
    assert f"there is no image {name}" in run("inspect", name, code=3)


def test_what_is_not_there_is_told_with_the_next_step(host: str, run: Callable[..., str]) -> None:
    told = run("pull", f"{host}/no/such:1", code=3)
    assert f"GET http://{host}/v2/no/such/manifests/1: the registry answers 404" in told
    assert "MANIFEST_UNKNOWN" in told
    assert "help:" in told
    told = run("pull", "127.0.0.1:1/no/such:1", code=4)
    assert "cannot be reached" in told
    assert run("pull", f"{host}/no/such:1", "--offline", code=2)
