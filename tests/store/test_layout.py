from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagist.errors import NotFound, RequestError, Untrusted
from imagist.oci import contents, derive
from imagist.oci.image import Image, Index
from imagist.oci.random import ARM64, random_image, random_index
from imagist.oci.validate import validate
from imagist.store import output, unfinished
from imagist.store.layout import LayoutSource, read_index, read_layout, write_layout
from imagist.store.store import Store
from support import find_tool, needs

Run = Callable[..., str]

THINGS = [random_image(1), random_index(1)]


def contents_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("thing", THINGS)
def test_what_is_read_is_what_was_written(tmp_path: Path, thing: Image | Index) -> None:
    write_layout(thing, tmp_path / "out")
    back = read_layout(tmp_path / "out")
    assert back.raw_manifest == thing.raw_manifest
    assert validate(back) == []


def test_the_folder_holds_what_the_specification_says_and_nothing_more(tmp_path: Path) -> None:
    image = random_image(1, layers=1)
    write_layout(image, tmp_path / "out", names=["v1"])
    files = contents_of(tmp_path / "out")
    assert files.pop("oci-layout") == b'{"imageLayoutVersion":"1.0.0"}'
    index = json.loads(files.pop("index.json"))
    assert index["mediaType"] == "application/vnd.oci.image.index.v1+json"
    [item] = index["manifests"]
    assert item["annotations"] == {"org.opencontainers.image.ref.name": "v1"}
    assert item["platform"] == {"architecture": "amd64", "os": "linux"}
    assert len(files) == 3
    assert os.listdir(tmp_path) == ["out"]


def test_the_same_image_gives_the_same_bytes_from_memory_and_from_a_store(
    tmp_path: Path, store: Store
) -> None:
    index = random_index(1)
    write_layout(index, tmp_path / "one")
    write_layout(store.image(store.add_image(index)), tmp_path / "two")
    assert contents_of(tmp_path / "one") == contents_of(tmp_path / "two")


def test_blobs_of_a_store_are_linked_or_copied_as_asked(tmp_path: Path, store: Store) -> None:
    image = store.image(store.add_image(random_image(1)))
    layer = random_image(1).layers[0].digest
    name = Path("blobs/sha256") / layer.removeprefix("sha256:")
    write_layout(image, tmp_path / "linked")
    write_layout(image, tmp_path / "copied", link=False)
    assert (tmp_path / "linked" / name).samefile(store.path(layer))
    assert not (tmp_path / "copied" / name).samefile(store.path(layer))
    assert contents_of(tmp_path / "linked") == contents_of(tmp_path / "copied")
    (tmp_path / "copied" / name).write_bytes(b"mine")
    assert validate(image) == []


def test_on_another_file_system_blobs_are_copied(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "copy_file_range", refuse)
    write_layout(store.image(store.add_image(random_image(1))), tmp_path / "out")
    assert validate(read_layout(tmp_path / "out")) == []


def test_what_is_no_layout_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(RequestError, match="not empty"):
        write_layout(random_image(1), tmp_path)
    assert os.listdir(tmp_path) == ["notes"]
    with pytest.raises(RequestError):
        write_layout(random_image(1), tmp_path / "notes")


