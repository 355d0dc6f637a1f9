"""The flattened tar, beside what crane makes of the same image."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagist.digest import sha256
from imagist.errors import ImagistError, InputError, Untrusted
from imagist.inspection.export import export_tar
from imagist.oci import mediatype
from imagist.oci.derive import BytesLayer, MemoryImage
from imagist.oci.image import Image, Index
from imagist.rootfs.entry import Entry
from imagist.rootfs.tarwrite import tar_header
from imagist.store.archive import read_archive, write_archive
from imagist.store.layout import read_layout, write_layout
from inspection.described import (
    edited,
    file,
    folder,
    hardlink,
    image,
    layer,
    layer_of,
    read_tar,
    symlink,
)
from support import find_tool, needs

LOWER = [
    folder("bin", mtime=7),
    file("bin/tool", "lower", 0o4755, uid=3, gid=70_000_000),
    file("bin/gone"),
    hardlink("bin/twin", "bin/tool"),
    folder("dev"),
    Entry("dev/null", "char", 0o666, device=(1, 3)),
    Entry("dev/disk", "block", 0o660, device=(8, 300)),
    Entry("dev/pipe", "fifo", 0o600),
    folder("old"),
    file("old/a"),
    symlink("lib", "usr/lib"),
    folder("usr"),
    folder("usr/lib"),
    file("usr/lib/ümläut", "u", xattrs=(("security.capability", b"\x01\0\xff"),)),
    file("usr/" + "long/".replace("/", "") * 40, "long", mtime=2**33),
]
UPPER = [
    folder("bin", 0o711),
    file("bin/.wh.gone"),
    file(".wh.old"),
    file("bin/tool", "upper"),
    file("bin/empty"),
]
SAMPLE = image(layer(*LOWER), layer(*UPPER, media_type=mediatype.LAYER_TAR))


def export(what: Image, jobs: int = 1) -> bytes:
    tar = bytearray()
    export_tar(what, tar.extend, jobs=jobs)
    return bytes(tar)


def docker_archive(what: Image, place: Path) -> Path:
    write_archive(what, place, tags=["example.org/app:1"])
    return place


def crane_export(archive: Path) -> bytes:
    with archive.open("rb") as stream:
        crane = find_tool("crane")
        assert crane
        return subprocess.run(
            [crane, "export", "-", "-"], stdin=stream, capture_output=True, check=True
        ).stdout


@needs("crane")
def test_the_tree_is_what_crane_exports_path_by_path(tmp_path: Path) -> None:
    archive = docker_archive(SAMPLE, tmp_path / "a.tar")
    ours, theirs = read_tar(export(SAMPLE)), read_tar(crane_export(archive))
    # crane takes the other name of a file for what now lies under the first.
    assert ours.pop("bin/twin")[4] != theirs.pop("bin/twin")[4]
    assert ours == theirs
    assert "bin/gone" not in ours
    assert "old/a" not in ours


@needs("crane", "skopeo")
def test_an_archive_of_docker_gives_the_same_bytes(tmp_path: Path) -> None:
    ours = docker_archive(SAMPLE, tmp_path / "a.tar")
    theirs = tmp_path / "b.tar"
    names = [f"docker-archive:{path}" for path in (ours, theirs)]
    subprocess.run(["skopeo", "copy", "-q", names[0], f"{names[1]}:app:1"], check=True)
    thing = read_archive(theirs)
    assert not isinstance(thing, Index)
    assert [x.media_type for x in thing.layers] == [mediatype.LAYER_TAR] * 2
    assert export(thing) == export(SAMPLE)


def test_a_further_name_keeps_what_it_named_when_the_first_is_replaced() -> None:
    rows = read_tar(export(SAMPLE))
    assert rows["bin/tool"][4] != rows["bin/twin"][4]
    assert rows["bin/twin"][1:3] == (0o4755, (3, 70_000_000))


def test_the_bytes_do_not_depend_on_threads_or_compression() -> None:
    plain = image(*(layer(*each, media_type=mediatype.LAYER_TAR) for each in (LOWER, UPPER)))
    assert export(SAMPLE, jobs=4) == export(SAMPLE) == export(plain)


def test_every_name_a_tar_links_to_comes_before() -> None:
    what = image(layer(file("b", "x"), hardlink("a", "b"), folder("z"), hardlink("z/c", "b")))
    seen: set[str] = set()
    with tarfile.open(fileobj=io.BytesIO(export(what))) as tar:
        for member in tar:
            assert not member.islnk() or member.linkname in seen
            seen.add(member.name)
    assert seen == {"a", "b", "z", "z/c"}


def test_opaque_folders_hide_what_is_below() -> None:
    what = image(
        layer(folder("d"), file("d/a"), file("d/b")), layer(folder("d"), file("d/.wh..wh..opq"))
    )
    assert list(read_tar(export(what))) == ["d"]


def test_one_layer_twice_whose_path_leads_elsewhere_the_second_time() -> None:
    twice = layer(file("d/x", "text"))
    what = image(
        layer(folder("e"), folder("d")), twice, layer(file(".wh.d"), symlink("d", "e")), twice
    )
    assert set(read_tar(export(what))) == {"d", "e", "e/x"}
    link, turn = layer(hardlink("keep", "d/x")), layer(file(".wh.d"), symlink("d", "e"))
    kept = image(layer(folder("d"), folder("e")), twice, link, turn, twice)
    rows = read_tar(export(kept))
    assert rows["keep"][4] == rows["e/x"][4]


def test_an_image_without_layers_is_an_empty_tar() -> None:
    assert export(image()) == bytes(1024)


def test_memory_stays_bounded_whatever_a_file_holds() -> None:
    size = 64 << 20
    what = image(layer_of(tar_header(Entry("big", size=size)) + bytes(size) + bytes(1024)))
    written = 0

    def write(piece: bytes) -> None:
        nonlocal written
        written += len(piece)

    tracemalloc.start()
    try:
        export_tar(what, write)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert written == size + 512 + 1024
    assert peak < 20 << 20


def rotten(data: bytes, like: BytesLayer) -> MemoryImage:
    """An image whose medium holds other bytes than its manifest says."""
    made = image(like)
    other = BytesLayer(data, like.diff_id, like.media_type)
    return MemoryImage(made.raw_manifest, made.raw_config, (other,))


GOOD = layer(file("a", "text" * 1000))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (rotten(GOOD.data[:-9], GOOD), "cut off"),
        (rotten(GOOD.data[:20] + b"\xff\xff" + GOOD.data[22:], GOOD), "damaged|promised|holds"),
        (rotten(layer(file("b")).data, GOOD), "holds sha256"),
        (rotten(b"\x28\xb5\x2f\xfd" + bytes(99), GOOD), "zstd"),
        (rotten(b"hello", GOOD), "holds sha256"),
        (rotten(bytes(range(256)) * 4, GOOD), "."),
        (image(layer(file("../x"))), "leads out"),
        (image(layer(file("a/../../x"))), "leads out"),
        (image(layer(hardlink("a", "../../etc/passwd"))), "leads out"),
        (image(layer(hardlink("a", "nowhere"))), "not there"),
        (image(layer(file("a"), file("a/b"))), "lies in"),
        (image(layer(file(".wh.."))), "whiteout of nothing"),
        (image(layer(media_type=mediatype.LAYER_EROFS)), "EROFS"),
    ],
)  # fmt: skip
def test_nothing_is_written_of_a_damaged_or_hostile_image(what: Image, message: str) -> None:
    tar = bytearray()
    with pytest.raises(InputError, match=message):
        export_tar(what, tar.extend)
    assert not tar


def test_all_damaged_layers_are_told_at_once() -> None:
    made = image(GOOD, layer(file("b")))
    layers = tuple(BytesLayer(each.data[:-9], each.diff_id) for each in (GOOD, layer(file("b"))))
    with pytest.raises(Untrusted) as caught:
        export(MemoryImage(made.raw_manifest, made.raw_config, layers))
    assert len(caught.value.problems) == 2


def test_a_layer_of_another_size_than_the_manifest_says_is_refused(tmp_path: Path) -> None:
    made = image(GOOD)
    document = json.loads(made.raw_manifest)
    document["layers"][0]["size"] += 1
    write_layout(made, tmp_path / "l")
    raw = json.dumps(document).encode()
    (tmp_path / "l/blobs/sha256" / sha256(raw).hex).write_bytes(raw)
    index = json.loads((tmp_path / "l/index.json").read_bytes())
    index["manifests"][0] |= {"digest": str(sha256(raw)), "size": len(raw)}
    (tmp_path / "l/index.json").write_text(json.dumps(index))
    thing = read_layout(tmp_path / "l")
    assert not isinstance(thing, Index)
    with pytest.raises(Untrusted, match="bytes, but the image says"):
        export(thing)


def test_fewer_diff_ids_than_layers_are_refused(tmp_path: Path) -> None:
    made = edited(image(GOOD, layer(file("b"))), rootfs={"type": "layers", "diff_ids": []})
    write_layout(made, tmp_path / "l")
    thing = read_layout(tmp_path / "l")
    assert not isinstance(thing, Index)
    with pytest.raises(InputError, match="diff_ids"):
        export(thing)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_changed_byte_is_noticed_or_harmless(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(GOOD.data) - 1))
    value = data.draw(st.integers(0, 255))
    changed = GOOD.data[:at] + bytes([value]) + GOOD.data[at + 1 :]
    try:
        assert read_tar(export(rotten(changed, GOOD))) == read_tar(export(image(GOOD)))
    except ImagistError:
        assert changed != GOOD.data
