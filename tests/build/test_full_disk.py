"""A full disk is said clearly, leaves nothing half-written, and ends with the space it lacked."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from build.commandline import Answer, run, spawn
from build.conftest import Workshop
from build.enduring import assert_nothing_or, assert_sound, assert_whole, build_all, prepare
from build.smalldisk import Disk
from imagist.store import blobs

NAME = "single.yaml"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("disk")
    prepare(folder)
    return folder, build_all(folder)[NAME]


Prepared = tuple[Path, str]


def assert_full(answer: Answer) -> None:
    assert answer.code == 3, answer.err
    assert "no space is left" in answer.err
    assert answer.out == ""


@pytest.mark.parametrize("size", [1 << 12, 1 << 16, 1 << 20, 3 << 20, 7 << 20, 12 << 20])
def test_a_store_that_is_full_at_any_point(prepared: Prepared, disk: Disk, size: int) -> None:
    folder, digest = prepared
    disk.resize(size)
    store = disk.folder / "store"
    words = ("-C", folder, "build", NAME, "--cache", store)
    assert_full(run(*words))
    assert_whole(store)
    if (store / "tmp").exists():
        assert list((store / "tmp").iterdir()) == []
    disk.grow()
    answer = run(*words)
    assert (answer.code, answer.out.strip()) == (0, digest), answer.err
    assert_sound(store)


@pytest.mark.parametrize("output", ["out", "out.tar"])
@pytest.mark.parametrize("size", [1 << 12, 1 << 20, 8 << 20])
def test_an_output_that_does_not_fit(
    prepared: Prepared, disk: Disk, size: int, output: str
) -> None:
    folder, digest = prepared
    place = disk.folder / output
    words = ("-C", folder, "build", NAME, "--cache", folder / "peace", "-o")
    disk.resize(size)
    assert_full(run(*words, place))
    assert list(disk.folder.iterdir()) == []
    disk.grow()
    answer = run(*words, place)
    assert (answer.code, answer.out.strip()) == (0, digest), answer.err
    assert assert_nothing_or(place, digest)


@pytest.mark.parametrize("output", ["out", "out.tar"])
def test_an_old_output_stays_where_the_new_does_not_fit(
    prepared: Prepared, disk: Disk, output: str
) -> None:
    folder, digest = prepared
    disk.resize(15 << 20)
    place = disk.folder / output
    old = run("-C", folder, "build", "package.yaml", "--cache", folder / "peace", "-o", place)
    assert old.code == 0, old.err
    filler = disk.folder / "filler"
    disk.fill(filler)
    words = ("-C", folder, "build", NAME, "--cache", folder / "peace", "-o", place)
    assert_full(run(*words))
    assert assert_nothing_or(place, old.out.strip())
    assert {path.name for path in disk.folder.iterdir()} == {output, "filler"}
    filler.unlink()
    disk.grow()
    assert run(*words).code == 0
    assert assert_nothing_or(place, digest)


def test_store_and_output_on_one_disk(prepared: Prepared, disk: Disk) -> None:
    """The layout is links, so it takes no space; the archive is what does not fit."""
    folder, digest = prepared
    disk.resize(19 << 20)
    words = ("-C", folder, "build", NAME, "--cache", disk.folder / "store", "-o")
    answer = run(*words, disk.folder / "out")
    assert (answer.code, answer.out.strip()) == (0, digest), answer.err
    assert_full(run(*words, disk.folder / "out.tar"))
    assert assert_nothing_or(disk.folder / "out", digest)
    assert {path.name for path in disk.folder.iterdir()} == {"store", "out"}
    assert_sound(disk.folder / "store")


def test_prune_frees_a_full_disk(prepared: Prepared, disk: Disk) -> None:
    folder, _ = prepared
    disk.resize(12 << 20)
    store = disk.folder / "store"
    assert_full(run("-C", folder, "build", NAME, "--cache", store))
    answer = run("cache", "prune", "--cache", store, "--max-size", "0")
    assert answer.code == 0, answer.err
    assert list((store / "blobs" / "sha256").iterdir()) == []
    assert_sound(store)


def test_a_limit_on_file_sizes_is_a_full_disk(prepared: Prepared, tmp_path: Path) -> None:
    """Quotas and `ulimit -f` have error numbers of their own."""
    folder, _ = prepared
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20));"
        "from imagist.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    words = ("-C", folder, "build", NAME, "--cache", tmp_path / "store")
    assert_full(spawn(*words, cwd=tmp_path, program=limited))
    assert_whole(tmp_path / "store")
    assert run(*words).code == 0


class Fault:
    """Lets one call fail, the n-th that would need space, from whatever thread it comes."""

    CALLS = ("open", "write", "replace", "rename", "link", "mkdir", "copy_file_range")

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = -1
        self._lock = threading.Lock()
        for name in self.CALLS:
            monkeypatch.setattr(os, name, self._wrap(name, getattr(os, name)))
        monkeypatch.setattr(blobs, "wait_for_disk", self._wrap("sync", os.fsync))

    def _wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*words: Any, **more: Any) -> Any:
            makes = name != "open" or (len(words) > 1 and words[1] & os.O_CREAT)
            if makes and threading.current_thread().name != "execnet" and self._is_turn():
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(*words, **more)

        return wrapped

    def _is_turn(self) -> bool:
        with self._lock:
            self.left -= 1
            return self.left == 0


def test_every_call_that_can_run_out_of_space(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = workshop.declare("[demo-baselayout, hello, demo-web]")
    digest = workshop.build(name)
    fault = Fault(monkeypatch)
    out = workshop.folder / "out"
    turn = refused = 0
    while True:
        turn += 1
        fault.left = 0
        for folder in (workshop.store, out):
            shutil.rmtree(folder, ignore_errors=True)
        before = set(workshop.folder.iterdir())
        fault.left = turn
        answer = workshop.run("build", name, "-o", out)
        reached, fault.left = fault.left <= 0, 0
        assert_whole(workshop.store)
        if answer.code:
            refused += 1
            assert_full(answer)
            assert set(workshop.folder.iterdir()) <= {*before, workshop.store}
            rests = list((workshop.store / "tmp").glob("*"))
            assert rests == []
        else:
            assert answer.out.strip() == digest
            assert assert_nothing_or(out, digest)
        if not reached:
            break
        answer = workshop.run("build", name, "-o", out)
        assert (answer.code, answer.out.strip()) == (0, digest), answer.err
        assert_sound(workshop.store)
    assert refused > 20
