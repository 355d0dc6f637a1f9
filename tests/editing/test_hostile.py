"""Documents that are not what they should be are refused, or edited; there is no third."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagist.digest import sha256
from imagist.editing.additions import Addition
from imagist.editing.append import appending, prepare
from imagist.editing.configure import Settings, configure_images
from imagist.editing.flatten import flattening
from imagist.editing.layers import LayerWriter
from imagist.editing.place import Ownership
from imagist.editing.rebase import find_stated_base, rebase_images
from imagist.editing.whole import edit_images, narrow
from imagist.errors import ImagistError, NotFound
from imagist.oci import lazy, mediatype
from imagist.oci.derive import MemoryImage, MemoryIndex
from imagist.oci.image import Image, Index
from imagist.oci.manifest import History
from imagist.oci.mutate import (
    annotate_image,
    annotate_index,
    append_layers,
    make_index,
    set_config,
)
from imagist.oci.random import AMD64, ARM64, random_image, random_layer
from imagist.store.store import Store

OTHERS: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        [],
        {},
        "",
        0,
        -1,
        1.5,
        True,
        "x",
        [None],
        [{}],
        ["x"],
        {"a": None},
        "sha256:" + "0" * 64,
    ]
)


def rich(seed: int, layers: int) -> MemoryImage:
    """An image in which every member is used that edits look at."""
    run = {
        "Env": ["A=1"], "Labels": {"a": "b"}, "Entrypoint": ["x"], "ExposedPorts": {"80": {}},
    }  # fmt: skip
    members = {"config": run, "created": "2001-02-03T04:05:06Z", "os.version": "1"}
    image = set_config(random_image(seed, layers=layers), members)
    base = "org.opencontainers.image.base"
    noted = {f"{base}.name": "r.example/base", f"{base}.digest": "sha256:" + "1" * 64}
    return annotate_image(image, noted)


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield above
    members: list[tuple[Any, Any]] = []
    if isinstance(value, dict | list):
        members = [*(value.items() if isinstance(value, dict) else enumerate(value))]
    for key, member in members:
        yield from places(member, (*above, key))


@st.composite
def damaged(draw: st.DrawFn, raw: bytes) -> bytes:
    """A document of which one or two members are gone, or something else."""
    document = json.loads(raw)
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.sampled_from(list(places(document))))
        if not place:
            return json.dumps(draw(OTHERS)).encode()
        above = document
        for key in place[:-1]:
            above = above[key]
        if draw(st.booleans()):
            above[place[-1]] = json.loads(json.dumps(draw(OTHERS)))
        else:
            del above[place[-1]]
    return json.dumps(document).encode()


class Medium:
    """Blobs by digest, as a layout has them."""

    def __init__(self, *blobs: bytes) -> None:
        self.blobs = {str(sha256(blob)): blob for blob in blobs}

    def open_blob(self, digest: str) -> BinaryIO:
        if digest not in self.blobs:
            raise NotFound(digest)
        return io.BytesIO(self.blobs[digest])


@st.composite
def things(draw: st.DrawFn) -> Image | Index:
    """An image, or an index with it, of which something is damaged, but every digest holds."""
    good = rich(1, draw(st.integers(0, 2)))
    config = draw(damaged(good.raw_config))
    document = json.loads(good.raw_manifest)
    document["config"] |= {"digest": str(sha256(config)), "size": len(config)}
    manifest = draw(damaged(json.dumps(document).encode()))
    layers = [layer.data for layer in good.layers]  # type: ignore[attr-defined]
    image = lazy.wrap(Medium(config, *layers), manifest, mediatype.MANIFEST)
    if draw(st.booleans()):
        return image
    index = annotate_index(make_index([(AMD64, image), (ARM64, random_image(3))]), {"a": "b"})
    return MemoryIndex(draw(damaged(index.raw_manifest)), index.children)


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LayerWriter]:
    with Store.open(tmp_path_factory.mktemp("store")) as store:
        yield LayerWriter(store, jobs=1)


ALL = Settings(
    labels={"x": "y"},
    annotations={"q": "r"},
    env={"B": "1"},
    exposed_ports=["1"],
    removed_labels=["a"],
    cleared=["cmd"],
)


@settings(deadline=None, max_examples=300)
@given(things())
def test_every_edit_refuses_it_or_makes_an_image(
    writer: LayerWriter, thing: Image | Index
) -> None:
    addables = prepare([Addition(__file__, "/a/b")], writer)
    append = appending(addables, writer, Ownership(), warn=str)
    new, old = random_image(7), rich(1, 2)
    upon = append_layers(old, [(random_layer(9), History())])
    edits: tuple[Callable[[], Image | Index], ...] = (
        lambda: edit_images(thing, append, str),
        lambda: edit_images(thing, flattening(writer), str),
        lambda: configure_images(thing, ALL, str),
        lambda: rebase_images(thing, old, new, warn=str),
        lambda: rebase_images(upon, thing, new, warn=str),
        lambda: rebase_images(upon, old, thing, warn=str),
        lambda: narrow(thing, ["amd64"]),
        lambda: narrow(thing, ["amd64", "arm64"]),
    )
    for edit in edits:
        with contextlib.suppress(ImagistError):
            json.loads(edit().raw_manifest)
    with contextlib.suppress(ImagistError):
        find_stated_base(thing)
