"""Layers of wheels: what they hold, when they are made again, and when not."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Collection
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fixtures.wheelmaker import Made, hash_of
from imagist.digest import sha256
from imagist.errors import InputError, Untrusted
from imagist.lastmile import wheels as module
from imagist.lastmile.wheels import LARGE, MOST, Wheel, WheelLayers, plan_groups
from imagist.packages.wheel.install import Origin
from imagist.packages.wheel.venv import Venv
from imagist.rootfs import zipdirectory, zipread
from imagist.store.store import Store
from lastmile.layering import Found, digests, files, flatten, put, read_layer
from packages.wheel.opening import SITE

VENV = Venv()


def _noise(seed: str, size: int) -> bytes:
    return b"".join(hashlib.sha256(f"{seed}{n}".encode()).digest() for n in range(size // 32))


def sample() -> list[Made]:
    """Three large wheels and three small ones, with scripts and a shared file."""
    large = [
        Made(name, files={f"{name}/data.bin": _noise(name, size)}) for name, size in LARGE_ONES
    ]
    small = [
        Made("tool", files={"tool.py": "def main(): pass\n"}, entry_points=POINTS),
        Made("one", files={"ns/__init__.py": "", "ns/one.py": "1\n"}),
        Made("two", files={"ns/__init__.py": "", "ns/two.py": "2\n"}),
    ]
    return [*small, *large]


LARGE_ONES = [("big", 1_500_000), ("bigger", 2_000_000), ("biggest", 3_000_000)]
POINTS = "[console_scripts]\ntool = tool:main\n"


def test_what_layers_hold(store: Store) -> None:
    layers = WheelLayers(store).build([put(store, made) for made in sample()], VENV)
    names = [[wheel.name for wheel in layer.wheels] for layer in layers]
    assert names == [["biggest"], ["bigger"], ["big"], ["one", "tool", "two"]]
    assert layers[0].created_by == "imagist: biggest-1.0"
    found = flatten(layer.layer for layer in layers)
    assert found[f"{SITE}/big/data.bin"].data == _noise("big", 1_500_000)
    assert found["opt/venv/bin/tool"].mode == 0o755
    assert found[SITE] == Found("directory", 0o755)
    assert found[f"{SITE}/ns/two.py"].data == b"2\n"
    for layer in layers:
        with layer.layer.compressed() as stream:
            data = stream.read()
        assert (sha256(data), len(data)) == (layer.layer.digest, layer.layer.size)
        assert sha256(gzip.decompress(data)) == layer.layer.diff_id


def test_order_and_jobs_do_not_matter(store: Store, tmp_path: Path) -> None:
    wheels = [put(store, made) for made in sample()]
    one = WheelLayers(store, jobs=1).build(wheels, VENV)
    with Store.open(tmp_path / "other") as other:
        again = [put(other, made) for made in sample()[::-1]]
        two = WheelLayers(other, jobs=4).build(again, VENV)
        assert digests([layer.layer for layer in one]) == digests([layer.layer for layer in two])


def test_wheels_larger_than_memory_give_the_same_layers(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = [put(store, made) for made in sample()]
    usual = WheelLayers(store).build(wheels, VENV)
    monkeypatch.setattr(zipdirectory, "_IN_MEMORY", 1 << 16)
    monkeypatch.setattr(zipread, "_AT_ONCE", 1 << 16)
    monkeypatch.setattr(zipread, "_STEP", 9_999)
    with Store.open(tmp_path / "other") as other:
        again = WheelLayers(other).build([put(other, made) for made in sample()], VENV)
        assert digests([x.layer for x in again]) == digests([x.layer for x in usual])


def test_what_is_remembered_needs_no_wheel(store: Store) -> None:
    wheels = [put(store, made) for made in sample()]
    asked: list[Collection[str]] = []
    first = WheelLayers(store, bring=asked.append).build(wheels, VENV)
    assert {digest for digests in asked for digest in digests} == {w.digest for w in wheels}
    for wheel in wheels:
        os.unlink(store.path(wheel.digest))
    asked.clear()
    again = WheelLayers(store, bring=asked.append).build(wheels, VENV)
    assert asked == [[]]
    assert digests([x.layer for x in again]) == digests([x.layer for x in first])
    assert [x.wheels for x in again] == [x.wheels for x in first]


def test_one_more_wheel_moves_no_other_layer(store: Store) -> None:
    wheels = [put(store, made) for made in sample()]
    before = digests([x.layer for x in WheelLayers(store).build(wheels, VENV)])
    more = put(store, Made("more", files={"more.bin": _noise("more", 1_200_000)}))
    asked: list[Collection[str]] = []
    after = WheelLayers(store, bring=asked.append).build([*wheels, more], VENV)
    assert set(before) < set(digests([x.layer for x in after]))
    assert asked == [[more.digest]]


def test_what_changes_a_layer_and_what_does_not(store: Store) -> None:
    wheel = put(store, Made())

    def layer(wheel: Wheel = wheel, venv: Venv = VENV, mtime: int = 0) -> str:
        return WheelLayers(store).build([wheel], venv, mtime=mtime)[0].layer.digest

    found = [
        layer(),
        layer(venv=Venv("/app/.venv")),
        layer(venv=Venv(python="python3.13")),
        layer(mtime=1),
        layer(wheel=replace(wheel, origin=Origin(requested=True))),
    ]
    assert len(set(found)) == len(found)


def test_the_project_comes_last_and_alone(store: Store) -> None:
    wheels = [put(store, made) for made in sample()]
    project = put(store, Made("app", files={"app.py": ""}))
    layers = WheelLayers(store).build(wheels, VENV, project=project)
    assert [wheel.name for wheel in layers[-1].wheels] == ["app"]
    assert digests([x.layer for x in layers[:-1]]) == digests(
        [x.layer for x in WheelLayers(store).build(wheels, VENV)]
    )


def test_collisions_within_a_layer(store: Store) -> None:
    one = put(store, Made("one", files={"same.py": "1"}))
    two = put(store, Made("two", files={"same.py": "2"}))
    with pytest.raises(InputError, match=r"one 1\.0 and two 1\.0 both install"):
        WheelLayers(store).build([one, two], VENV)


def test_a_damaged_wheel_leaves_nothing(store: Store) -> None:
    wrong = {"pkg/__init__.py": f"sha256={hash_of(b'other')}"}
    wheel = put(store, Made(record=wrong))
    before = store.blob_sizes()
    with pytest.raises(Untrusted, match="another hash"):
        WheelLayers(store).build([wheel], VENV)
    assert store.blob_sizes() == before
    assert not os.listdir(store.root / "tmp")
    assert not store.memo.rows()


def test_damaged_memory_is_not_believed(store: Store) -> None:
    wheel = put(store, Made())
    first = WheelLayers(store).build([wheel], VENV)
    key = module.layer_key([wheel], VENV, 0)
    store.memo.put(module.STEP, key, b"\xc1", blobs=[])
    assert WheelLayers(store).build([wheel], VENV)[0].layer.digest == first[0].layer.digest


SIZES = st.lists(st.integers(1, 3 * LARGE), max_size=40)


@given(SIZES, st.randoms())
def test_groups(sizes: list[int], random: object) -> None:
    wheels = [Wheel(f"w{n}-1-py3-none-any.whl", "", size) for n, size in enumerate(sizes)]
    groups = plan_groups(wheels)
    assert {wheel for group in groups for wheel in group} == set(wheels)
    assert sum(map(len, groups)) == len(wheels)
    shuffled = list(wheels)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert plan_groups(shuffled) == groups
    alone = [group[0].size for group in groups if len(group) == 1 and group[0].size >= LARGE]
    assert alone == sorted(alone, reverse=True)
    assert len(groups) <= MOST + 1
    if sum(size >= LARGE for size in sizes) <= MOST:
        assert all(wheel.size < LARGE for group in groups if len(group) > 1 for wheel in group)


def test_layers_are_ordinary_for_a_wheel_with_stored_files(store: Store) -> None:
    made = Made(files={"a.bin": _noise("a", 100_000), "b.py": "b\n" * 9000}, stored=["a.bin"])
    (layer,) = WheelLayers(store).build([put(store, made)], VENV)
    found = files(read_layer(layer.layer))
    assert found[f"{SITE}/a.bin"] == _noise("a", 100_000)
    assert found[f"{SITE}/b.py"] == b"b\n" * 9000
