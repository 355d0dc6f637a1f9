"""A process that is killed at any moment leaves nothing that the next one does not mend."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from build.commandline import run
from build.enduring import (
    KINDS,
    assert_nothing_or,
    assert_sound,
    assert_whole,
    build_all,
    prepare,
)
from build.launching import Launcher, wait_for

KILLS = 100 if os.environ.get("IMAGIST_TEST_ALL") == "1" else 24
"""Builds that are killed; all of them in CI."""
OUTPUTS = ("out", "out.tar")


class Victim:
    """A folder with declarations, how they end in peace, and a launcher of processes to kill."""

    def __init__(self, folder: Path, launcher: Launcher) -> None:
        self.folder = folder
        self.launcher = launcher
        self.store = folder / "store"
        self.digests = build_all(folder)
        self.durations = {name: self._time(name) for name in KINDS}

    def _time(self, name: str) -> float:
        self.clear()
        begin = time.monotonic()
        assert self.launcher.run(*self.words(name, "out")).code == 0
        return time.monotonic() - begin

    def words(self, name: str, output: str) -> list[str]:
        return ["build", name, "--cache", "store", "-o", output, "-q"]

    def clear(self) -> None:
        for name in ("store", *OUTPUTS):
            path = self.folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def kill(self, name: str, output: str, chance: random.Random, share: float) -> None:
        """Kill a build at any moment, and look at what it left."""
        patience = share * self.durations[name]
        for _ in range(12):
            started = self.launcher.start(*self.words(name, output))
            time.sleep(chance.random() * patience)
            if started.kill().killed:
                self.check(name)
                return
            self.clear()  # it was faster; the next has less time
            patience *= 0.7
        pytest.fail("no build was slow enough to be killed")

    def check(self, name: str) -> None:
        """What is there is whole, though the process that wrote it is dead."""
        assert_whole(self.store)
        for output in OUTPUTS:
            assert_nothing_or(self.folder / output, self.digests[name])

    def complete(self, name: str, output: str) -> None:
        """Run again, to the end: everything is as if nothing had happened."""
        ended = self.launcher.run(*self.words(name, output))
        assert (ended.code, ended.out.strip()) == (0, self.digests[name]), ended.err
        assert assert_nothing_or(self.folder / output, self.digests[name])
        assert_sound(self.store)
        assert list(self.folder.glob(f".{output}.*")) == []


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    folder = tmp_path_factory.mktemp("victim")
    prepare(folder)
    with Launcher(folder) as launcher:
        yield Victim(folder, launcher)


@pytest.mark.parametrize("seed", range(KILLS // 4))
def test_a_build_killed_twice_completes_and_gives_the_right_digest(
    victim: Victim, seed: int
) -> None:
    """Two images, each killed on an empty store, killed again on what that left, and completed."""
    chance = random.Random(seed)
    for number in range(2):
        name = list(KINDS)[(2 * seed + number) % len(KINDS)]
        output = chance.choice(OUTPUTS)
        victim.clear()
        for share in (0.95, 0.6):  # the second finds a part of its work done
            victim.kill(name, output, chance, share)
        victim.complete(name, output)


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_build_killed_while_it_writes_its_output_leaves_the_old_one(
    victim: Victim, output: str
) -> None:
    chance = random.Random(output)
    old, new = "package.yaml", "single.yaml"
    victim.clear()
    for name in (new, old):
        assert victim.launcher.run(*victim.words(name, output)).code == 0
    killed = 0
    for _ in range(12):
        shutil.rmtree(victim.folder / "out", ignore_errors=True)
        started = victim.launcher.start(*victim.words(new, output))
        wait_for(victim.folder, f".{output}.imagist-*")
        time.sleep(chance.random() * 0.01)
        killed += started.kill().killed
        there = assert_nothing_or(victim.folder / output, victim.digests[old], victim.digests[new])
        assert there or output == "out"
    assert killed
    victim.complete(new, output)


def test_a_build_killed_while_it_adds_to_a_layout_leaves_what_was_there(victim: Victim) -> None:
    chance = random.Random(3)
    victim.clear()
    layout = victim.folder / "out"
    assert victim.launcher.run(*victim.words("package.yaml", "out"), "-t", "first").code == 0
    assert victim.launcher.run("build", "single.yaml", "--cache", "store").code == 0
    killed = 0
    for _ in range(12):
        started = victim.launcher.start(*victim.words("single.yaml", "out"), "-t", "second")
        time.sleep(chance.random() * 0.1)
        killed += started.kill().killed
        names = run("ls", layout).out.split()
        assert names[0] == "first"
        for name in names:
            answer = run("validate", f"oci:{layout}:{name}")
            assert answer.code == 0, answer.err
    assert killed
    assert victim.launcher.run(*victim.words("single.yaml", "out"), "-t", "second").code == 0
    for name in ("package.yaml", "single.yaml"):
        for blob in (layout / "blobs" / "sha256").iterdir():
            assert not blob.name.startswith(".")
        assert victim.digests[name] in (layout / "index.json").read_text()
    assert list(layout.glob(".*")) == []


def test_prune_killed_at_any_moment_leaves_a_store_that_builds(victim: Victim) -> None:
    chance = random.Random(2)
    killed = 0
    for number in range(8):
        name = list(KINDS)[number % len(KINDS)]
        if number % 4 == 0:
            victim.clear()
        assert victim.launcher.run("build", name, "--cache", "store").code == 0
        size = chance.choice(["0", "4000000", "9000000"])
        started = victim.launcher.start("cache", "prune", "--cache", "store", "--max-size", size)
        time.sleep(chance.random() * 0.03)
        killed += started.kill().killed
        assert_whole(victim.store)
        if number % 4 == 3:
            victim.complete(name, "out")
            shutil.rmtree(victim.folder / "out")
    assert killed
