"""inspect, export, diff and history as they are used."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest

from build.commandline import command, environment, spawn
from build.conftest import Workshop
from fixtures.maker import Apk, write_repository
from fixtures.maker import file as apk_file
from fixtures.zstd import compress
from imagist.digest import sha256
from imagist.oci import mediatype
from imagist.oci.derive import BytesLayer, MemoryImage
from imagist.oci.manifest import Manifest, describe, encode
from imagist.oci.random import AMD64, random_index
from imagist.store.archive import write_archive
from imagist.store.layout import write_layout
from inspection.described import (
    edited,
    file,
    folder,
    image,
    installed,
    layer,
    layer_of,
    pack,
    read_tar,
    symlink,
)
from support import find_tool, needs

Shop = Workshop
CONFIG = """
entrypoint: {command: /bin/hello}
cmd: --loud "two words"
work-dir: /srv
accounts: {run-as: 65532}
environment: {KEY: value}
volumes: [/data]
ports: ["80"]
labels: {team: web}
stop-signal: SIGINT
annotations: {note: kept}
healthcheck: {test: wget -q x, interval: 30s}
"""


def test_inspect_tells_everything_of_a_built_image(workshop: Shop) -> None:
    name = workshop.declare("[hello, editor]", CONFIG)
    digest = workshop.build(name, "-o", "a.tar")
    document = json.loads(workshop.run("inspect", "a.tar", "--json").out)
    assert document["digest"] == digest
    assert document["annotations"]["note"] == "kept"
    [found] = document["images"]
    assert found["platform"] == "linux/amd64"
    assert found["config"] == {
        "user": "65532", "entrypoint": ["/bin/hello"], "cmd": ["--loud", "two words"],
        "env": found["config"]["env"], "workdir": "/srv", "ports": ["80/tcp"],
        "volumes": ["/data"], "labels": {"team": "web"}, "stop_signal": "SIGINT",
        "healthcheck": {"Test": ["CMD-SHELL", "wget -q x"], "Interval": 30 * 10**9},
    }  # fmt: skip
    assert "KEY=value" in found["config"]["env"]
    assert found["size"] == sum(each["size"] for each in found["layers"])
    assert {each["name"] for each in found["packages"]} >= {"hello", "editor-small", "demo-libc"}
    owners = {package for each in found["layers"] for package in each["packages"]}
    assert "hello-1.1.0-r0" in owners


def stated_datahashes(folder_: Path) -> set[str]:
    """What the control segments of packages state."""
    found = set()
    for path in folder_.glob("*.apk"):
        data = path.read_bytes()
        while data:
            state = zlib.decompressobj(31)
            found |= set(re.findall(rb"datahash = ([0-9a-f]{64})", state.decompress(data)))
            data = state.unused_data
    return {f"sha256:{each.decode()}" for each in found}


def test_a_large_package_is_a_layer_as_it_is(workshop: Shop) -> None:
    content = os.urandom(100_000)
    write_repository(Path("large"), {"x86_64": [Apk("large", items=[apk_file("x", content)])]})
    name = workshop.write(
        "contents: {repositories: [large], keyring: [demo-test-only.rsa.pub], packages: [large]}\n"
        "archs: [x86_64]\n"
    )
    workshop.build(name, "-o", "a.tar")
    document = json.loads(workshop.run("inspect", "a.tar", "--json").out)
    layers = document["images"][0]["layers"]
    assert [each["origin"] for each in layers] == ["verbatim", "written"]
    assert layers[0]["digest"] in stated_datahashes(Path("large/x86_64"))
    assert layers[0]["packages"] == ["large-1.0.0-r0"]


def test_inspect_shows_words_and_leaves_out_what_is_not_there(workshop: Shop) -> None:
    workshop.build(workshop.declare("[hello]", CONFIG), "-o", "layout")
    out = workshop.run("inspect", "layout").out
    for words in (
        "entrypoint ", "/bin/hello", "--loud 'two words'", "KEY=value", "80/tcp", "team=web",
        "SIGINT", "note=kept", "CMD-SHELL 'wget -q x'  every 30 s", " written ", "tar+gzip",
    ):  # fmt: skip
        assert words in out
    workshop.build(workshop.declare("[hello]"), "-o", "plain")
    assert "entrypoint" not in workshop.run("inspect", "plain").out
    short = workshop.run("inspect", "layout").out
    full = workshop.run("inspect", "layout", "-v").out
    [layer_digest] = {
        each["digest"]
        for each in json.loads(workshop.run("inspect", "layout", "--json").out)["images"][0]["layers"]
        if each["number"] == 1
    }  # fmt: skip
    assert layer_digest[:19] in short
    assert layer_digest not in short
    assert layer_digest in full


def test_inspect_lists_files_like_ls(workshop: Shop) -> None:
    workshop.build(workshop.declare("[hello]"), "-o", "layout")
    lines = workshop.run("inspect", "layout", "--files").out.splitlines()
    [hello] = [line.split() for line in lines if line.endswith(" /usr/bin/hello")]
    assert hello[0] == "-rwxr-xr-x"
    assert hello[1] == "0:0"
    assert hello[4] == "hello"
    document = json.loads(workshop.run("inspect", "layout", "--files", "--json").out)
    paths = [each["path"] for each in document["images"][0]["files"]]
    assert workshop.run("export", "layout", "-o", "rootfs.tar").code == 0
    assert sorted(paths) == sorted(read_tar(Path("rootfs.tar").read_bytes()))
    layered = json.loads(workshop.run("inspect", "layout", "--layers", "--json").out)
    assert sum(len(each["files"]) for each in layered["images"][0]["layers"]) >= len(paths)


def test_platforms_are_chosen_and_listed(workshop: Shop) -> None:
    write_layout(random_index(1), Path("layout"))
    out = workshop.run("inspect", "layout").out
    assert out.index("linux/amd64") < out.index("linux/arm64")
    only = json.loads(workshop.run("inspect", "layout", "--platform", "arm64", "--json").out)
    assert [each["platform"] for each in only["images"]] == ["linux/arm64"]
    absent = workshop.run("inspect", "layout", "--platform", "s390x")
    assert (absent.code, absent.out) == (3, "")
    assert "linux/amd64, linux/arm64" in absent.err


@pytest.mark.parametrize("prefix", ["", "oci-archive:", "docker-archive:"])
@pytest.mark.parametrize("verb", ["inspect", "history", "validate"])
def test_images_are_found_by_every_name(workshop: Shop, verb: str, prefix: str) -> None:
    write_archive(image(layer(file("a"))), Path("a.tar"), tags=["example.org/app:1"])
    assert workshop.run(verb, f"{prefix}a.tar").code == 0
    if prefix:
        assert workshop.run(verb, f"{prefix}a.tar:example.org/app:1").code == 0
        assert workshop.run(verb, f"{prefix}a.tar:example.org/app:2").code == 3
    assert workshop.run(verb, "oci:a.tar").code == 2
    assert workshop.run(verb, f"{prefix}absent").code == 3


def test_images_of_the_store_are_found_by_the_beginning_of_their_digest(workshop: Shop) -> None:
    digest = workshop.build(workshop.declare())
    for name in (digest, digest[:15], digest[7:17], f"store:{digest}", f"store:{digest[7:13]}"):
        assert json.loads(workshop.run("inspect", name, "--json").out)["digest"] == digest
    assert workshop.run("inspect", "store:00").code == 2
    assert workshop.run("inspect", "x" * 5000).code == 3


def test_export_writes_a_tar_to_a_file_at_once_or_to_stdout(workshop: Shop) -> None:
    workshop.build(workshop.declare("[hello]"), "-o", "a.tar")
    assert workshop.run("export", "a.tar", "-o", "rootfs.tar") == (0, "", "")
    words = ("export", "a.tar", "--cache", workshop.store)
    piped = subprocess.run(command(*words), env=environment(), capture_output=True)
    assert (piped.returncode, piped.stderr) == (0, b"")
    assert piped.stdout == Path("rootfs.tar").read_bytes()
    assert "usr/bin/hello" in read_tar(piped.stdout)
    answer = json.loads(workshop.run("export", "a.tar", "-o", "rootfs.tar", "--json").out)
    assert answer["output"] == "rootfs.tar"
    assert workshop.run("export", "a.tar", "--json").code == 2
    Path("folder").mkdir()
    assert workshop.run("export", "a.tar", "-o", "folder").code == 2


def test_export_into_a_device_leaves_the_device(workshop: Shop) -> None:
    write_archive(image(layer(file("a"))), Path("a.tar"))
    words = ("export", "a.tar", "-o", "/dev/stdout", "--cache", workshop.store)
    done = subprocess.run(command(*words), env=environment(), capture_output=True, timeout=60)
    assert (done.returncode, list(read_tar(done.stdout))) == (0, ["a"])
    assert workshop.run("export", "a.tar", "-o", os.devnull).code == 0
    assert Path(os.devnull).is_char_device()


def test_a_tar_is_not_written_to_a_terminal(workshop: Shop) -> None:
    write_archive(image(layer(file("a"))), Path("a.tar"))
    ours, theirs = pty.openpty()
    words = ("export", "a.tar", "--cache", workshop.store)
    done = subprocess.run(
        command(*words), env=environment(), stdout=theirs, stderr=subprocess.PIPE
    )
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    assert b"terminal" in done.stderr
    assert b"-o rootfs.tar" in done.stderr


def test_what_fails_leaves_no_file(workshop: Shop) -> None:
    write_layout(image(layer(file("a", "text" * 999))), Path("layout"))
    largest = max(Path("layout/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-3])
    before = sorted(os.listdir())
    for verb in ("export", "inspect"):
        words = ["-o", "rootfs.tar"] if verb == "export" else []
        code, out, err = workshop.run(verb, "layout", *words)
        assert (code, out) == (3, "")
        assert err.startswith("error: ")
    largest.unlink()
    assert workshop.run("export", "layout", "-o", "rootfs.tar").code == 3
    assert sorted(os.listdir()) == before


def test_one_image_is_exported_of_several(workshop: Shop) -> None:
    write_archive(random_index(1), Path("a.tar"))
    both = {}
    for name in ("amd64", "arm64"):
        assert workshop.run("export", "a.tar", "-o", name, "--platform", name).code == 0
        both[name] = Path(name).read_bytes()
    assert both["amd64"] != both["arm64"]
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine)
    code, _, err = workshop.run("export", "a.tar", "-o", "default")
    if machine:
        assert code == 0
        assert Path("default").read_bytes() == both[machine]
    else:
        assert (code, "linux/amd64, linux/arm64" in err) == (2, True)


@needs("crane")
def test_export_is_what_crane_exports(workshop: Shop) -> None:
    workshop.build(workshop.declare("[hello, editor]"), "-o", "a.tar", "-t", "x.org/a:1")
    workshop.run("export", "a.tar", "-o", "ours.tar")
    crane = find_tool("crane")
    assert crane
    with Path("a.tar").open("rb") as stream:
        theirs = subprocess.run(
            [crane, "export", "-", "-"], stdin=stream, capture_output=True, check=True
        )
    assert read_tar(Path("ours.tar").read_bytes()) == read_tar(theirs.stdout)


def test_diff_says_equal_or_different_by_its_exit_code(workshop: Shop) -> None:
    workshop.build(workshop.declare("[hello]", "environment: {A: one}"), "-o", "a.tar")
    workshop.build(workshop.declare("[hello, editor]", "environment: {A: two}"), "-o", "b.tar")
    assert workshop.run("diff", "a.tar", "a.tar") == (0, "", "")
    code, out, err = workshop.run("diff", "a.tar", "b.tar")
    assert (code, err) == (1, "")
    assert "editor-small" in out
    assert 'config.Env.A: "one" -> "two"' in out
    assert "layers: " in out
    assert "/usr/bin" not in out
    listed = workshop.run("diff", "a.tar", "b.tar", "--files", "--layers").out
    assert "+ /usr/bin/ed" in listed
    assert "= " in listed or "- " in listed
    document = json.loads(workshop.run("diff", "a.tar", "b.tar", "--json").out)
    assert document["equal"] is False
    assert "editor-small" in {each["name"] for each in document["images"][0]["packages"]}
    assert workshop.run("diff", "a.tar", "absent.tar").code == 3


def test_diff_tells_mere_times_only_when_asked(workshop: Shop) -> None:
    write_archive(image(layer(file("a", mtime=1))), Path("a.tar"))
    write_archive(image(layer(file("a", mtime=2))), Path("b.tar"))
    out = workshop.run("diff", "a.tar", "b.tar", "--files").out
    assert "/a" not in out
    assert "1 paths differ in time only" in out
    assert (
        "~ /a  (mtime 1 -> 2)" in workshop.run("diff", "a.tar", "b.tar", "--files", "--times").out
    )


def test_diff_names_what_only_one_has(workshop: Shop) -> None:
    write_archive(random_index(1), Path("a.tar"))
    write_archive(random_index(1, platforms=[AMD64]), Path("b.tar"))
    code, out, _ = workshop.run("diff", "a.tar", "b.tar")
    assert (code, "- linux/arm64" in out) == (1, True)


def test_history_tells_every_layer(workshop: Shop) -> None:
    workshop.build(workshop.declare("[hello]"), "-o", "a.tar")
    out = workshop.run("history", "a.tar").out
    assert out.splitlines()[1].lstrip().startswith("1 ")
    assert "imagist: " in out
    [told] = json.loads(workshop.run("history", "a.tar", "--json").out)
    assert [step["layer"] for step in told["history"]] == list(range(1, len(told["history"]) + 1))


@pytest.mark.parametrize("words", [("inspect", "--files"), ("inspect", "--files", "--json")])
def test_names_that_stdout_cannot_encode_are_escaped(
    workshop: Shop, words: tuple[str, ...]
) -> None:
    write_archive(image(layer(file("ü"), file("caf\udce9"))), Path("a.tar"))
    env = environment(PYTHONIOENCODING="ascii")
    done = spawn(*words, "a.tar", "--cache", workshop.store, cwd=workshop.folder, env=env)
    assert (done.code, done.err) == (0, "")
    if "--json" in words:
        files = json.loads(done.out)["images"][0]["files"]
        assert [each["path"] for each in files] == ["caf\\xe9", "ü"]
    else:
        assert "/\\xfc" in done.out


HOSTILE = "evil\x1b[31m\nforged line"


@pytest.mark.parametrize("words", [("inspect",), ("inspect", "--files"), ("history",)])
def test_nothing_in_an_image_steers_a_terminal(workshop: Shop, words: tuple[str, ...]) -> None:
    what = image(
        layer(file(HOSTILE), installed(one=["x"])),
        history=[HOSTILE],
        Env=[HOSTILE], User=HOSTILE, Cmd=[HOSTILE], Labels={HOSTILE: HOSTILE},
    )  # fmt: skip
    write_archive(edited(what, created=HOSTILE), Path("a.tar"))
    code, out, _ = workshop.run(words[0], "a.tar", *words[1:])
    assert (code, "\x1b" in out) == (0, False)
    assert not [line for line in out.splitlines() if line.startswith("forged")]
    other = image(layer(file("b")))
    write_archive(other, Path("b.tar"))
    out = workshop.run("diff", "a.tar", "b.tar", "--files").out
    assert "\x1b" not in out
    assert not [line for line in out.splitlines() if line.startswith("forged")]


def test_layers_of_zstd_are_read_as_others_are(workshop: Shop) -> None:
    tar = pack([folder("d"), file("d/a", "text" * 9999), symlink("b", "d/a")])
    write_archive(image(layer_of(tar), User="7"), Path("gzip.tar"))
    zstd = BytesLayer(compress(tar), sha256(tar), mediatype.LAYER_ZSTD)
    write_archive(image(zstd, User="7"), Path("zstd.tar"))
    assert "tar+zstd" in workshop.run("inspect", "zstd.tar").out
    assert workshop.run("validate", "zstd.tar").code == 0
    found = [workshop.run("inspect", name, "--files").out for name in ("gzip.tar", "zstd.tar")]
    assert found[0].splitlines()[-3:] == found[1].splitlines()[-3:]
    for name in ("gzip", "zstd"):
        assert workshop.run("export", f"{name}.tar", "-o", name).code == 0
    assert Path("gzip").read_bytes() == Path("zstd").read_bytes()


def test_damaged_zstd_is_refused(workshop: Shop) -> None:
    data = b"\x28\xb5\x2f\xfd" + bytes(20)
    what = image(BytesLayer(data, str(sha256(b"")), mediatype.LAYER_ZSTD), User="7")
    write_archive(what, Path("a.tar"))
    for words in (("inspect", "a.tar", "--files"), ("export", "a.tar", "-o", "x")):
        code, out, err = workshop.run(*words)
        assert (code, out) == (3, "")
        assert "zstd" in err
    assert workshop.run("validate", "a.tar").code == 1


def test_an_artifact_is_inspected_but_is_no_image(workshop: Shop) -> None:
    manifest = Manifest(schema_version=2, config=describe(b"{}", mediatype.EMPTY))
    write_layout(MemoryImage(encode(manifest), b"{}"), Path("artifact"))
    assert "artifact" in workshop.run("inspect", "artifact").out
    for verb in ("export", "history"):
        words = ("-o", "x") if verb == "export" else ()
        code, out, err = workshop.run(verb, "artifact", *words)
        assert (code, out) == (3, "")
        assert "no container image" in err


@pytest.mark.parametrize(
    "document",
    [
        b"[" * 100_000,
        b'{"schemaVersion":2,"manifests":' + b"[" * 3000 + b"]" * 3000 + b"}",
        b'{"schemaVersion":"x",',
        b'{"schemaVersion":2,"manifests":[{"mediaType":"x","digest":"sha256:../../../x","size":1}]}',
        b'{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:'
        + b"0" * 64 + b'","size":1}]}',
        b"\xff\xfe",
        b"",
    ],
)  # fmt: skip
def test_hostile_documents_are_errors_of_ours(workshop: Shop, document: bytes) -> None:
    write_layout(image(layer(file("a"))), Path("layout"))
    write_layout(image(layer(file("b"))), Path("other"))
    Path("layout/index.json").unlink()
    Path("layout/index.json").write_bytes(document)
    for words in (
        ("inspect",),
        ("history",),
        ("export", "-o", "x"),
        ("diff", "other"),
        ("validate",),
    ):
        code, out, err = workshop.run(words[0], "layout", *words[1:])
        assert (code, out) == (3, ""), err
        assert err.startswith("error: ")


@needs("umoci", "skopeo")
def test_what_other_builders_make_is_looked_into(workshop: Shop) -> None:
    def tool(*words: str) -> None:
        subprocess.run(words, check=True, capture_output=True)

    tool("umoci", "init", "--layout", "u")
    tool("umoci", "new", "--image", "u:0")
    tool("umoci", "unpack", "--rootless", "--image", "u:0", "b")
    Path("b/rootfs/etc").mkdir()
    Path("b/rootfs/etc/x").write_text("one")
    tool("umoci", "repack", "--image", "u:1", "b")
    shutil.rmtree("b")
    tool("umoci", "unpack", "--rootless", "--image", "u:1", "b")
    Path("b/rootfs/etc/x").unlink()
    Path("b/rootfs/etc/y").write_text("two")
    Path("b/rootfs/etc/z").hardlink_to("b/rootfs/etc/y")
    tool("umoci", "repack", "--image", "u:2", "b")
    shutil.rmtree("b")
    tool("umoci", "config", "--image", "u:2", "--config.user", "7")
    found = json.loads(workshop.run("inspect", "oci:u:1", "--files", "--json").out)
    assert "etc/x" in {each["path"] for each in found["images"][0]["files"]}
    assert {each["origin"] for each in found["images"][0]["layers"]} == {""}
    out = workshop.run("diff", "oci:u:1", "oci:u:2", "--files").out
    assert 'config.User: absent -> "7"' in out
    assert "- /etc/x" in out
    tool("skopeo", "copy", "oci:u:2", "docker-archive:d.tar:x:2")
    assert workshop.run("export", "oci:u:2", "-o", "1.tar").code == 0
    assert workshop.run("export", "docker-archive:d.tar", "-o", "2.tar").code == 0
    assert Path("1.tar").read_bytes() == Path("2.tar").read_bytes()
    tool("umoci", "unpack", "--rootless", "--image", "u:2", "b")
    unpacked = {str(path.relative_to("b/rootfs")) for path in Path("b/rootfs").rglob("*")}
    assert set(read_tar(Path("1.tar").read_bytes())) == unpacked == {"etc", "etc/y", "etc/z"}
