"""Requests that cannot be met, and places that cannot be written: a clear error by class."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from build.commandline import command, environment, spawn
from build.conftest import Workshop
from build.refusing import (
    INPUT,
    NETWORK,
    REQUEST,
    check_store,
    refused,
)
from build.test_job import lock_of
from imagist.store.store import Store

# Requests that cannot be met


@pytest.mark.parametrize(
    ("packages", "words"),
    [
        ("[absent-package]", ["absent-package"]),
        ("[helo]", ["helo", "hello"]),
        ("['hello=9.9-r0']", ["hello", "9.9-r0"]),
        ("[hello, hello-broken]", ["hello", "hello-broken"]),
        ("[editor-large, editor-small]", ["/usr/bin/edit"]),
    ],
)
def test_worlds_that_cannot_be(workshop: Workshop, packages: str, words: list[str]) -> None:
    code = INPUT if "editor" in packages else REQUEST
    refused(workshop, code, *words, name=workshop.declare(packages), helpless=True)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("enviroment: {A: b}", ["image.yaml:6:1", "`environment`"]),
        ("cmd: [a", ["image.yaml"]),
        ("cmd: a\ncmd: b", ["image.yaml:7:1", "cmd"]),
        ("layering: {strategy: orgin}", ["orgin", "origin"]),
        ("paths: [{path: ../x, type: directory}]", ["../x"]),
        ("paths: [{path: /x, type: permissions, permissions: 0o700}]", ["paths[0]"]),
        ("files: [{path: /x, source: absent}]", ["absent"]),
        ("accounts: {run-as: nobody-here}", ["nobody-here"]),
        ("archs: [sparc]", ["archs"]),
    ],
)
def test_declarations_that_make_no_sense(workshop: Workshop, more: str, words: list[str]) -> None:
    name = workshop.declare(more=more)
    if more.startswith("archs"):
        text = Path(name).read_text().replace("archs: [x86_64]\n", "")
        Path(name).write_text(text)
    code = INPUT if more.startswith("files") else REQUEST
    refused(workshop, code, *words, name=name, helpless=True)


def test_what_does_not_fit_the_packages_is_told_with_its_place(workshop: Workshop) -> None:
    accounts = workshop.declare("[hello]", "accounts: {run-as: nobodyy}")
    refused(workshop, REQUEST, "nobodyy", "image.yaml:6:20", name=accounts)
    paths = workshop.declare("[hello]", "paths:\n- {path: /nope, type: permissions}")
    refused(workshop, REQUEST, "/nope", "image.yaml:7:3", name=paths, helpless=True)


def test_a_named_pipe_as_a_source_is_refused_and_not_waited_for(workshop: Workshop) -> None:
    os.mkfifo("pipe")
    name = workshop.declare(more="files: [{path: /x, source: pipe}]")
    refused(workshop, INPUT, "`pipe` is neither a file nor a folder", name=name, helpless=True)


def test_a_repository_or_architecture_that_is_not_there(workshop: Workshop) -> None:
    name = workshop.declare(archs="[x86_64, riscv64]")
    refused(workshop, INPUT, "repo", "riscv64", name=name)
    text = Path(name).read_text().replace("[repo]", "[nowhere]")
    refused(workshop, INPUT, "nowhere", name=workshop.write(text), helpless=True)
    refused(workshop, INPUT, "absent.yaml", name="absent.yaml")


def test_a_server_that_is_not_there(workshop: Workshop) -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/repo"
        text = Path(workshop.declare()).read_text().replace("[repo]", f"['{address}']")
        name = workshop.write(text)
        refused(
            workshop, NETWORK, "127.0.0.1", name=name, flags=("--offline", "-q"), helpless=True
        )


@pytest.mark.parametrize("value", ["tomorrow", "-1", "1.5", "99999999999"])
def test_times_that_are_none(
    workshop: Workshop, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", value)
    refused(workshop, REQUEST, "SOURCE_DATE_EPOCH", value, name=workshop.declare())


def test_locks_that_do_not_fit(workshop: Workshop) -> None:
    name = workshop.declare()
    lock = lock_of(workshop, name)
    good = json.dumps(lock)
    flags = ("--lock", "l.json")

    def with_lock(text: str, code: int, *words: str, more: tuple[str, ...] = ()) -> None:
        workshop.write(text, "l.json")
        refused(workshop, code, *words, flags=(*flags, *more), name=name, helpless=True)

    with_lock("{", INPUT, "l.json")
    with_lock("[]", INPUT, "l.json")
    with_lock(good.replace('"v1"', '"v9"'), REQUEST, "l.json", "v9")
    with_lock(good, REQUEST, "arm64", "x86_64", more=("--platform", "arm64"))
    lock["contents"]["packages"][0]["data"] = {"checksum": "sha256-AAAA"}
    with_lock(json.dumps(lock), INPUT, lock["contents"]["packages"][0]["name"])
    lock["contents"]["packages"][0]["data"] = {"checksum": "sha256-not base64!"}
    with_lock(json.dumps(lock), INPUT, lock["contents"]["packages"][0]["name"])
    workshop.declare(more="cmd: other")
    with_lock(good, REQUEST, "l.json", "image.yaml")


# Places that cannot be written or are damaged


def test_an_output_that_is_something_else(workshop: Workshop) -> None:
    folder = workshop.folder / "mine"
    folder.mkdir()
    (folder / "precious").write_text("x")
    refused(workshop, REQUEST, "mine", output="mine", name=workshop.declare())
    assert (folder / "precious").read_text() == "x"
    refused(
        workshop,
        REQUEST,
        "image.yaml",
        output="image.yaml/out.tar",
        name="image.yaml",
        helpless=True,
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_that_cannot_be_written(workshop: Workshop) -> None:
    folder = workshop.folder / "shut"
    folder.mkdir(mode=0o500)
    refused(workshop, INPUT, "shut", output="shut/out.tar", name=workshop.declare(), helpless=True)


def test_an_output_where_nothing_can_be(workshop: Workshop) -> None:
    for output in ("/proc/nowhere/out.tar", "/proc/nowhere/out"):
        refused(
            workshop, INPUT, "/proc/nowhere", output=output, name=workshop.declare(), helpless=True
        )


def test_a_failed_build_leaves_the_old_output_alone(workshop: Workshop) -> None:
    workshop.build(workshop.declare(), "-o", "out.tar")
    old = Path("out.tar").read_bytes()
    refused(workshop, REQUEST, name=workshop.declare("[absent]"), helpless=True)
    assert Path("out.tar").read_bytes() == old


def test_a_damaged_blob_is_told_removed_and_fetched_again(workshop: Workshop) -> None:
    name = workshop.declare("[demo-web, hello]")
    expected = workshop.build(name)
    store = Store.open(workshop.store)
    damaged_blobs = 0
    for path in store.blobs.folder.iterdir():
        if path.stat().st_size > 400 and path.read_bytes()[:2] == b"\x1f\x8b":
            path.chmod(0o600)
            path.write_bytes(path.read_bytes()[:-50])
            damaged_blobs += 1
    assert damaged_blobs
    answer = workshop.run(
        "build", workshop.declare("[demo-web, hello]", "cmd: x\nlayering: {strategy: single}")
    )
    assert (answer.code, "imagist cache verify" in answer.err) == (INPUT, True), answer.err
    verified = workshop.run("cache", "verify")
    assert verified.code == 1
    assert verified.err.count("error: the blob sha256:") == damaged_blobs
    assert workshop.run("cache", "verify").code == 0
    assert workshop.build(workshop.declare("[demo-web, hello]")) == expected
    check_store(workshop)


def test_a_store_that_is_a_file(workshop: Workshop) -> None:
    workshop.store.write_text("")
    answer = workshop.run("build", workshop.declare())
    assert (answer.code, "store" in answer.err) == (INPUT, True)
    assert "Traceback" not in answer.err


def test_killed_builds_leave_nothing_that_a_next_one_minds(workshop: Workshop) -> None:
    name = workshop.declare("[demo-web, hello, demo-permissions]")
    words = command("build", name, "--cache", workshop.store, "-o", "out.tar")
    for delay in (0.15, 0.25, 0.35):
        process = subprocess.Popen(
            words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
    Store.open(workshop.store)  # removes what the killed ones were writing
    check_store(workshop)
    digest = workshop.build(name, "-o", "out.tar")
    assert workshop.run("validate", "out.tar").out.strip() == digest
    assert not [path for path in workshop.folder.iterdir() if path.name.startswith(".")]


def test_two_builds_at_once_share_a_store(workshop: Workshop) -> None:
    name = workshop.declare("[demo-web, hello, demo-permissions]", archs="[x86_64, aarch64]")
    both = [
        subprocess.Popen(
            command("build", name, "--cache", workshop.store, "-o", output),
            env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for output in ("one.tar", "two.tar")
    ]  # fmt: skip
    answers = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    assert answers[0][0] == answers[1][0]
    assert Path("one.tar").read_bytes() == Path("two.tar").read_bytes()
    check_store(workshop)


def test_an_interrupted_build_says_so(workshop: Workshop) -> None:
    os.mkfifo("slow.yaml")
    process = subprocess.Popen(
        command("build", "slow.yaml", "--cache", workshop.store),
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(0.6)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (130, "", "interrupted\n")


def test_errors_are_the_same_from_a_process_of_its_own(workshop: Workshop) -> None:
    name = workshop.declare("[absent]")
    answer = spawn("build", name, "--cache", workshop.store, cwd=workshop.folder)
    assert answer == workshop.run("build", name)


def test_an_output_that_is_no_place_for_files_is_refused(workshop: Workshop) -> None:
    workshop.declare()
    os.mkfifo("pipe")
    code, _, err = workshop.run("build", "image.yaml", "-o", "pipe")
    assert (code, "neither a file nor a folder" in err) == (2, True)
    code, _, err = workshop.run("build", "image.yaml", "-o", "/proc/image.tar")
    assert (code, "cannot be written" in err) == (3, True)
