"""Many processes at once on one store and one output: all succeed, and nothing is damaged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from build.commandline import run
from build.enduring import KINDS, assert_nothing_or, assert_sound, build_all, prepare
from build.launching import Launcher
from imagist.oci import derive
from imagist.oci.validate import validate
from imagist.store import lock
from imagist.store.layout import read_layout


@pytest.fixture(scope="module")
def prepared(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Launcher, Path, dict[str, str]]]:
    folder = tmp_path_factory.mktemp("races")
    prepare(folder)
    with Launcher(folder) as launcher:
        yield launcher, folder, build_all(folder)


Prepared = tuple[Launcher, Path, dict[str, str]]


@pytest.mark.parametrize("count", [2, 8])
def test_builds_of_one_declaration_at_once_on_an_empty_store(
    prepared: Prepared, tmp_path: Path, count: int
) -> None:
    launcher, _, digests = prepared
    store = tmp_path / "store"
    words = [
        ("build", "package.yaml", "--cache", store, "-o", tmp_path / f"out-{number}")
        for number in range(count)
    ]
    for started in [launcher.start(*each) for each in words]:
        ended = started.wait()
        assert (ended.code, ended.out.strip()) == (0, digests["package.yaml"]), ended.err
    for number in range(count):
        assert assert_nothing_or(tmp_path / f"out-{number}", digests["package.yaml"])
    assert_sound(store)


def test_builds_of_declarations_that_share_packages_at_once(
    prepared: Prepared, tmp_path: Path
) -> None:
    launcher, _, digests = prepared
    store = tmp_path / "store"
    running = [(name, launcher.start("build", name, "--cache", store)) for name in list(KINDS) * 2]
    for name, started in running:
        ended = started.wait()
        assert (ended.code, ended.out.strip()) == (0, digests[name]), ended.err
    assert_sound(store)


def test_builds_while_others_prune_and_verify(prepared: Prepared, tmp_path: Path) -> None:
    launcher, _, digests = prepared
    store = tmp_path / "store"
    caches = [("prune", "--max-size", "0"), ("verify",), ("prune",), ("verify",)]
    for turn in range(2):
        output = ("-o", tmp_path / f"{turn}.tar")
        running = []
        for name, cache in zip([*KINDS, "package.yaml"], caches, strict=True):
            more = output if name == "single.yaml" else ()
            running.append((name, launcher.start("build", name, "--cache", store, *more)))
            running.append(("", launcher.start("cache", *cache, "--cache", store)))
        for name, started in running:
            ended = started.wait()
            if name:
                assert (ended.code, ended.out.strip()) == (0, digests[name]), ended.err
            elif ended.code:  # builds kept it waiting for too long
                assert (ended.code, "another imagist" in ended.err) == (2, True), ended.err
    assert_sound(store)


def test_layouts_written_by_many_at_once_have_every_name(
    prepared: Prepared, tmp_path: Path
) -> None:
    launcher, folder, digests = prepared
    out = tmp_path / "out"
    name = "package.yaml"
    for _ in range(3):
        running = [
            launcher.start(
                "build", name, "--cache", folder / "peace", "-o", out, "-t", f"name{number}"
            )
            for number in range(6)
        ]
        for started in running:
            ended = started.wait()
            assert ended.code == 0, ended.err
        for number in range(6):
            thing = read_layout(out, f"name{number}")
            assert derive.digest(thing) == digests[name]
        assert validate(thing) == []
        assert list(tmp_path.glob(".*")) == list(out.glob(".*")) == []
        out.rename(tmp_path / f"done-{len(list(tmp_path.iterdir()))}")


def test_archives_written_by_many_at_once_are_whole(prepared: Prepared, tmp_path: Path) -> None:
    launcher, folder, digests = prepared
    names = list(KINDS) * 2
    running = [
        launcher.start("build", name, "--cache", folder / "peace", "-o", tmp_path / "out.tar")
        for name in names
    ]
    for started in running:
        assert started.wait().code == 0
    assert assert_nothing_or(tmp_path / "out.tar", *digests.values())
    assert [path.name for path in tmp_path.iterdir()] == ["out.tar"]


def test_prune_in_a_process_that_just_built_does_not_wait_for_itself(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder, _ = prepared
    monkeypatch.setattr(lock, "_PATIENCE", 0.0)
    store = tmp_path / "store"
    assert run("-C", folder, "build", "package.yaml", "--cache", store).code == 0
    for what in ("info", "verify", "prune"):
        answer = run("cache", what, "--cache", store)
        assert answer.code == 0, answer.err
