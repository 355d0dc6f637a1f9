"""Whole environments: their layers in order, and what is checked before they are handed on."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest

from fixtures.elf import build_library
from fixtures.wheelmaker import Made
from imagist.errors import InputError
from imagist.lastmile.environment import Base, build_environment
from imagist.oci.platform import Platform
from imagist.packages.wheel import collisions
from imagist.packages.wheel.target import Target
from imagist.packages.wheel.venv import Venv, find_obstacles
from imagist.rootfs.entry import Entry
from imagist.rootfs.tree import Node, Tree
from imagist.store.store import Store
from lastmile.layering import flatten, put, read_layer

MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"


def target(**changes: Any) -> Target:
    given: dict[str, Any] = {
        "platform": Platform("amd64"),
        "python": f"{MINOR}.7",
        "abi": f"cp{MINOR.replace('.', '')}",
        "libc": "glibc",
        "libc_version": (2, 36),
        "interpreter": "/usr/bin/python3",
        **changes,
    }
    return Target(**given)


BIG = Made("big", files={"big.bin": os.urandom(1_200_000), "big.py": "b = 1\n"})
APP = Made("app", files={"app.py": "a = 1\n"}, entry_points="[console_scripts]\napp = app:a\n")


def test_layers_in_order(store: Store) -> None:
    wheels = [put(store, Made("one")), put(store, BIG)]
    made = build_environment(store, wheels, target(), project=put(store, APP), bytecode=True)
    assert [layer.created_by for layer in made.layers] == [
        "imagist: environment",
        "imagist: big-1.0",
        "imagist: one-1.0",
        "imagist: app-1.0",
        "imagist: big-1.0, compiled",
        "imagist: one-1.0, compiled",
        "imagist: app-1.0, compiled",
    ]
    found = flatten(layer.layer for layer in made.layers)
    assert found["opt/venv/bin/python"].link == "/usr/bin/python3"
    assert found["opt/venv/bin/app"].mode == 0o755
    facts = [wheel for layer in made.wheel_layers for wheel in layer.wheels]
    assert [str(wheel) for wheel in facts] == ["big 1.0", "one 1.0", "app 1.0"]


def test_only_the_first_layer_depends_on_the_base(store: Store) -> None:
    def digests(**changes: Any) -> list[str]:
        wheels = [put(store, Made("one")), put(store, BIG)]
        made = build_environment(store, wheels, target(**changes), project=put(store, APP))
        return [layer.layer.digest for layer in made.layers]

    usual = digests()
    other = digests(
        platform=Platform("arm64"),
        python=f"{MINOR}.1",
        interpreter="/opt/python/bin/python3",
        libc="musl",
        libc_version=(1, 2),
    )
    assert usual[0] != other[0]
    assert usual[1:] == other[1:]


@pytest.mark.parametrize("size", [10, 1_200_000])
def test_collisions_between_layers(store: Store, size: int) -> None:
    one = Made("one", files={"app.py": "other", "x": os.urandom(size)})
    with pytest.raises(InputError, match=r"one 1\.0 and app 1\.0 both install"):
        build_environment(store, [put(store, one)], target(), project=put(store, APP))


def test_collisions_that_do_not_matter(store: Store) -> None:
    """In one layer the first by name is there, else that of the later layer; also said again."""
    made = [Made(name, files={"tests/x.py": name, f"{name}.py": ""}) for name in ("one", "two")]
    wheels = [put(store, each) for each in made]
    shared = ("tests/**",)
    layers = build_environment(store, wheels, target(), shared=shared).layers
    path = f"opt/venv/lib/python{MINOR}/site-packages/tests/x.py"
    assert read_layer(layers[-1].layer)[path].data == b"one"
    for _ in range(2):  # that a layer of both is remembered allows nothing to others
        with pytest.raises(InputError, match=r"both install .*tests/x\.py") as caught:
            build_environment(store, wheels, target())
        assert 'shared = ["tests/**"]' in str(caught.value.problems[0].help)
    with pytest.raises(InputError, match="both install"):
        build_environment(store, wheels, target(), shared=("test/**", "x.py"))
    project = put(store, Made("app", files={"tests/x.py": "app"}))
    layers = build_environment(store, wheels, target(), project=project, shared=shared).layers
    assert read_layer(layers[-1].layer)[path].data == b"app"


def test_compiled_files_are_checked_against_the_base(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = put(store, Made("x", files={"x.so": build_library("x86_64", "x.so"), "X.so": ""}))
    first = build_environment(store, [wheel], target(), base=Base(libraries={"libc.so.6"}))
    assert len(first.warnings) == 1  # x.so and X.so
    arm = target(platform=Platform("arm64"))
    for _ in range(2):  # a refusal is not remembered as an answer
        with pytest.raises(InputError, match="compiled for amd64, not for arm64"):
            build_environment(store, [wheel], arm)
    monkeypatch.setattr(collisions, "check_collisions", None)
    again = build_environment(store, [wheel], target(), base=Base(libraries={"libc.so.6"}))
    assert again.warnings == first.warnings


def test_a_base_that_finds_no_libraries_is_told(store: Store) -> None:
    """Of a wheel whose layer is remembered, too, and where another base is right."""
    wheel = put(
        store, Made("x", files={"x.py": "from ctypes.util import *\nfind_library('pq')\n"})
    )
    has = {"libpq.so.5"}
    for finds, said in ((False, 1), (True, 0), (False, 1)):
        base = Base(libraries=has, finds_libraries=finds)
        assert len(build_environment(store, [wheel], target(), base=base).warnings) == said
    own = put(store, APP)
    found = build_environment(
        store, [wheel], target(), project=own, base=Base(libraries=has, finds_libraries=False)
    )
    assert found.warnings[0].startswith("x 1.0 looks for libpq.so.5 by")


def test_the_place_in_the_base(store: Store) -> None:
    wheel = put(store, Made("one"))

    def build(*entries: Entry) -> None:
        tree = Tree()
        for entry in entries:
            tree.put(Node(entry))
        build_environment(store, [wheel], target(), base=Base(find_obstacles(Venv(), tree)))

    build(Entry("opt", "directory", 0o755))
    with pytest.raises(InputError, match="/opt is a symlink in the base"):
        build(Entry("opt", "symlink", 0o777, link="srv"))
    with pytest.raises(InputError, match="/opt/venv/bin is a symlink in the base"):
        build(Entry("opt/venv/bin", "symlink", 0o777, link="/usr/bin"))
    with pytest.raises(InputError, match="has an environment in /opt/venv already"):
        build(Entry("opt/venv", "directory", 0o755), Entry("opt/venv/pyvenv.cfg"))
    with pytest.raises(InputError, match="/opt/venv/bin is where the base has its own Python"):
        build(Entry("opt/venv/bin/python3"))


def test_an_environment_without_wheels(store: Store) -> None:
    made = build_environment(store, [], target())
    assert len(made.layers) == 1
    assert "opt/venv/pyvenv.cfg" in read_layer(made.layers[0].layer)
