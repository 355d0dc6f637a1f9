"""Which image of a layout is meant, and which of several places a word names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from build.commandline import Answer, run
from imagist.oci import derive
from imagist.oci.derive import MemoryIndex
from imagist.oci.image import Index
from imagist.oci.mutate import make_index
from imagist.oci.platform import parse_platform
from imagist.oci.random import random_image
from imagist.store.archive import read_archive
from imagist.store.layout import read_layout, read_named, write_layout


def two_platforms(seed: int) -> MemoryIndex:
    return make_index(
        [
            (parse_platform(arch), random_image(seed, platform=parse_platform(arch)))
            for arch in ("amd64", "arm64")
        ]
    )


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A layout with two images of two platforms each, in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGIST_CACHE", str(tmp_path / "cache"))
    for number in (1, 2):
        write_layout(two_platforms(number), tmp_path / "lay", names=[f"v{number}"])
    return tmp_path / "lay"


def refused(answer: Answer, *words: str) -> None:
    assert answer.code == 2, answer
    assert answer.out == ""
    for word in words:
        assert word in answer.err, answer.err


@pytest.mark.usefixtures("layout")
def test_one_of_several_images_must_be_named() -> None:
    for words in (
        ("digest", "lay"),
        ("push", "lay", "127.0.0.1:1/x:1"),
        ("copy", "lay", "./other/"),
        ("mutate", "lay", "-l", "a=b"),
        ("validate", "lay"),
    ):
        refused(run(*words), "holds several images", "v1, v2", "oci:lay:v1")
    assert run("digest", "oci:lay:v2").code == 0


@pytest.mark.usefixtures("layout")
def test_the_names_of_a_layout_are_listed(tmp_path: Path) -> None:
    assert run("ls", "lay").out == "v1\nv2\n"
    assert run("ls", "oci:lay", "--full-ref").out == "oci:lay:v1\noci:lay:v2\n"
    assert json.loads(run("ls", "lay", "--json").out) == {
        "repository": "oci:lay",
        "tags": ["v1", "v2"],
    }
    (tmp_path / "none").mkdir()
    for name in ("none", "oci:nowhere"):
        told = run("ls", name)
        assert (told.code, "is not an OCI layout" in told.err) == (3, True)


def test_the_images_of_an_index_may_be_listed_too(layout: Path, tmp_path: Path) -> None:
    """As oras leaves it; and apko, whose layouts list nothing else."""
    index = two_platforms(1)
    write_layout(index, tmp_path / "oras", names=["1"])
    for _, image in derive.images(index):
        write_layout(image, tmp_path / "oras", names=[])
    assert derive.digest(read_layout(tmp_path / "oras")) == derive.digest(index)
    document = (tmp_path / "oras" / "index.json").read_bytes()
    (tmp_path / "oras" / "index.json").write_bytes(index.raw_manifest)
    found = read_layout(tmp_path / "oras")
    assert isinstance(found, Index)
    assert document != index.raw_manifest
    assert [str(platform) for platform, _ in derive.images(found)] == [
        "linux/amd64",
        "linux/arm64",
    ]
    assert layout.is_dir()


@pytest.mark.usefixtures("layout")
def test_an_edit_in_place_keeps_the_name() -> None:
    edited = run("mutate", "oci:lay:v1", "-l", "team=web", "-o", "lay")
    assert edited.code == 0, edited.err
    named = read_named(Path("lay"))
    assert list(named) == ["v2", "v1"]
    assert edited.out == f"{derive.digest(named['v1'])}\n"


@pytest.mark.usefixtures("layout")
def test_a_target_may_say_what_it_is() -> None:
    assert run("copy", "oci:lay:v1", "oci:new:one").code == 0
    assert list(read_named(Path("new"))) == ["one"]
    assert run("copy", "oci:lay:v1", "oci-archive:new.bin:one").code == 0
    assert derive.digest(read_archive(Path("new.bin"), "one")) == derive.digest(
        read_layout(Path("lay"), "v1")
    )
    assert not Path("oci:new:one").exists()
    told = run("copy", "oci:lay:v2", "oci:new:one")
    assert told.code == 0
    assert "`one` in new was sha256:" in told.err


@pytest.mark.usefixtures("layout")
def test_what_could_be_meant_otherwise_is_refused() -> None:
    refused(run("copy", "oci:lay:v1", "out"), "docker.io/library/out", "./out")
    refused(run("copy", "oci:lay:v1", "team/out"), "docker.io/team/out")
    refused(run("copy", "oci:lay:v1", "dir:out"), "does not write to `dir:`")
    refused(run("copy", "oci:lay:v1", "localhost:1/"), "looks like a name in a registry")
    refused(run("pull", "127.0.0.1:1/a:1", "127.0.0.1:1/a:1"), "looks like a name in a registry")
    refused(run("copy", "-a", "127.0.0.1:1/a:1", "./out/"), "is not the name of a repository")
    assert not Path("out").exists()


@pytest.mark.usefixtures("layout")
def test_a_file_does_not_take_the_place_of_a_folder(tmp_path: Path) -> None:
    """Not through a symlink either: images have /bin -> usr/bin."""
    usr = tmp_path / "tree" / "usr" / "bin"
    usr.mkdir(parents=True)
    (usr / "sh").write_text("x")
    (tmp_path / "tree" / "bin").symlink_to("usr/bin")
    (tmp_path / "tool").write_text("tool")
    assert run("append", "-f", "tree:/", "-o", "base").code == 0
    wrong = run("append", "base", "-f", "tool:/bin", "-o", "new")
    assert wrong.code == 3
    assert "/bin is a folder in the image" in wrong.err
    assert run("append", "base", "-f", "tool:/bin/", "-o", "new").code == 0
    (tmp_path / "l.tar.bz2").write_bytes(b"BZh9")
    wrong = run("append", "base", "-f", "l.tar.bz2", "-o", "new")
    assert wrong.code == 3
    assert "compressed as no layer can be" in wrong.err


def test_a_lock_of_files_alone(layout: Path, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    (tmp_path / "image.yaml").write_text(
        "contents: {}\narchs: [amd64]\nfiles: [{path: /f, source: ./f}]\n"
    )
    locked = run("lock", "image.yaml")
    assert locked.code == 0, locked.err
    assert run("lock", "image.yaml", "--check").code == 0
    built = run("build", "image.lock.json")
    assert built.code == 0, built.err
    assert built.out == run("build", "image.yaml").out
    assert layout.is_dir()


@pytest.mark.parametrize(
    ("word", "says"),
    [("new:v1", "`oci:new:v1` or `-o new -t v1`"), ("new.zip", "ends in .tar"), ("n.tgz", ".tar")],
)
@pytest.mark.usefixtures("layout")
def test_what_is_probably_meant_otherwise_is_asked_for(word: str, says: str) -> None:
    refused(run("mutate", "oci:lay:v1", "-l", "a=b", "-o", word), says)
    assert not Path(word).exists()
