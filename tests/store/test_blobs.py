from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagist.digest import sha256
from imagist.errors import InputError, NotFound, Untrusted
from imagist.store import blobs
from imagist.store.store import Store

FORK = multiprocessing.get_context("fork")


def stored(root: Path) -> list[str]:
    return sorted(os.listdir(root / "blobs" / "sha256"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(pieces=st.lists(st.binary(max_size=200_000), max_size=5))
def test_what_is_read_is_what_was_written(store: Store, pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    with store.writer() as writer:
        for piece in pieces:
            assert writer.write(piece) == len(piece)
        assert writer.size == len(data)
        digest = writer.commit()
    assert digest == sha256(data)
    assert store.read(digest) == data
    assert store.size(digest) == len(data)
    assert store.has(digest)


def test_any_bytes_like_object_can_be_written(store: Store) -> None:
    with store.writer() as writer:
        writer.write(bytearray(b"ab"))
        writer.write(memoryview(b"cd"))
        writer.write(memoryview(b"x" * (1 << 17)))
        digest = writer.commit()
    assert store.read(digest) == b"abcd" + b"x" * (1 << 17)


def test_a_blob_is_read_only_and_has_its_place(store: Store) -> None:
    path = store.path(store.put(b"hello"))
    assert path == store.root / "blobs" / "sha256" / sha256(b"hello").hex
    assert path.stat().st_mode & 0o777 == 0o444


def test_a_second_write_leaves_the_first_file_alone(store: Store) -> None:
    first = store.path(store.put(b"hello")).stat()
    second = store.path(store.put(b"hello")).stat()
    assert (first.st_ino, first.st_mtime_ns) == (second.st_ino, second.st_mtime_ns)


def test_without_commit_nothing_stays(store: Store) -> None:
    with store.writer() as writer:
        writer.write(b"x" * 100_000)
    assert stored(store.root) == []
    assert os.listdir(store.root / "tmp") == []


def test_a_mismatch_is_untrusted_and_nothing_stays(store: Store) -> None:
    with store.writer() as writer:
        writer.write(b"hellO")
        with pytest.raises(Untrusted):
            writer.commit(sha256(b"hello"))
    assert stored(store.root) == []
    assert os.listdir(store.root / "tmp") == []


def test_absent_blobs_are_not_found_and_other_digests_refused(store: Store) -> None:
    absent = sha256(b"absent")
    assert not store.has(absent)
    for ask in (store.size, store.path, store.open_blob):
        with pytest.raises(NotFound):
            ask(absent)
    for wrong in ("sha512:" + "a" * 128, "sha256:../../../../etc/passwd", "sha256:" + "A" * 64):
        with pytest.raises(InputError):
            store.has(wrong)


def test_opening_is_cheap(tmp_path: Path) -> None:
    with Store.open(tmp_path):
        pass
    times = []
    for _ in range(5):
        start = time.perf_counter()
        opened = Store.open(tmp_path)
        times.append(time.perf_counter() - start)
        opened.close()
    assert min(times) < 0.003
    assert not (tmp_path / "memo.sqlite").exists()


def test_a_folder_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="file"):
        Store.open(tmp_path / "file" / "store")


def write_many(root: str, seed: int) -> None:
    with Store.open(Path(root)) as opened:
        for number in range(seed % 3, 60):
            with opened.writer() as writer:
                for _ in range(3):
                    writer.write(number.to_bytes(4, "big") * 30_000)
                writer.commit()


def test_processes_that_race_for_the_same_blobs_agree(tmp_path: Path) -> None:
    workers = [FORK.Process(target=write_many, args=(str(tmp_path), n)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    expected = {sha256(n.to_bytes(4, "big") * 90_000).hex for n in range(60)}
    assert set(stored(tmp_path)) == expected
    assert os.listdir(tmp_path / "tmp") == []


def assert_whole(root: Path) -> int:
    names = stored(root)
    for name in names:
        assert sha256((root / "blobs" / "sha256" / name).read_bytes()).hex == name
    return len(names)


WRITE_FOR_EVER = """
import os, sys
from pathlib import Path
from imagist.store.store import Store
store = Store.open(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    with store.writer() as writer:
        for _ in range(20):
            writer.write(os.urandom(70_000))
        writer.commit()
"""


def test_kill_at_any_moment_leaves_whole_blobs_and_the_next_open_tidies_up(tmp_path: Path) -> None:
    source = Path(__file__).parents[2] / "src"
    rests = 0
    for number in range(12):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(source)},
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(0.001 * (number + 1))
        # On a busy machine too, some must be killed within a blob, and some after one.
        there = tmp_path / "tmp" if number % 2 else tmp_path / "blobs" / "sha256"
        give_up = time.monotonic() + 2
        while not os.listdir(there) and time.monotonic() < give_up:
            pass
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        rests += len(os.listdir(tmp_path / "tmp"))
    written = assert_whole(tmp_path)
    assert written > 0
    assert rests > 0, "no process was killed while it wrote; the test proves nothing"
    Store.open(tmp_path).close()
    assert os.listdir(tmp_path / "tmp") == []


def test_the_temporary_file_of_a_living_writer_stays(store: Store) -> None:
    with store.writer() as writer:
        writer.write(b"x")
        with Store.open(store.root) as other:
            assert other.blobs.remove_rests() == 0
        assert store.read(writer.commit()) == b"x"


def mount_tmpfs(folder: Path, size: str) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"size={size}".encode()
    return bool(libc.mount(b"tmpfs", str(folder).encode(), b"tmpfs", 0, options) == 0)


def test_a_full_disk_is_said_clearly_and_leaves_nothing(tmp_path: Path) -> None:
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "small"
    folder.mkdir()
    if not mount_tmpfs(folder, "1m"):
        pytest.skip("this root may not mount a small disk")
    try:
        with Store.open(folder) as small:
            kept = small.put(b"kept")
            with pytest.raises(InputError, match="no space") as caught:
                small.put(os.urandom(3 << 20))
            assert "cache prune" in str(caught.value.problems[0].help)
            assert stored(folder) == [sha256(b"kept").hex]
            assert os.listdir(folder / "tmp") == []
            small.memo.put("step", "key", os.urandom(2 << 20))
            assert small.memo.get("step", "key") is None
            assert small.read(kept) == b"kept"
    finally:
        ctypes.CDLL(None).umount2(str(folder).encode(), 2)


def test_a_blob_reaches_the_disk_before_it_reaches_its_place(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def wait(file: int) -> None:
        seen.append((os.fstat(file).st_size, stored(store.root)))

    monkeypatch.setattr(blobs, "wait_for_disk", wait)
    store.put(b"hello")
    assert seen == [(5, [])]
    store.put(b"hello")
    assert len(seen) == 1
