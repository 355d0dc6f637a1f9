"""Many clients at once, `imagist cache prune` beside them, and kill -9 in the middle."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fixtures.serving import Serving, serving
from imagist.digest import Digest, sha256
from imagist.store.members import GRACE
from imagist.store.store import Store
from imagist.store.upkeep import remove_damaged
from server.asking import Asker
from support import MEMORY, ROOT

CLIENTS = 16


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Serving]:
    with serving(tmp_path / "store") as running:
        yield running


def at_once(
    registry: Serving, work: Callable[[Asker, int], object], count: int = CLIENTS
) -> list[object]:
    """What clients that begin at the same moment come to."""
    barrier = threading.Barrier(count)

    def run(number: int) -> object:
        with Asker(registry.address) as ask:
            barrier.wait(20)
            return work(ask, number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def prune(folder: Path) -> None:
    """Collect garbage as a user does, while the registry runs."""
    words = [sys.executable, "-m", "imagist", "cache", "prune", "--cache", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def check_image(ask: Asker, repository: str, reference: str) -> Digest:
    """Everything of an image can be pulled and has its digest."""
    manifest = ask("GET", f"/v2/{repository}/manifests/{reference}")
    assert manifest.status == 200, manifest
    digest = Digest(manifest.headers["docker-content-digest"])
    assert sha256(manifest.body) == digest
    for blob in (manifest.json["config"], *manifest.json["layers"]):
        answer = ask("GET", f"/v2/{repository}/blobs/{blob['digest']}")
        assert (answer.status, sha256(answer.body)) == (200, blob["digest"])
    return digest


def check_store(folder: Path) -> None:
    """Every blob of the store is what its name says."""
    with Store.open(folder) as store:
        assert remove_damaged(store).blobs == []


def test_the_same_blob_from_all_at_once(registry: Serving) -> None:
    data = random.Random(1).randbytes(4 << 20)
    digests = at_once(registry, lambda ask, number: ask.put_blob(f"team/{number % 4}", data))
    assert set(digests) == {sha256(data)}
    with Asker(registry.address) as ask:
        for number in range(4):
            assert ask("GET", f"/v2/team/{number}/blobs/{sha256(data)}").body == data
    assert not list(registry.folder.glob("repositories/**/_uploads/*"))
    assert not list(registry.folder.glob("tmp/*"))
    check_store(registry.folder)


def test_the_same_upload_from_two_at_once(registry: Serving) -> None:
    """One of the two appends; the other one is told that its chunk is not the next."""
    with Asker(registry.address) as ask:
        place = ask("POST", "/v2/team/app/blobs/uploads/").headers["location"]
    data = random.Random(2).randbytes(1 << 20)
    fields = {"content-range": f"0-{len(data) - 1}"}
    answers = at_once(registry, lambda ask, _: ask("PATCH", place, data, fields).status, 8)
    assert sorted(map(int, map(str, answers))) == [202] + [416] * 7
    with Asker(registry.address) as ask:
        assert ask("PUT", f"{place}?digest={sha256(data)}").status == 201


def test_one_tag_from_all_at_once_is_one_of_theirs(registry: Serving) -> None:
    digests = at_once(registry, lambda ask, n: ask.put_image("team/app", "latest", b"%d" % n))
    with Asker(registry.address) as ask:
        assert check_image(ask, "team/app", "latest") in digests
        for digest in digests:
            check_image(ask, "team/app", str(digest))


def test_a_tag_that_moves_while_it_is_pulled(registry: Serving) -> None:
    """Whoever pulls gets one image or the other, whole."""
    with Asker(registry.address) as ask:
        known = {ask.put_image("team/app", "moving", b"layer %d" % number) for number in range(4)}
        raws = {d: ask("GET", f"/v2/team/app/manifests/{d}").body for d in known}
    stop = threading.Event()

    def move() -> None:
        with Asker(registry.address) as ask:
            for raw in iter(lambda: random.choice(list(raws.values())), None):
                if stop.is_set():
                    return
                document = json.loads(raw)
                ask.put_manifest("team/app", "moving", document)

    movers = [threading.Thread(target=move) for _ in range(2)]
    for mover in movers:
        mover.start()
    try:
        pulled = at_once(
            registry, lambda ask, _: {check_image(ask, "team/app", "moving") for _ in range(20)}, 4
        )
    finally:
        stop.set()
        for mover in movers:
            mover.join()
    assert all(isinstance(each, set) and each <= known for each in pulled)


def test_pushing_and_deleting_a_manifest_at_once(registry: Serving) -> None:
    """Afterwards no tag stands for what is not there."""
    with Asker(registry.address) as ask:
        digest = ask.put_image("team/app", "1", b"layer")
        document = ask("GET", f"/v2/team/app/manifests/{digest}").json

    def work(ask: Asker, number: int) -> object:
        for turn in range(10):
            if number % 2:
                ask.put_manifest("team/app", f"{number}-{turn}", document)
            else:
                ask("DELETE", f"/v2/team/app/manifests/{digest}")
        return None

    at_once(registry, work, 8)
    with Asker(registry.address) as ask:
        for tag in ask("GET", "/v2/team/app/tags/list").json["tags"]:
            check_image(ask, "team/app", tag)


def test_pruning_while_others_push_pull_and_delete(registry: Serving) -> None:
    """What is acknowledged stays whole, whatever `prune` removes beside it."""
    kept = random.Random(3).randbytes(2 << 20)
    with Asker(registry.address) as ask:
        ask.put_image("team/kept", "1", kept)
    stop = threading.Event()

    def work(ask: Asker, number: int) -> int:
        name, turn = f"team/{number}", 0
        while not stop.is_set():
            ask.put_image(name, "1", b"%d %d" % (number, turn), kept[: 1 << 16])
            check_image(ask, name, "1")
            check_image(ask, "team/kept", "1")
            digest = ask("HEAD", f"/v2/{name}/manifests/1").headers["docker-content-digest"]
            ask("DELETE", f"/v2/{name}/manifests/{digest}")
            for path in (registry.folder / "repositories" / name / "_blobs").rglob("*"):
                with contextlib.suppress(FileNotFoundError):
                    os.utime(path, (1, 1))  # as if they had been left behind long ago
            turn += 1
        return turn

    def collect() -> None:
        try:
            for _ in range(6):
                prune(registry.folder)
                time.sleep(0.1)
        finally:
            stop.set()

    collector = threading.Thread(target=collect)
    collector.start()
    turns = at_once(registry, work, 6)
    collector.join()
    assert all(int(str(turn)) > 0 for turn in turns)
    check_store(registry.folder)


def test_pruning_removes_what_was_deleted(registry: Serving) -> None:
    with Asker(registry.address) as ask:
        digest = ask.put_image("team/app", "1", b"x" * 100_000)
        ask("DELETE", f"/v2/team/app/manifests/{digest}")
        for path in registry.folder.glob("repositories/team/app/_blobs/*/*"):
            os.utime(path, (time.time() - GRACE - 1,) * 2)
        prune(registry.folder)
        assert not list((registry.folder / "blobs" / "sha256").iterdir())
        ask.put_image("team/app", "1", b"x" * 100_000)
        check_image(ask, "team/app", "1")


@pytest.mark.parametrize("after", [0, 1, 15, 40])
def test_kill_in_the_middle_of_a_hundred_pushes(tmp_path: Path, after: int) -> None:
    """Every push that was acknowledged is whole afterwards, and nothing half is served."""
    folder = tmp_path / "store"
    acknowledged: dict[str, Digest] = {}
    begun: list[str] = []

    with serving(folder) as registry:

        def push(number: int) -> None:
            tag = f"t{number}"
            layers = [random.Random(number * 10 + n).randbytes(200_000) for n in range(3)]
            with (
                contextlib.suppress(OSError, http.client.HTTPException),
                Asker(registry.address) as ask,
            ):
                begun.append(tag)
                digest = ask.put_image("team/app", tag, b"shared by all", *layers)
                acknowledged[tag] = digest
            if len(acknowledged) >= after:
                registry.process.kill()

        with ThreadPoolExecutor(CLIENTS) as pool:
            if not after:
                threading.Timer(0.3, registry.kill).start()
            list(pool.map(push, range(100)))
        assert after <= len(acknowledged) < 100

    with serving(folder) as registry, Asker(registry.address) as ask:
        listed = ask("GET", "/v2/team/app/tags/list")
        tags = set(listed.json["tags"]) if listed.status == 200 else set()
        assert acknowledged.keys() <= tags <= set(begun)
        for tag in tags:
            digest = check_image(ask, "team/app", tag)
            assert acknowledged.get(tag, digest) == digest
        prune(folder)
        for tag in tags:
            check_image(ask, "team/app", tag)
        ask.put_image("team/app", "after", b"shared by all")
    check_store(folder)


@pytest.mark.parametrize("work", ["push", "delete", "prune"])
def test_dying_before_every_step(work: str) -> None:
    """See `dying`: wherever a process ends, what is served is whole."""
    script = Path(__file__).with_name("dying.py")
    path = os.pathsep.join(map(str, (ROOT / "src", ROOT / "tests")))
    environment = {**os.environ, "PYTHONPATH": path}
    with tempfile.TemporaryDirectory(prefix="dying", dir=MEMORY) as folder:
        words = [sys.executable, str(script), folder, work]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10


def test_two_registries_over_one_store(tmp_path: Path) -> None:
    """All state is on the disk, so a second process knows what the first one was told."""
    folder = tmp_path / "store"
    data = random.Random(5).randbytes(3 << 20)
    digest = sha256(data)
    with (
        serving(folder) as first,
        serving(folder) as second,
        Asker(first.address) as ask,
        Asker(second.address) as other,
    ):
        place = ask("POST", "/v2/team/app/blobs/uploads/").headers["location"]
        assert ask("PATCH", place, data[:1000]).status == 202
        assert other("PATCH", place, data[1000:2000]).headers["range"] == "0-1999"
        assert ask("PUT", f"{place}?digest={digest}", data[2000:]).status == 201
        assert other("GET", f"/v2/team/app/blobs/{digest}").body == data
        pushed = [
            asker.put_image("team/app", "1", b"%d" % n)
            for n, asker in enumerate((ask, other, ask))
        ]
        assert check_image(ask, "team/app", "1") == check_image(other, "team/app", "1")
        assert ask("DELETE", f"/v2/team/app/manifests/{pushed[2]}").status == 202
        assert other("GET", "/v2/team/app/tags/list").json["tags"] == []
        check_image(other, "team/app", str(pushed[1]))
