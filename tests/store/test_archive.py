from __future__ import annotations

import errno
import gzip
import io
import json
import os
import re
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from imagist.digest import sha256
from imagist.errors import InputError, NotFound, RequestError, Untrusted
from imagist.oci import derive
from imagist.oci.image import Image, Index
from imagist.oci.random import random_image, random_index
from imagist.oci.validate import validate
from imagist.store.archive import read_archive, write_archive
from imagist.store.store import Store
from support import needs

Run = Callable[..., str]

TAG = "example.org/app:v1"
THINGS = [random_image(1), random_index(1)]


@pytest.mark.parametrize("thing", THINGS)
@pytest.mark.parametrize("tags", [[], [TAG], [TAG, "other"]])
def test_what_is_read_is_what_was_written(
    tmp_path: Path, thing: Image | Index, tags: list[str]
) -> None:
    write_archive(thing, tmp_path / "a.tar", tags=tags)
    for name in ["", *tags]:
        back = read_archive(tmp_path / "a.tar", name)
        assert back.raw_manifest == thing.raw_manifest
        assert validate(back) == []
    assert os.listdir(tmp_path) == ["a.tar"]


def test_the_same_image_gives_the_same_bytes_from_memory_and_from_a_store(
    tmp_path: Path, store: Store
) -> None:
    index = random_index(1)
    write_archive(index, tmp_path / "one.tar", tags=[TAG])
    write_archive(store.image(store.add_image(index)), tmp_path / "two.tar", tags=[TAG])
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


@pytest.mark.parametrize("kernel_copies", [None, 0, 1000])
def test_it_is_the_same_whatever_part_the_kernel_copies(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, kernel_copies: int | None
) -> None:
    index = random_index(1)
    write_archive(index, tmp_path / "one.tar")
    copied: dict[int, int] = {}
    copy = os.copy_file_range

    def copy_some(source: int, target: int, size: int) -> int:
        """As much of every file as the kernel is said to copy."""
        if kernel_copies is None:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        left = kernel_copies - copied.get(os.fstat(source).st_ino, 0)
        done = copy(source, target, min(left, size)) if left else 0
        copied[os.fstat(source).st_ino] = kernel_copies - left + done
        return done

    image = store.image(store.add_image(index))
    monkeypatch.setattr(os, "copy_file_range", copy_some)
    write_archive(image, tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_every_file_is_there_once_with_no_time_and_no_owner(tmp_path: Path) -> None:
    write_archive(random_index(1), tmp_path / "a.tar", tags=[TAG])
    with tarfile.open(tmp_path / "a.tar") as archive:
        members = archive.getmembers()
    names = [member.name for member in members]
    assert len(set(names)) == len(names)
    assert names[2:5] == ["oci-layout", "index.json", "manifest.json"]
    assert {(m.mtime, m.uid, m.gid, m.uname) for m in members} == {(0, 0, 0, "")}
    sizes = [m.size for m in members if m.name.startswith("blobs/sha256/")]
    assert len(sizes) == 2 * (2 + 2) + 1


def test_of_an_index_docker_gets_each_platform_under_a_tag_of_its_own(tmp_path: Path) -> None:
    write_archive(random_index(1), tmp_path / "a.tar", tags=["app:v1"])
    with tarfile.open(tmp_path / "a.tar") as archive:
        entries = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
        names = set(archive.getnames())
    assert [entry["RepoTags"] for entry in entries] == [
        ["app:v1", "app:v1-amd64"],
        ["app:v1-arm64"],
    ]
    assert {entry["Config"] for entry in entries} | set(entries[0]["Layers"]) <= names


def test_a_wrong_tag_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(RequestError):
        write_archive(random_image(1), tmp_path / "a.tar", tags=["Not A Name"])
    assert os.listdir(tmp_path) == []


def test_an_archive_with_a_changed_layer_is_not_copied_on(tmp_path: Path) -> None:
    write_archive(random_image(1, size=5000), tmp_path / "a.tar")
    data = bytearray((tmp_path / "a.tar").read_bytes())
    data[-4000] ^= 1
    (tmp_path / "a.tar").write_bytes(data)
    assert validate(read_archive(tmp_path / "a.tar"))
    with pytest.raises(Untrusted):
        write_archive(read_archive(tmp_path / "a.tar"), tmp_path / "b.tar")
    assert os.listdir(tmp_path) == ["a.tar"]


def docker_save(file: Path, images: list[tuple[str, Image]], *, linked: bool = False) -> None:
    """An archive as `docker save` wrote it for ten years: plain layers, no OCI layout."""
    manifest = []
    with tarfile.open(file, "w") as archive:

        def add(name: str, data: bytes) -> None:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))

        for tag, image in images:
            config = f"{sha256(image.raw_config).hex}.json"
            add(config, image.raw_config)
            layers = []
            for layer in image.layers:
                import gzip

                with layer.compressed() as stream:
                    add(f"{layer.digest[7:]}/real.tar", gzip.decompress(stream.read()))
                name = f"{layer.digest[7:]}/{'layer' if linked else 'real'}.tar"
                if linked:
                    link = tarfile.TarInfo(name)
                    link.type, link.linkname = tarfile.SYMTYPE, f"../{layer.digest[7:]}/real.tar"
                    archive.addfile(link)
                layers.append(name)
            manifest.append({"Config": config, "RepoTags": [tag], "Layers": layers})
        add("manifest.json", json.dumps(manifest).encode())


