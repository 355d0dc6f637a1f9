"""What is damaged, forged or impossible: a clear error by class, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import pytest

from build.commandline import Answer, command, environment, spawn
from build.conftest import Workshop
from build.described import read_tree
from build.test_job import lock_of
from fixtures import corrupt
from fixtures.maker import (
    Apk,
    Built,
    Item,
    build_apk,
    file,
    format_record,
    gzip,
    load_key,
    sign_index,
    symlink,
    write_tar,
)
from imagist.oci.image import Image
from imagist.store.layout import read_layout
from imagist.store.store import Store
from imagist.store.upkeep import remove_damaged

ARCH = "x86_64"
KEY = load_key()
REQUEST, INPUT, NETWORK = 2, 3, 4


def repository(
    workshop: Workshop,
    packages: list[Built],
    *,
    served: Mapping[str, bytes] | None = None,
    index: bytes | None = None,
) -> None:
    """Replace `repo` by one of these packages, where `served` says what files really hold."""
    folder = workshop.folder / "repo" / ARCH
    for old in folder.iterdir():
        old.unlink()
    for built in packages:
        (folder / built.filename).write_bytes((served or {}).get(built.apk.name, built.blob))
    blob = corrupt.index_of(packages, KEY) if index is None else index
    (folder / "APKINDEX.tar.gz").write_bytes(blob)


def make(name: str, *items: Item, **more: object) -> Built:
    content = (
        [file(f"usr/share/{name}", name * 500)] if not items and "data" not in more else items
    )
    return build_apk(Apk(name, items=content, **more), ARCH)  # type: ignore[arg-type]


def refused(
    workshop: Workshop,
    code: int,
    *words: str,
    name: str = "image.yaml",
    flags: tuple[str, ...] = (),
    output: str = "out.tar",
    spared: tuple[Built, ...] = (),
    helpless: bool = False,
) -> Answer:
    """Build, which must fail: with this code, a message with these words, and no traces."""
    before = {path.name for path in workshop.folder.iterdir()} | {"store"}
    answer = workshop.run("build", name, "-o", output, *flags)
    assert answer.code == code, answer
    assert answer.out == ""
    assert answer.err.startswith("error: ")
    assert "Traceback" not in answer.err
    for word in words:
        assert word in answer.err, answer.err
    assert helpless or "help: " in answer.err, answer.err
    assert {path.name for path in workshop.folder.iterdir()} <= before
    check_store(workshop, spared)
    return answer


def check_store(workshop: Workshop, refused_packages: tuple[Built, ...] = ()) -> None:
    """Whatever is in the store is whole; of refused packages nothing is."""
    if not workshop.store.exists():
        return
    store = Store.open(workshop.store)
    assert not list((workshop.store / "tmp").iterdir())
    assert remove_damaged(store) == []
    for built in refused_packages:
        assert not store.has(f"sha256:{built.datahash}")


# Packages that are not what they should be


def damaged(kind: str) -> tuple[Built, bytes, str]:
    good, other = make("victim"), make("other")
    return {
        "truncated": (good, corrupt.truncate(good.blob, 0.6), "victim"),
        "empty": (good, b"", "victim"),
        "flipped in control": (good, corrupt.flip_byte(good.blob, 40), "victim"),
        "flipped in data": (good, corrupt.flip_byte(good.blob, -60), "victim"),
        "with more behind": (good, good.blob + bytes(100), "victim"),
        "data of another": (good, corrupt.swap_data(good, other), "victim"),
        "another package": (good, other.blob, "victim"),
        "an HTML page": (good, b"<html>not found</html>" * 30, "victim"),
    }[kind]  # fmt: skip


@pytest.mark.parametrize(
    "kind",
    [
        "truncated", "empty", "flipped in control", "flipped in data", "with more behind",
        "data of another", "another package", "an HTML page",
    ],
)  # fmt: skip
@pytest.mark.parametrize("sizes_lie", [False, True])
def test_a_package_that_is_not_the_one_of_the_index(
    workshop: Workshop, kind: str, sizes_lie: bool
) -> None:
    built, served, name = damaged(kind)
    index = None
    if sizes_lie:  # the index states the size of what is served, so that only hashes can tell
        record = format_record(built).replace(f"S:{len(built.blob)}\n", f"S:{len(served)}\n")
        text = gzip(write_tar([Item("APKINDEX", content=record.encode(), checksum="")]))
        index = sign_index(text, KEY)
    repository(workshop, [built], served={name: served}, index=index)
    refused(workshop, INPUT, "victim-1.0.0-r0", spared=(built,), name=workshop.declare("[victim]"))


def test_one_bad_package_among_good_ones_is_the_one_that_is_named(workshop: Workshop) -> None:
    good, bad = make("good"), make("bad")
    repository(workshop, [good, bad], served={"bad": corrupt.truncate(bad.blob, 0.5)})
    answer = refused(
        workshop, INPUT, "bad-1.0.0-r0", spared=(bad,), name=workshop.declare("[good, bad]")
    )
    assert "good-1.0.0" not in answer.err


def test_a_file_that_is_not_the_one_recorded(workshop: Workshop) -> None:
    liar = corrupt.lie_about_content(ARCH)
    repository(workshop, [liar])
    refused(workshop, INPUT, "/etc/liar", "liar", spared=(liar,), name=workshop.declare("[liar]"))


def test_another_correctly_signed_package_in_place_of_one(workshop: Workshop) -> None:
    one, two = make("one"), make("two")
    folder = workshop.folder / "repo" / ARCH
    repository(workshop, [one, two])
    corrupt.swap_files(folder / one.filename, folder / two.filename)
    refused(workshop, INPUT, "one-1.0.0-r0", spared=(one, two), name=workshop.declare("[one]"))


@pytest.mark.parametrize("fake", ["a-fake", "z-fake"])
def test_an_index_that_gives_one_package_two_names(workshop: Workshop, fake: str) -> None:
    """Signed, but false: the fake has the checksum of `real`, and is served as it."""
    real = make("real")
    record = format_record(real)
    false = record + record.replace("P:real", f"P:{fake}")
    segment = gzip(write_tar([Item("APKINDEX", content=false.encode(), checksum="")]))
    repository(workshop, [real], index=sign_index(segment, KEY))
    folder = workshop.folder / "repo" / ARCH
    (folder / f"{fake}-1.0.0-r0.apk").write_bytes(real.blob)
    refused(workshop, INPUT, fake, name=workshop.declare(f"[real, {fake}]"))


@pytest.mark.parametrize("apk", list(corrupt.hostile_packages()), ids=lambda apk: apk.name)
def test_packages_that_reach_out_of_the_tree(workshop: Workshop, apk: Apk) -> None:
    built = build_apk(apk, ARCH)
    repository(workshop, [built])
    name = workshop.declare(f"[{apk.name}]")
    if apk.name in {"absolute", "follower"}:  # both are taken inside the image's root
        workshop.build(name, "-o", "out", "--platform", "amd64")
        tree = read_tree(cast("Image", read_layout(workshop.folder / "out")))
        assert ("etc/passwd" if apk.name == "absolute" else "outside/file") in tree
        assert not (workshop.folder / "outside").exists()
        return
    refused(workshop, INPUT, apk.name, name=name, helpless=True)
    assert not (workshop.folder.parent / "outside").exists()


def test_what_a_symlink_leads_to_stays_inside(workshop: Workshop, tmp_path: Path) -> None:
    """The symlink and the file come in two packages, each harmless in itself."""
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    first = make("first", symlink("escape", f"../../../../..{outside}"))
    second = make("second", file("escape/file", "x"), depends=["first"], parents=False)
    repository(workshop, [first, second])
    answer = workshop.run("build", workshop.declare("[second]"), "-o", "out")
    assert not outside.exists()
    assert answer.code in {0, INPUT}


@pytest.mark.parametrize(
    ("built", "flags"),
    [
        (corrupt.bomb_apk(ARCH, 64 << 20), ("--max-apk-data-size", str(1 << 20))),
        (corrupt.pax_bomb(ARCH, 2 << 20), ()),
        (make("control", scripts={"post-install": "#" * (2 << 20)}), ("--max-apk-control-size", str(1 << 20))),
        (make("huge"), ("--max-http-response-size", "100")),
    ],
    ids=["gzip", "pax", "control", "file"],
)  # fmt: skip
def test_bombs_are_refused_before_they_go_off(
    workshop: Workshop, built: Built, flags: tuple[str, ...]
) -> None:
    repository(workshop, [built])
    name = workshop.declare(f"[{built.apk.name}]")
    refused(workshop, INPUT, built.apk.name, flags=flags, spared=(built,), name=name)


def test_an_index_that_is_a_bomb(workshop: Workshop) -> None:
    repository(workshop, [], index=corrupt.bomb_index(64 << 20, KEY))
    flags = ("--max-apkindex-decompressed-size", str(1 << 20))
    refused(
        workshop, INPUT, "APKINDEX.tar.gz", flags=flags, name=workshop.declare(), helpless=True
    )


def test_two_packages_that_own_a_file(workshop: Workshop) -> None:
    repository(workshop, [make("a", file("etc/f", "1")), make("b", file("etc/f", "2"))])
    refused(workshop, INPUT, "a and b", "/etc/f", name=workshop.declare("[a, b]"))


def test_a_file_under_a_file_of_another_package(workshop: Workshop) -> None:
    under = make("b", file("etc/f/g", "2"), parents=False)
    repository(workshop, [make("a", file("etc/f", "1")), under])
    refused(workshop, INPUT, "/etc/f", "b", name=workshop.declare("[a, b]"), helpless=True)


# Keys and signatures


def resign(workshop: Workshop, change: Callable[[bytes], bytes]) -> None:
    index = workshop.folder / "repo" / ARCH / "APKINDEX.tar.gz"
    data = index.read_bytes()
    index.unlink()
    index.write_bytes(change(data))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (corrupt.drop_signature, ["APKINDEX.tar.gz"]),
        (lambda blob: corrupt.resign_index(blob, load_key("other")), ["other-test-only.rsa.pub"]),
        (
            lambda blob: corrupt.resign_index(
                blob, corrupt.forge_key_name(load_key("other"), KEY.name)
            ),
            [KEY.name],
        ),
        (lambda blob: corrupt.flip_byte(blob, -200), ["APKINDEX.tar.gz"]),
        (lambda blob: corrupt.truncate(blob, 0.5), ["APKINDEX.tar.gz"]),
        (lambda _: b"", ["APKINDEX.tar.gz"]),
        (lambda _: b"<html>", ["APKINDEX.tar.gz"]),
    ],
    ids=["unsigned", "unknown key", "forged name", "changed", "truncated", "empty", "no gzip"],
)
def test_indexes_that_nobody_vouches_for(
    workshop: Workshop, change: Callable[[bytes], bytes], words: list[str]
) -> None:
    resign(workshop, change)
    refused(workshop, INPUT, *words, name=workshop.declare(), helpless=True)


def test_what_was_trusted_once_is_not_without_its_key(workshop: Workshop) -> None:
    """A remembered signature counts only as long as the key that made it is trusted."""
    workshop.build(workshop.declare())
    (workshop.folder / "demo-test-only.rsa.pub").unlink()
    (workshop.folder / "demo-test-only.rsa.pub").write_bytes(load_key("other").public_pem)
    refused(workshop, INPUT, "APKINDEX.tar.gz", name="image.yaml")


@pytest.mark.parametrize(
    "content",
    [None, b"", b"no key", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"],
)
def test_keys_that_are_missing_or_none(workshop: Workshop, content: bytes | None) -> None:
    key = workshop.folder / "demo-test-only.rsa.pub"
    key.unlink()
    if content is not None:
        key.write_bytes(content)
    refused(workshop, INPUT, "demo-test-only.rsa.pub", name=workshop.declare(), helpless=True)


def test_signatures_are_not_asked_for_where_that_is_asked(workshop: Workshop) -> None:
    resign(workshop, corrupt.drop_signature)
    assert workshop.run("build", workshop.declare(), "--ignore-signatures").code == 0


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
