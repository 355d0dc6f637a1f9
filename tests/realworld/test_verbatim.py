"""A large image consists of the packages' own signed bytes."""

from __future__ import annotations

import gzip
import hashlib
import sys
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from realworld.flat import Image, Item, Tree, flatten, read_image, read_layer
from realworld.tools import measure
from realworld.workload import Workload
from support import needs

pytestmark = needs("shared", "apt-get")

_BUDGET = 60


@pytest.fixture(scope="module")
def image(w156: Workload, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """All of W156."""
    folder = tmp_path_factory.mktemp("large")
    (folder / "large.yaml").write_text(w156.declaration())
    store = ("--cache", str(folder / "store"))
    command = [sys.executable, "-m", "imagist", "build", "large.yaml", "-o", "layout", *store]
    spent = measure(command, folder)
    print(f"{spent.seconds:.1f} s, at most {spent.peak >> 20} MB")  # noqa: T201
    return read_image(folder / "layout")


def test_most_bytes_lie_in_layers_that_are_signed_datahashes(image: Image, w156: Workload) -> None:
    signed = {_datahash(archive) for archive in w156.archives}
    sizes = {layer["digest"].partition(":")[2]: layer["size"] for layer in image.layers}
    verbatim = sum(size for digest, size in sizes.items() if digest in signed)
    assert len(signed) == len(w156.packages)
    assert verbatim >= 0.8 * sum(sizes.values())


def test_the_layers_stay_within_the_budget(image: Image) -> None:
    assert 10 < len(image.layers) <= _BUDGET


def test_every_layer_is_what_its_digests_say(image: Image) -> None:
    for layer, diff_id in zip(image.layers, image.config["rootfs"]["diff_ids"], strict=True):
        blob = image.blob(layer["digest"])
        assert blob.stat().st_size == layer["size"]
        with blob.open("rb") as file:
            assert f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}" == layer["digest"]
        with gzip.open(blob) as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        assert f"sha256:{digest}" == diff_id


def test_the_tree_is_the_union_of_the_packages(image: Image, w156: Workload) -> None:
    tree = image.flatten()
    modes = {"proc": 0o555}  # every image has it before its packages come
    union = flatten(_noting_modes(archive, modes) for archive in _in_order(w156, tree))
    for path in [path for path in union if path.partition("/")[0].startswith(".")]:
        del union[path]  # .PKGINFO and .SIGN: of the package, not of the image
    differing = {
        path: (wanted, tree.get(path))
        for path, wanted in union.items()
        if not _is_as_packaged(tree.get(path), wanted, modes.get(path, 0))
    }
    assert differing == {}
    assert {path for path in tree.keys() - union.keys() if not _is_added(path, tree)} == set()


def _in_order(w156: Workload, tree: Tree) -> list[Path]:
    """The packages as the image's database lists them, which is how they were installed."""
    lines = tree.text("usr/lib/apk/db/installed").splitlines()
    names = [line[2:] for line in lines if line.startswith("P:")]
    return [w156.root / "x86_64" / f"{name}-{w156.packages[name]}.apk" for name in names]


def _noting_modes(archive: Path, modes: dict[str, int]) -> Iterator[tuple[str, Item]]:
    """The entries; of every folder, the mode of the first package that has it is noted."""
    for path, item in read_layer(archive):
        if item.kind == "directory":
            modes.setdefault(path, item.mode)
        yield path, item


def _is_as_packaged(found: Item | None, wanted: Item, mode: int) -> bool:
    """A folder has the mode of the first package that lists it, and the time of the last."""
    if wanted.kind == "directory":
        wanted = replace(wanted, mode=mode)
    return found == wanted


_ADDED = {
    "etc/ld.so.cache",
    "etc/passwd",
    "etc/shadow",
    "etc/group",
    "root",
    "proc",
    "tmp",
    "opt",
}


def _is_added(path: str, tree: Tree) -> bool:
    """What an image has beside its packages."""
    top = ("dev", "etc/apk", "usr/lib/apk", "lib/apk", "var/cache")
    return path in _ADDED or path.startswith(tuple(f"{each}/" for each in top)) or path in top


def _datahash(archive: Path) -> str:
    """SHA-256 of the last gzip member, as the control segment before it claims."""
    data = archive.read_bytes()
    members = []
    while data:
        inflater = zlib.decompressobj(31)
        inflater.decompress(data)
        inflater.flush()
        members.append(data[: len(data) - len(inflater.unused_data)])
        data = inflater.unused_data
    _, control, content = members
    found = hashlib.sha256(content).hexdigest()
    assert f"datahash = {found}\n".encode() in gzip.decompress(control)
    return found