def test_an_empty_folder_and_missing_parents_will_do(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_layout(random_image(1), tmp_path / "empty")
    write_layout(random_image(1), tmp_path / "a" / "b" / "c")
    assert validate(read_layout(tmp_path / "a" / "b" / "c")) == []


def test_an_image_under_another_name_stays_and_the_nameless_one_is_replaced(
    tmp_path: Path,
) -> None:
    one, two, three = (random_image(n) for n in (1, 2, 3))
    write_layout(one, tmp_path / "out", names=["one"])
    write_layout(two, tmp_path / "out")
    write_layout(three, tmp_path / "out")
    assert [item.digest for item in read_index(tmp_path / "out")] == [
        derive.digest(one),
        derive.digest(three),
    ]
    write_layout(two, tmp_path / "out", names=["one"])
    assert read_layout(tmp_path / "out", "one").raw_manifest == two.raw_manifest
    with pytest.raises(NotFound, match="four") as caught:
        read_layout(tmp_path / "out", "four")
    assert "one" in str(caught.value.problems[0].help)


def add_to_layout(folder: str, number: int) -> None:
    write_layout(random_image(number), Path(folder), names=[str(number)])


def test_processes_that_add_to_one_layout_lose_no_name(tmp_path: Path) -> None:
    write_layout(random_image(0), tmp_path / "out", names=["0"])
    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=add_to_layout, args=(tmp_path / "out", n)) for n in range(1, 6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for number in range(6):
        assert validate(read_layout(tmp_path / "out", str(number))) == []


def test_a_layer_that_is_another_one_leaves_no_layout(tmp_path: Path) -> None:
    write_layout(random_image(1), tmp_path / "bad")
    place = tmp_path / "bad/blobs/sha256" / random_image(1).layers[0].digest[7:]
    place.chmod(0o644)
    place.write_bytes(bytes(place.stat().st_size))
    with pytest.raises(Untrusted):
        write_layout(read_layout(tmp_path / "bad"), tmp_path / "out")
    assert os.listdir(tmp_path) == ["bad"]


def test_a_blob_cut_short_in_an_existing_layout_is_written_again(tmp_path: Path) -> None:
    image = random_image(1)
    write_layout(image, tmp_path / "out")
    for digest in (image.layers[0].digest, derive.manifest(image).config.digest):
        place = tmp_path / "out/blobs/sha256" / digest[7:]
        place.chmod(0o644)
        place.write_bytes(b"torn")
    write_layout(image, tmp_path / "out")
    assert validate(read_layout(tmp_path / "out")) == []


def test_rests_of_a_killed_writer_are_removed_and_those_of_a_living_one_stay(
    tmp_path: Path,
) -> None:
    (tmp_path / ".out.imagist-000000000000" / "blobs").mkdir(parents=True)
    (tmp_path / ".other.imagist-000000000000").mkdir()
    write_layout(random_image(1), tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == [".other.imagist-000000000000", "out"]


def test_a_layout_as_apko_writes_it_is_its_own_index(tmp_path: Path) -> None:
    index = random_index(1)
    write_layout(index, tmp_path / "out")
    (tmp_path / "out" / "index.json").write_bytes(index.raw_manifest)
    back = read_layout(tmp_path / "out")
    assert derive.digest(back) == derive.digest(index)
    assert validate(back) == []


def test_a_missing_layout_or_blob_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_layout(tmp_path)
    image = random_image(1)
    write_layout(image, tmp_path / "out")
    place = tmp_path / "out/blobs/sha256" / image.layers[0].digest[7:]
    place.unlink()
    with pytest.raises(NotFound):
        LayoutSource(tmp_path / "out").open_blob(image.layers[0].digest)


@needs("skopeo")
@pytest.mark.parametrize("thing", THINGS)
def test_skopeo_copies_it_whole(tmp_path: Path, run: Run, thing: Image | Index) -> None:
    write_layout(thing, tmp_path / "in")
    run(
        "skopeo", "copy", "--quiet", "--all", f"oci:{tmp_path / 'in'}", f"oci:{tmp_path / 'out'}:x"
    )
    back = read_layout(tmp_path / "out", "x")
    assert derive.digest(back) == derive.digest(thing)


@needs("umoci")
def test_umoci_unpacks_it_by_its_name(tmp_path: Path, run: Run) -> None:
    write_layout(random_image(1), tmp_path / "in", names=["v1"])
    run("umoci", "unpack", "--rootless", "--image", f"{tmp_path / 'in'}:v1", tmp_path / "out")
    assert len(os.listdir(tmp_path / "out" / "rootfs")) == 2


@needs("podman")
@pytest.mark.parametrize("thing", THINGS)
def test_podman_takes_it(tmp_path: Path, podman: Run, thing: Image | Index) -> None:
    write_layout(thing, tmp_path / "in")
    identity = podman("pull", "-q", f"oci:{tmp_path / 'in'}")
    if isinstance(thing, Index):
        configs = [derive.manifest(image).config.digest for _, image in derive.images(thing)]
    else:
        configs = [derive.manifest(thing).config.digest]
    assert f"sha256:{identity}" in configs


@needs("crane")
@pytest.mark.parametrize("thing", [*THINGS, random_index(4, platforms=[ARM64])])
def test_crane_pushes_it_under_the_same_digest(
    tmp_path: Path, run: Run, thing: Image | Index
) -> None:
    write_layout(thing, tmp_path / "in")
    crane = find_tool("crane") or "crane"
    registry = subprocess.Popen(
        [crane, "registry", "serve", "--address", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True
    )
    try:
        assert registry.stderr is not None
        address = f"127.0.0.1:{registry.stderr.readline().split()[-1]}"
        pushed = run("crane", "push", tmp_path / "in", f"{address}/a:x")
        assert pushed.endswith(derive.digest(thing))
        run("crane", "validate", "--remote", f"{address}/a:x")
    finally:
        registry.terminate()
        registry.communicate()


@pytest.mark.parametrize("begun", [output.temporary_file, output.temporary_folder])
def test_who_looks_for_rests_may_take_what_is_just_being_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: Callable[..., Any]
) -> None:
    """Between making a temporary and locking it there is a moment; then it is made once more."""
    make = unfinished.begin
    taken: list[str] = []

    def begin(path: str, *rest: Any) -> int:
        descriptor = make(path, *rest)
        if len(taken) < 2:
            taken.append(path)
            output._remove_rests(tmp_path / "out")
            assert not Path(path).exists()
        return descriptor

    monkeypatch.setattr(unfinished, "begin", begin)
    with begun(tmp_path / "out") as path:
        assert path.exists()
        assert str(path) not in taken
    assert len(taken) == 2
    assert list(tmp_path.iterdir()) == []


def test_damaged_blobs_of_a_layout_that_is_there_are_written_anew(
    store: Store, tmp_path: Path
) -> None:
    """Also layers whose size is right; what is linked to the store's own file is not read."""
    image, out = random_image(1), tmp_path / "out"
    store.add_image(image)
    kept = store.image(derive.digest(image))
    write_layout(kept, out)
    for place in (out / "blobs" / "sha256").iterdir():
        data = bytearray(place.read_bytes())
        data[-1] ^= 1
        place.unlink()
        place.write_bytes(data)
    killed_writers = out / "blobs" / "sha256" / f".{'0' * 64}-{'1' * 12}"
    killed_writers.write_bytes(b"")
    write_layout(kept, out)
    assert validate(read_layout(out)) == []
    assert len(list((out / "blobs" / "sha256").iterdir())) == len(list(contents.blobs(image)))


def test_a_layout_can_be_a_mount_point(tmp_path: Path) -> None:
    place = tmp_path / "mounted"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", place], check=False).returncode:
        pytest.skip("only root can mount, and not every root")
    try:
        image = random_image(1)
        write_layout(image, place)
        assert derive.digest(read_layout(place)) == derive.digest(image)
    finally:
        subprocess.run(["umount", place], check=True)