@pytest.mark.parametrize("linked", [False, True])
def test_an_old_docker_archive_is_read(tmp_path: Path, linked: bool) -> None:
    image = random_image(1)
    docker_save(tmp_path / "a.tar", [("app:v1", image)], linked=linked)
    back = read_archive(tmp_path / "a.tar")
    assert not isinstance(back, Index)
    assert back.raw_config == image.raw_config
    assert [x.diff_id for x in back.layers] == [x.diff_id for x in image.layers]
    assert validate(back) == []


def test_of_several_images_one_is_chosen_by_its_name(tmp_path: Path) -> None:
    one, two = random_image(1), random_image(2)
    docker_save(tmp_path / "a.tar", [("app:1", one), ("app:2", two)])
    chosen = read_archive(tmp_path / "a.tar", "docker.io/library/app:2")
    assert not isinstance(chosen, Index)
    assert chosen.raw_config == two.raw_config
    with pytest.raises(InputError, match="several") as caught:
        read_archive(tmp_path / "a.tar")
    assert "app:1" in str(caught.value.problems[0].help)
    with pytest.raises(NotFound):
        read_archive(tmp_path / "a.tar", "app:3")


def test_several_platforms_become_an_index(tmp_path: Path) -> None:
    images = [(f"app:{p.architecture}", image) for p, image in derive.images(random_index(1))]
    docker_save(tmp_path / "a.tar", images)
    index = read_archive(tmp_path / "a.tar")
    assert isinstance(index, Index)
    assert [str(p) for p, _ in derive.images(index)] == ["linux/amd64", "linux/arm64"]
    assert validate(index) == []


@pytest.mark.parametrize("data", [b"", b"x" * 600, b"\x1f\x8b" + bytes(600)])
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(InputError):
        read_archive(tmp_path / "a.tar")
    with pytest.raises(NotFound):
        read_archive(tmp_path / "b.tar")


def test_a_pipe_is_told_to_become_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe or a device, and an archive is read more than"):
        read_archive(tmp_path / "pipe")


def test_a_compressed_archive_is_told_how_to_become_one(tmp_path: Path) -> None:
    write_archive(random_image(1), tmp_path / "a.tar")
    file = tmp_path / "a.tgz"
    file.write_bytes(gzip.compress((tmp_path / "a.tar").read_bytes()))
    with pytest.raises(InputError, match="is compressed") as caught:
        read_archive(file)
    [command] = re.findall("`(.*) > FILE`", str(caught.value.problems[0].help))
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=True)
    assert done.stdout == (tmp_path / "a.tar").read_bytes()


def test_a_tar_that_ends_too_early_is_refused(tmp_path: Path) -> None:
    write_archive(random_image(1, size=5000), tmp_path / "a.tar")
    data = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(data[:-6000])
    with pytest.raises(InputError, match="end of data"):
        read_archive(tmp_path / "a.tar")


@needs("crane")
def test_crane_validates_it(tmp_path: Path, run: Run) -> None:
    write_archive(random_image(1), tmp_path / "a.tar", tags=[TAG])
    assert "PASS" in run("crane", "validate", "--tarball", tmp_path / "a.tar")


@needs("skopeo")
@pytest.mark.parametrize("thing", THINGS)
def test_skopeo_reads_it_as_oci_archive(tmp_path: Path, run: Run, thing: Image | Index) -> None:
    write_archive(thing, tmp_path / "a.tar", tags=[TAG])
    found = run(
        "skopeo", "inspect", "--format", "{{.Digest}}", f"oci-archive:{tmp_path / 'a.tar'}"
    )
    assert found == derive.digest(thing)


@needs("skopeo")
def test_skopeo_reads_an_image_as_docker_archive_too_and_we_what_skopeo_writes(
    tmp_path: Path,
    run: Run,
) -> None:
    image = random_image(1)
    write_archive(image, tmp_path / "a.tar", tags=[TAG])
    source = f"docker-archive:{tmp_path / 'a.tar'}"
    run("skopeo", "copy", "-q", source, f"docker-archive:{tmp_path / 'b.tar'}:{TAG}")
    back = read_archive(tmp_path / "b.tar", TAG)
    assert not isinstance(back, Index)
    assert back.raw_config == image.raw_config
    assert validate(back) == []


@needs("podman")
@pytest.mark.parametrize("thing", THINGS)
def test_podman_loads_it_under_its_tag(tmp_path: Path, podman: Run, thing: Image | Index) -> None:
    write_archive(thing, tmp_path / "a.tar", tags=[TAG])
    assert TAG in podman("load", "-i", tmp_path / "a.tar")
