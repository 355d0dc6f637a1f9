"""Ctrl-C and SIGTERM: wherever the work is, the process ends, and nothing half-done stays."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from build.conftest import Workshop
from cli.leaving import Ended, Job
from fixtures.maker import Apk, file, write_repository
from fixtures.webserver import Answer, Web, serve

INTERRUPTED = Ended(130, "", "interrupted\n")
STALLED = Answer(pause=300.0)


def start(shop: Workshop, *words: str | Path, stderr: int = subprocess.PIPE) -> Job:
    """Begin to build, saying nothing of it."""
    build = ("build", "image.yaml", "-q", "--cache", shop.store, *words)
    return Job(*build, cwd=shop.folder, stderr=stderr)


def check_store(shop: Workshop) -> None:
    """Nothing is left of what was begun, and what is there is whole."""
    assert not list(shop.store.glob("tmp/*"))
    assert not [path.name for path in shop.folder.iterdir() if ".imagist-" in path.name]
    if shop.store.exists():
        verified = shop.run("cache", "verify")
        assert verified.code == 0, verified.err


def declare(shop: Workshop, repository: str, more: str = "") -> None:
    shop.write(
        f"contents:\n  repositories: ['{repository}']\n  keyring: [demo-test-only.rsa.pub]\n"
        f"  packages: [hello]\narchs: [x86_64]\n{more}"
    )


@pytest.mark.parametrize("delay", [0.002, 0.01, 0.02, 0.03, 0.04, 0.06])
def test_an_interrupt_at_the_start_is_no_traceback(workshop: Workshop, delay: float) -> None:
    workshop.declare()
    for _ in range(5):
        job = start(workshop)
        time.sleep(delay)
        ended = job.end()
        # On a busy machine the launcher itself may be met, between its last word and `main`.
        if ended.code != -signal.SIGINT or "/imagist/" in ended.err:
            break
    assert ended == INTERRUPTED or (ended.code, ended.err) == (0, "")
    check_store(workshop)


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGHUP, 129, "terminated"),
    ],
)
def test_a_server_that_answers_nothing_keeps_no_process(
    workshop: Workshop, number: int, code: int, word: str
) -> None:
    with serve() as web:
        index = "/repo/x86_64/APKINDEX.tar.gz"
        web.on(index, STALLED)
        declare(workshop, f"{web.url}/repo")
        job = start(workshop)
        job.wait_for(lambda: web.count(index))
        assert job.end(number) == Ended(code, "", f"{word}\n")
    check_store(workshop)


def serve_but_packages(web: Web, shop: Workshop, answer: Answer) -> None:
    url = web.serve_folder(Path("repo"), "/repo")
    for path in Path("repo/x86_64").glob("*.apk"):
        web.on(f"/repo/x86_64/{path.name}", answer)
    declare(shop, url)


def test_packages_that_never_end_keep_no_process(workshop: Workshop) -> None:
    with serve() as web:
        serve_but_packages(web, workshop, STALLED)
        job = start(workshop)
        job.wait_for(lambda: sum(asked.path.endswith(".apk") for asked in web.asked))
        assert job.end() == INTERRUPTED
    check_store(workshop)
    declare(workshop, "repo")
    workshop.build("image.yaml")


def test_impatience_is_no_traceback(workshop: Workshop) -> None:
    with serve() as web:
        serve_but_packages(web, workshop, STALLED)
        job = start(workshop)
        job.wait_for(lambda: sum(asked.path.endswith(".apk") for asked in web.asked))
        for _ in range(5):
            job.send(signal.SIGINT)
            time.sleep(0.01)
        assert job.wait() == INTERRUPTED
    check_store(workshop)


@pytest.mark.parametrize("what", ["key", "index", "declaration"])
def test_a_pipe_that_nobody_writes_keeps_no_process(workshop: Workshop, what: str) -> None:
    pipe = {
        "key": workshop.folder / "pipe.rsa.pub",
        "index": workshop.folder / "odd/x86_64/APKINDEX.tar.gz",
        "declaration": workshop.folder / "image.yaml",
    }[what]
    declare(workshop, "odd" if what == "index" else "repo")
    pipe.parent.mkdir(parents=True, exist_ok=True)
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    job = start(workshop, *(("-k", pipe) if what == "key" else ()))

    if what == "declaration":  # closing the other end would give it an empty one
        time.sleep(0.3)
    else:
        writer: list[int] = []

        def open_writer() -> bool:
            try:
                writer.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:
                return False
            return True

        assert job.wait_for(open_writer)
    assert job.end() == INTERRUPTED
    check_store(workshop)


@pytest.fixture
def large(workshop: Workshop, large_repository: Path) -> Workshop:
    """A workshop whose image takes a while to fetch, to write, and to put into an archive."""
    shutil.copytree(large_repository, "large", copy_function=os.link)
    workshop.write(
        "contents:\n  repositories: [large]\n  keyring: [demo-test-only.rsa.pub]\n"
        "  packages: [large]\narchs: [x86_64]\nlayering: {strategy: single}\n"
    )
    return workshop


@pytest.fixture(scope="module")
def large_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("large")
    files = [file(f"usr/share/large/{n}", os.urandom(1 << 23)) for n in range(4)]
    write_repository(root, {"x86_64": [Apk("large", items=files)]})
    return root


def stop_when(job: Job, condition: Callable[[], object]) -> bool:
    """Stop a process in the middle of something; False where it was over too soon."""
    if not job.wait_for(condition):
        return False
    job.send(signal.SIGSTOP)
    return bool(condition())


@pytest.mark.parametrize("place", ["package", "layer", "archive", "layout"])
def test_writing_can_be_interrupted_anywhere(large: Workshop, place: str) -> None:
    output = "layout" if place == "layout" else "out.tar"
    layers = large.store / "tmp"

    def is_begun() -> object:
        if place == "package":
            return any(layers.glob("*"))
        if place == "layer":  # written when the package is whole
            blobs = large.store.glob("blobs/sha256/*")
            return any(layers.glob("*")) and any(b.stat().st_size > 1 << 24 for b in blobs)
        return any(large.folder.glob(f".{output}.imagist-*"))

    for _ in range(5):
        job = start(large, "-o", output)
        if stop_when(job, is_begun):
            job.send(signal.SIGINT)
            job.send(signal.SIGCONT)
            assert job.wait() == INTERRUPTED
            break
        job.send(signal.SIGCONT)
        assert job.wait().code == 0
        shutil.rmtree(large.store)
        shutil.rmtree(output) if place == "layout" else Path(output).unlink()
    else:
        pytest.fail("it is never in the middle of writing")
    assert not Path(output).exists()
    check_store(large)
    digest = large.build("image.yaml", "-o", output)
    assert large.run("validate", output).out.strip() == digest


def test_any_moment_will_do(large: Workshop) -> None:
    begun = time.monotonic()
    whole = start(large, "-o", "out.tar").wait()
    duration = time.monotonic() - begun
    assert whole.code == 0
    for part in range(1, 7):
        shutil.rmtree(large.store, ignore_errors=True)
        Path("out.tar").unlink(missing_ok=True)
        job = start(large, "-o", "out.tar")
        time.sleep(duration * part / 7)
        ended = job.end((signal.SIGINT, signal.SIGTERM)[part % 2])
        # With the answer given, the interpreter may be past its own signal handlers.
        assert ended.code in {130, 143} or ended.out == whole.out
        assert ended.err in {"", "interrupted\n", "terminated\n"}
        assert Path("out.tar").exists() or not ended.out
        check_store(large)
    assert start(large, "-o", "out.tar").wait() == whole


def test_a_reader_who_does_not_read_keeps_no_process(workshop: Workshop) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    os.set_blocking(writing, True)
    with serve() as web:
        index = "/repo/x86_64/APKINDEX.tar.gz"
        web.on(index, STALLED)
        declare(workshop, f"{web.url}/repo")
        job = start(workshop, stderr=writing)
        job.wait_for(lambda: web.count(index))
        assert job.end().code == 130
    os.close(reading)
    os.close(writing)


def test_with_json_the_last_word_is_json(workshop: Workshop) -> None:
    with serve() as web:
        index = "/repo/x86_64/APKINDEX.tar.gz"
        web.on(index, STALLED)
        declare(workshop, f"{web.url}/repo")
        job = start(workshop, "--json")
        job.wait_for(lambda: web.count(index))
        ended = job.end()
    assert json.loads(ended.err) == {"error": {"message": "interrupted"}, "exit_code": 130}
