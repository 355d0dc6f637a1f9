"""One layer that shows what all layers show."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from editing.bench import Bench, config, images, listing
from imagist.digest import sha256
from imagist.editing.flatten import flattening
from imagist.editing.layers import LayerWriter
from imagist.errors import InputError
from imagist.inspection.layers import list_layer
from imagist.oci import derive, mediatype
from imagist.oci.derive import BlobLayer, BytesLayer, MemoryImage
from imagist.oci.mutate import map_images, set_config
from imagist.oci.random import AMD64, random_index
from imagist.oci.validate import validate
from imagist.rootfs.entry import Entry
from imagist.store.store import Store
from inspection.described import file, folder, hardlink, image, layer, symlink

LAYERED = image(
    layer(
        folder("d", 0o700, uid=3, mtime=5),
        file("d/gone", "1"),
        file("d/stays", "2" * 3000, xattrs=(("user.x", b"1"),)),
        folder("opaque"),
        file("opaque/old"),
        hardlink("other", "d/stays"),
        symlink("link", "d"),
    ),
    layer(
        file("d/.wh.gone"),
        folder("opaque"),
        file("opaque/.wh..wh..opq"),
        file("opaque/new", "3"),
        file("link/through", "4", mode=0o4755),
        Entry("null", "char", device=(1, 3)),
        Entry("pipe", "fifo"),
    ),
    history=["first", "second"],
    User="7",
)


def test_one_layer_shows_the_same(bench: Bench) -> None:
    dated = set_config(LAYERED, {"created": "2001-02-03T04:05:06Z"})
    [flat] = images(bench.edit("flatten", bench.write(dated)))
    assert listing(flat) == listing(LAYERED)
    assert validate(flat) == []
    names = [entry.path for entry in list_layer(flat.layers[0]).entries]
    assert len(flat.layers) == 1
    assert not [name for name in names if ".wh." in name]
    assert config(flat)["config"] == {"User": "7"}
    assert config(flat)["created"] == "2001-02-03T04:05:06Z"
    assert config(flat)["history"] == [
        {"created_by": "first", "author": "imagist", "empty_layer": True},
        {"created_by": "second", "author": "imagist", "empty_layer": True},
        {
            "created": "2001-02-03T04:05:06Z",
            "created_by": f"imagist flatten {derive.digest(dated)}",
        },
    ]
    [entry] = [e for e in list_layer(flat.layers[0]).entries if e.path == "d/stays"]
    assert entry.xattrs == (("user.x", b"1"),)


NAMES = st.sampled_from(
    ["a", "b", "a/x", "a/y", "b/x", "b/.wh.x", ".wh.a", "a/.wh..wh..opq", "a/.wh.y"]
)
LAYERS = st.lists(
    st.dictionaries(NAMES, st.binary(max_size=9), max_size=5), min_size=1, max_size=4
)


def described(files: dict[str, bytes]) -> BytesLayer:
    """A layer of folders `a` and `b` and files in them, or of files of these names."""
    folders = {name.partition("/")[0] for name in files if "/" in name}
    entries = [folder(name) for name in sorted(folders)]
    entries += [file(name, data) for name, data in sorted(files.items()) if name not in folders]
    return layer(*entries)


@settings(deadline=None)
@given(LAYERS)
def test_whatever_the_layers_it_shows_the_same_and_stays_so(
    tmp_path_factory: pytest.TempPathFactory, layers: list[dict[str, bytes]]
) -> None:
    whole = image(*map(described, layers))
    with Store.open(tmp_path_factory.mktemp("store")) as store:
        change = flattening(LayerWriter(store, jobs=1))
        flat = change(AMD64, whole)
        assert listing(flat) == listing(whole)
        assert validate(flat) == []
        # Flattened again it is the same layer: nothing but the tree decides its bytes.
        assert change(AMD64, flat).layers[0].digest == flat.layers[0].digest


def test_jobs_and_places_do_not_matter(bench: Bench) -> None:
    index = random_index(1, size=3 << 20)
    name = bench.write(index)
    first, second = (bench.edit("flatten", name, "--jobs", jobs) for jobs in ("1", "4"))
    assert first.raw_manifest == second.raw_manifest
    assert [len(each.layers) for each in images(first)] == [1, 1]
    assert [listing(each) for each in images(first)] == [listing(each) for each in images(index)]


def test_layers_of_every_form_become_one(bench: Bench) -> None:
    from fixtures.zstd import compress
    from inspection.described import pack

    tar = pack([file("z", "zstd")])
    mixed = image(
        layer(file("g", "gzip")),
        BytesLayer(compress(tar), sha256(tar), mediatype.LAYER_ZSTD),
        layer(file("p", "plain"), media_type=mediatype.LAYER_TAR),
    )
    [flat] = images(bench.edit("flatten", bench.write(mixed)))
    assert sorted(listing(flat)) == ["g", "p", "z"]


def test_a_damaged_layer_leaves_nothing(bench: Bench) -> None:
    good = layer(file("a", "text" * 1000))
    bad = BytesLayer(good.data[:-9] + b"\0" * 9, good.diff_id)
    broken = image(good, bad)
    bench.write(broken)
    before = set(Path("store/blobs/sha256").glob("*"))
    said = bench.fails("flatten", "image")
    assert bad.digest in said
    assert set(Path("store/blobs/sha256").glob("*")) == before


def test_what_cannot_be_read_is_refused(bench: Bench) -> None:
    erofs = image(BytesLayer(b"erofs", sha256(b"erofs"), mediatype.LAYER_EROFS))
    assert "EROFS" in bench.fails("flatten", bench.write(erofs))


def test_one_platform_that_fails_fails_all(bench: Bench) -> None:
    def broken(platform: object, image_: object) -> MemoryImage:
        if platform == AMD64:
            return image(layer(file("a")))
        return image(layer(file("a"), file("a/b")))

    index = map_images(random_index(1), broken)
    with pytest.raises(InputError), Store.open(bench.folder / "s") as store:
        map_images(index, flattening(LayerWriter(store)))
    assert "lies in" in bench.fails("flatten", bench.write(index))


def test_the_same_layers_are_flattened_once_while_the_result_is_there(bench: Bench) -> None:
    opened = []

    def counted() -> BinaryIO:
        opened.append(1)
        return LAYERED.layers[0].compressed()

    own = LAYERED.layers[0]
    spy = BlobLayer(own.digest, own.diff_id, own.size, own.media_type, counted)
    whole = MemoryImage(LAYERED.raw_manifest, LAYERED.raw_config, (spy, LAYERED.layers[1]))
    with Store.open(bench.folder / "store") as store:
        change = flattening(LayerWriter(store))
        first = change(AMD64, whole)
        assert opened == [1, 1]  # to see whether it is whole, and to copy what is visible
        assert change(AMD64, whole).raw_manifest == first.raw_manifest
        assert opened == [1, 1]
        store.path(first.layers[0].digest).unlink()
        again = change(AMD64, whole)
        assert opened == [1] * 4
        assert again.raw_manifest == first.raw_manifest


def test_what_is_written_is_counted(bench: Bench) -> None:
    counted: list[int] = []

    class Counter:
        def expect(self, size: int) -> None:
            assert size

        def add(self, size: int) -> None:
            counted.append(size)

        def finish(self, name: str, *, remembered: bool = False) -> None:
            raise AssertionError(name)

    with Store.open(bench.folder / "store") as store:
        change = flattening(LayerWriter(store, meter=Counter()))
        [layer_] = change(AMD64, LAYERED).layers
        with layer_.compressed() as stream:
            assert sum(counted) == len(gzip.decompress(stream.read()))
