"""Files, folders and ready tars as layers."""

from __future__ import annotations

import gzip
import io
import os
import re
import socket
import subprocess
import sys
import tarfile
import threading
import tracemalloc
from pathlib import Path
from typing import BinaryIO
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from build.commandline import command, environment
from editing.bench import Bench, config, images, listing, manifest
from fixtures.zstd import compress
from imagist.digest import sha256
from imagist.editing.additions import Addition, find_items, parse_addition, read_item
from imagist.editing.base import read_base
from imagist.editing.layers import LayerWriter
from imagist.editing.place import Ownership, Placed, place_items
from imagist.errors import InputError
from imagist.oci import derive, mediatype
from imagist.oci.derive import BytesLayer
from imagist.oci.mutate import make_index, set_config
from imagist.oci.random import AMD64, ARM64, random_image, random_index
from imagist.oci.validate import validate
from imagist.rootfs.tree import Node, Tree
from imagist.store.store import Store
from inspection.described import file, folder, image, layer, pack, symlink


def squeeze(data: bytes, level: int = 6) -> bytes:
    """The same gzip at any time."""
    return gzip.compress(data, level, mtime=0)


def app(bench: Bench) -> None:
    """A folder with what folders have."""
    bench.file("app/bin/tool", "#!/bin/sh\n", mode=0o750)
    bench.file("app/etc/tool.conf", "a = 1\n", mode=0o600)
    (bench.folder / "app/lib").symlink_to("bin")
    (bench.folder / "app/empty").mkdir(mode=0o700)


def test_a_folder_becomes_one_layer_on_every_platform(bench: Bench) -> None:
    app(bench)
    base = random_index(1)
    edited = bench.edit("append", bench.write(base), "-f", "app:/srv")
    assert validate(edited) == []
    for old, new in zip(images(base), images(edited), strict=True):
        assert [x.digest for x in new.layers[:-1]] == [x.digest for x in old.layers]
        seen = {path: text for path, text in listing(new).items() if path.startswith("srv")}
        assert seen == {
            "srv": "directory 755 0:0 0 0",
            "srv/bin": "directory 755 0:0 0 0",
            "srv/bin/tool": "file 755 0:0 0 10",
            "srv/empty": "directory 755 0:0 0 0",
            "srv/etc": "directory 755 0:0 0 0",
            "srv/etc/tool.conf": "file 644 0:0 0 6",
            "srv/lib": "symlink 777 0:0 0 bin",
        }
        assert config(new)["history"][-1] == {
            "created": "1970-01-01T00:00:00Z",
            "created_by": "imagist append /srv",
        }
    assert len({new.layers[-1].digest for new in images(edited)}) == 1


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["-f", "tool"], "tool"),
        (["-f", "tool:/bin/other"], "bin/other"),
        (["-f", "tool:/bin/"], "bin/tool"),
        (["-f", "tool", "--to", "/opt/x"], "opt/x/tool"),
        (["-f", "./x/../tool:/a//b/./c"], "a/b/c"),
        (["-f", "x"], "y"),
        (["-f", "x:/"], "y"),
        (["-f", "x", "--to", "/opt/"], "opt/y"),
        (["-f", "with:colon"], "with:colon"),
        (["-f", "with:colon:/z"], "z"),
        (["-f", "data.tar.gz:/data.tar.gz"], "data.tar.gz"),
    ],
)
def test_where_things_land(bench: Bench, words: list[str], place: str) -> None:
    for name in ("tool", "x/y", "with:colon", "data.tar.gz"):
        bench.file(name, "text")
    [found] = images(bench.edit("append", *words))
    files = [path for path, text in listing(found).items() if text.startswith("file")]
    assert files == [place]


def test_owner_and_time_are_those_asked_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    app(bench)
    [found] = images(bench.edit("append", "-f", "app:/srv/app", "--owner", "65532:7"))
    seen = listing(found)
    assert seen["srv"] == "directory 755 0:0 1000000000 0"
    assert seen["srv/app"] == "directory 755 65532:7 1000000000 0"
    assert seen["srv/app/bin/tool"] == "file 755 65532:7 1000000000 10"
    assert config(found)["history"][-1]["created"] == "2001-09-09T01:46:40Z"


def test_the_same_files_give_the_same_layer_whoever_appends_them(bench: Bench) -> None:
    app(bench)
    bench.file("app/large", os.urandom(5 << 20))
    bench.write(random_index(1), "base")
    digests = set()
    for number, (mask, more) in enumerate(
        [
            (0o022, {}),
            (0o077, {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "1"}),
            (0o000, {"TZ": "America/Lima", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "2"}),
        ]
    ):
        other = bench.folder / f"copy-{number}"
        (other / "app").mkdir(parents=True)
        # Names in another order on the disk, other times, other modes.
        for path in sorted(bench.folder.glob("app/*"), reverse=bool(number % 2)):
            subprocess.run(["cp", "-R", str(path), str(other / "app")], check=True)
        words = command(
            "append", "../base", "-f", "app:/srv", "-o", "new.tar", "--jobs", str(number + 1)
        )
        done = subprocess.run(
            [*words, "--cache", "store"],
            cwd=other,
            env=environment(**more),
            capture_output=True,
            umask=mask,
        )
        assert done.returncode == 0, done.stderr
        digests.add((done.stdout, sha256((other / "new.tar").read_bytes())))
    assert len(digests) == 1


NAMES = st.text(st.sampled_from("abc.-é \udc80"), min_size=1, max_size=5).filter(
    lambda name: name not in {".", ".."} and not name.startswith(".wh.")
)


@settings(deadline=None)
@given(
    st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.binary(), max_size=6)
)
def test_what_was_put_in_comes_out(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    place = tmp_path_factory.mktemp("made")
    wanted = {}
    for name, data in sorted(files.items()):
        if any(name != other and (name + "/").startswith(other + "/") for other in files):
            continue
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
        wanted[name] = data
    items = find_items(Addition(str(place)))
    with Store.open(place.with_name(f"{place.name}-store")) as store:
        made = LayerWriter(store, jobs=1).write(place_items(items, Tree(), Ownership()))
        with made.opener() as stream:
            tar = gzip.decompress(stream.read())
    assert sha256(tar) == made.diff_id
    with tarfile.open(fileobj=io.BytesIO(tar), errors="surrogateescape") as archive:
        members = archive.getmembers()
        found = {m.name: archive.extractfile(m).read() for m in members if m.isfile()}  # type: ignore[union-attr]
    assert found == wanted
    names = [member.name.replace("/", "\0") for member in members]
    assert names == sorted(names)


# What the image has already


BASE = image(
    layer(
        folder("tmp", 0o1777),
        folder("home"),
        folder("home/app", 0o700, uid=500, gid=501, mtime=9),
        folder("usr"),
        folder("usr/bin"),
        symlink("bin", "usr/bin"),
        file("etc", "a file"),
        file("usr/bin/sh", "old"),
    )
)


def test_folders_that_are_there_stay_as_they_are(bench: Bench) -> None:
    bench.file("x", "new")
    words = [
        word
        for place in ("/tmp/x", "/home/app/sub/x", "/bin/x", "/bin/sh")
        for word in ("-f", f"x:{place}")
    ]
    [found] = images(bench.edit("append", bench.write(BASE), *words, "--owner", "7"))
    assert len(found.layers) == 5
    seen, before = listing(found), listing(BASE)
    assert {path: seen[path] for path in before if path != "usr/bin/sh"} == {
        path: text for path, text in before.items() if path != "usr/bin/sh"
    }
    assert seen["usr/bin/x"] == "file 644 7:7 0 3"
    assert seen["usr/bin/sh"] == "file 644 7:7 0 3"
    assert seen["home/app/sub"] == "directory 755 0:0 0 0"


def test_a_folder_over_a_link_to_a_folder_is_that_folder(bench: Bench) -> None:
    bench.file("root/bin/tool", "x")
    [found] = images(bench.edit("append", bench.write(BASE), "-f", "root"))
    assert listing(found)["bin"] == "symlink 777 0:0 0 usr/bin"
    assert "usr/bin/tool" in listing(found)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("/usr/bin", "/usr/bin is a folder in the image"),
        ("/bin/", "x"),
        ("/etc/x", "/etc is a file in the image"),
        ("/usr/bin/sh/x", "/usr/bin/sh is a file in the image"),
    ],
)
def test_a_file_where_none_can_be_is_refused(bench: Bench, place: str, message: str) -> None:
    bench.file("x")
    words = ("append", bench.write(BASE), "-f", f"x:{place}")
    if message == "x":
        assert "usr/bin/x" in listing(images(bench.edit(*words))[0])
    else:
        assert message in bench.fails(*words)


def test_later_additions_see_the_earlier_ones(bench: Bench) -> None:
    bench.file("link.tar", pack([symlink("opt", "usr"), folder("usr", 0o711)]))
    bench.file("x", "1")
    [found] = images(bench.edit("append", "-f", "link.tar", "-f", "x:/opt/x", "-f", "x:/a"))
    assert listing(found)["usr/x"] == "file 644 0:0 0 1"
    assert listing(found)["usr"] == "directory 711 0:0 0 0"
    assert "a is" in bench.fails("append", "-f", "x:/a", "-f", "x:/a/b")


def test_a_base_that_cannot_be_read_is_told_of_and_built_upon(bench: Bench) -> None:
    base = image(BytesLayer(b"erofs", sha256(b"erofs"), mediatype.LAYER_EROFS))
    bench.file("x")
    code, _, err = bench.run("append", bench.write(base), "-f", "x", "-o", "new")
    assert code == 0
    assert "EROFS" in err
    assert "0755" in err


# Ready layers


TAR = pack([folder("d", 0o700, uid=3), file("d/x", "text" * 5000, mtime=7), file(".wh.gone")])


@pytest.mark.parametrize("docker", [False, True])
@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("a.tar.gz", squeeze(TAR, 9), mediatype.LAYER_GZIP),
        ("a.tgz", squeeze(TAR[:600]) + squeeze(TAR[600:]), mediatype.LAYER_GZIP),
        ("a.tar.zst", compress(TAR), mediatype.LAYER_ZSTD),
        ("strange", compress(TAR[:99], TAR[99:]), mediatype.LAYER_ZSTD),
        ("gzipped", squeeze(TAR), mediatype.LAYER_GZIP),
    ],
)
def test_a_compressed_tar_is_the_layer_byte_for_byte(
    bench: Bench, name: str, data: bytes, kind: str, docker: bool
) -> None:
    bench.file(name, data)
    base = random_image(1)
    if docker:
        raw = base.raw_manifest.replace(
            mediatype.MANIFEST.encode(), mediatype.DOCKER_MANIFEST.encode()
        )
        base = derive.MemoryImage(raw, base.raw_config, base.layers, mediatype.DOCKER_MANIFEST)
        kind = {mediatype.LAYER_GZIP: mediatype.DOCKER_LAYER}.get(kind, kind)
    [found] = images(bench.edit("append", bench.write(base), "-f", name))
    top = found.layers[-1]
    assert (top.digest, top.size, top.diff_id) == (sha256(data), len(data), sha256(TAR))
    assert manifest(found)["layers"][-1]["mediaType"] == kind
    assert manifest(found)["mediaType"] == base.media_type
    assert validate(found) == []


@pytest.mark.parametrize("name", ["a.tar", "no-suffix"])
def test_a_plain_tar_is_compressed_and_stays_what_it_is(bench: Bench, name: str) -> None:
    bench.file(name, TAR)
    found = [images(bench.edit("append", "-f", name, "--jobs", jobs))[0] for jobs in ("1", "3")]
    assert found[0].raw_manifest == found[1].raw_manifest
    assert found[0].layers[0].diff_id == sha256(TAR)
    assert found[0].layers[0].media_type == mediatype.LAYER_GZIP
    assert validate(found[0]) == []


def test_a_tar_comes_through_a_pipe_and_from_stdin(bench: Bench) -> None:
    os.mkfifo("pipe")
    data = squeeze(TAR)
    writer = threading.Thread(target=lambda: Path("pipe").write_bytes(data))
    writer.start()
    [piped] = images(bench.edit("append", "-f", "pipe"))
    writer.join()
    stdin = mock.Mock(buffer=io.BytesIO(data))
    with mock.patch.object(sys, "stdin", stdin):
        [read] = images(bench.edit("append", "-f", "-"))
    assert piped.raw_manifest == read.raw_manifest
    assert read.layers[0].digest == sha256(data)


CUT = squeeze(TAR)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.tar", b"no tar at all" * 99, "a.tar has a header whose checksum is wrong"),
        ("a.tar", TAR[:700], "a.tar is cut off"),
        ("a.tar", b"", "empty"),
        ("a.tar.gz", CUT[:-9], "cut off"),
        ("a.tar.gz", CUT[:60] + b"\xff\xff" + CUT[62:], "damaged|checksum"),
        ("a.tar.gz", CUT + b"more", "."),
        ("a.tar.gz", squeeze(b"text" * 999), "checksum"),
        ("a.tar.zst", compress(TAR)[:-1], "damaged|cut"),
        ("a.tar.zst", compress(TAR) + b"more", "damaged"),
        ("a.tar", pack([file("../x")]), "leads out"),
    ],
)  # fmt: skip
def test_a_damaged_tar_is_refused(bench: Bench, name: str, data: bytes, message: str) -> None:
    bench.file(name, data)
    said = bench.fails("append", "-f", name)
    assert re.search(message, said)
    assert name in said


def test_a_ready_layer_has_no_other_place(bench: Bench) -> None:
    bench.file("a.tar", TAR)
    assert "ready layer" in bench.fails("append", "-f", "a.tar", "--to", "/opt")
    assert "ready layer" in bench.fails("append", "-f", "a.tar:/opt/")
    [found] = images(bench.edit("append", "-f", "a.tar:/opt/a.tar"))
    assert listing(found)["opt/a.tar"].startswith("file")


# What cannot be added


def test_all_that_cannot_be_added_is_told_at_once(bench: Bench) -> None:
    bench.file("app/.wh.passwd")
    bench.file("app/sub/.wh..wh..opq")
    os.mkfifo("app/pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("app/socket")
        said = bench.fails("append", "-f", "app:/srv")
    for name in (".wh.passwd", ".wh..wh..opq", "pipe", "socket"):
        assert f"`app/{name}`" in said or f"`app/sub/{name}`" in said
    assert "whiteouts" in said


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["-f", "missing"], 3, "`missing` cannot be added: No such file"),
        (["-f", "missing.tar"], 3, "missing.tar"),
        (["-f", "missing:/x"], 3, "missing"),
        ([], 2, "nothing to append"),
        (["-f", ":/x"], 2, "names nothing"),
        (["-f", "x:/../y"], 2, "not a path in an image"),
        (["-f", "x", "--to", "opt"], 2, "--to"),
        (["-f", "x", "--owner", "root"], 2, "--owner"),
        (["-f", "x", "--owner", "1:-1"], 2, "--owner"),
        (["-f", "x:/"], 0, ""),
        (["-f", "empty"], 3, "empty folder"),
        (["-f", "x\0y"], 3, "null"),
        (["-f", "x", "-b", "a", "b"], 2, "leave one"),
        (["-f", "x", "-b", "nowhere"], 3, "no image nowhere"),
        (["-f", "x", "--platform", "vax"], 2, "vax"),
        (["-f", "x", "-t", "A B"], 2, "A B"),
    ],
)
def test_what_makes_no_sense_is_refused(
    bench: Bench, words: list[str], code: int, message: str
) -> None:
    bench.file("x")
    Path("empty").mkdir()
    found = bench.run("append", *words, *([] if "-t" in words else ["-o", "new"]))
    assert found.code == code, found.err
    assert message in found.err
    assert Path("new").exists() == (code == 0)


def test_windows_is_left_to_others(bench: Bench) -> None:
    bench.file("x")
    name = bench.write(set_config(random_image(1), {"os": "windows"}))
    assert "Windows" in bench.fails("append", name, "-f", "x")


def test_a_file_that_cannot_be_read_is_told(bench: Bench) -> None:
    bench.file("app/secret", "x")
    with mock.patch("os.access", return_value=False):
        assert "permission denied" in bench.fails("append", "-f", "app")


@pytest.mark.parametrize("change", ["longer", "shorter", "other", "replaced", "gone"])
def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path, change: str) -> None:
    place = tmp_path / "app" / "log"
    place.parent.mkdir()
    place.write_bytes(b"text" * 1000)
    items = find_items(Addition(str(place.parent)))
    if change == "replaced":
        place.rename(tmp_path / "old")
        place.write_bytes(b"text" * 1000)
    elif change == "gone":
        place.unlink()
    else:
        place.write_bytes(
            {"longer": b"text" * 1001, "shorter": b"", "other": b"TEXT" * 1000}[change]
        )
    with Store.open(tmp_path / "store") as store:
        before = set(store.blob_sizes())
        with pytest.raises(InputError, match=r"changed while|cannot be read"):
            LayerWriter(store).write(place_items(items, Tree(), Ownership()))
        assert set(store.blob_sizes()) == before
        assert not list((tmp_path / "store" / "tmp").iterdir())


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "log"
    place.write_bytes(bytes(3 << 20))
    [item] = find_items(Addition(str(place)))
    pieces = read_item(item, 1 << 20)
    next(pieces)
    with place.open("ab") as stream:
        stream.write(b"more")
    with pytest.raises(InputError, match="changed while"):
        list(pieces)


def test_a_large_file_passes_through_little_memory(tmp_path: Path) -> None:
    place = tmp_path / "large"
    with place.open("wb") as stream:
        stream.truncate(300 << 20)
    items = find_items(Addition(str(place)))
    with Store.open(tmp_path / "store") as store:
        tracemalloc.start()
        try:
            made = LayerWriter(store, jobs=2).write(place_items(items, Tree(), Ownership()))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert store.size(made.digest) == made.size
    assert peak < 48 << 20


# Whole indexes


def test_a_platform_may_be_chosen_and_is_then_all_there_is(bench: Bench) -> None:
    bench.file("x")
    three = make_index([(p, random_image(n, platform=p)) for n, p in enumerate((AMD64, ARM64))])
    name = bench.write(three)
    one = bench.edit("append", name, "-f", "x", "--platform", "arm64")
    assert config(images(one)[0])["architecture"] == "arm64"
    assert one.media_type == mediatype.MANIFEST
    assert "no image for `s390x`" in bench.fails("append", name, "-f", "x", "--platform", "s390x")


def test_from_scratch_for_several_platforms(bench: Bench) -> None:
    bench.file("x")
    made = bench.edit("append", "scratch", "-f", "x", "--platform", "amd64,arm/v7,plan9/mips")
    assert [str(derive.platform(each)) for each in images(made)] == [
        "linux/amd64",
        "linux/arm/v7",
        "plan9/mips",
    ]
    assert validate(made) == []


def test_additions_are_read_as_they_are_written() -> None:
    assert parse_addition("a:/b") == Addition("a", "/b")
    assert parse_addition("a:b:/c/") == Addition("a:b", "/c/")
    assert parse_addition("a:b") == Addition("a:b", "")
    assert parse_addition("a", "/to") == Addition("a", "/to/")


def test_two_paths_to_one_place_are_refused() -> None:
    items = [replace(item, kind="file") for item in find_items(Addition(__file__, "/bin/x"))]
    base = Tree()
    for entry in (folder("usr"), folder("usr/bin"), symlink("bin", "usr/bin")):
        base.put(Node(entry))
    other = [replace(items[0], path="usr/bin/x")]
    with pytest.raises(InputError, match="two paths"):
        place_items([*items, *other], base, Ownership())
    placed = place_items(items, base, Ownership())
    assert [each.entry.path for each in placed] == ["usr", "usr/bin", "usr/bin/x"]
    assert isinstance(placed[0], Placed)


def test_what_a_layer_lists_is_read_once(tmp_path: Path) -> None:
    own = BASE.layers[0]
    opened = []

    def counted() -> BinaryIO:
        opened.append(1)
        return own.compressed()

    def base(diff_id: str) -> derive.MemoryImage:
        spy = derive.BlobLayer(own.digest, diff_id, own.size, own.media_type, counted)
        return derive.MemoryImage(BASE.raw_manifest, BASE.raw_config, (spy,))

    with Store.open(tmp_path) as store:
        first, second = (read_base(base(own.diff_id), store) for _ in range(2))
        assert list(first) == list(second)
        assert {node.entry.path for node in second} == set(listing(BASE))
        assert opened == [1]
        # That it was read once says nothing of a configuration that claims something else.
        with pytest.raises(InputError, match="holds"):
            read_base(base(sha256(b"other")), store)
        assert opened == [1, 1]


def test_a_name_that_is_not_text_is_put_in_and_told_of(bench: Bench) -> None:
    bench.file("app/n\udc80", "1")
    for words in (["-f", "app/n\udc80"], ["-f", "app:/n\udc80"], ["-f", "app"]):
        [found] = images(bench.edit("append", *words))
        assert [path for path in listing(found) if "n\udc80" in path]
        assert config(found)["history"][0]["created_by"].startswith("imagist append /")
    os.mkfifo("app/p\udc81")
    assert "is neither a file" in bench.fails("append", "-f", "app")


def test_names_that_are_not_text_are_read_every_time(tmp_path: Path) -> None:
    base = image(layer(folder("d\udc80"), file("d\udc80/x")))
    with Store.open(tmp_path / "store") as store:
        for _ in range(2):
            assert [n.entry.path for n in read_base(base, store)] == ["d\udc80", "d\udc80/x"]


def test_a_symlink_that_leads_round_in_a_base_is_refused(bench: Bench) -> None:
    bench.file("x")
    loop = image(layer(symlink("a", "b"), symlink("b", "a")))
    assert "more than 40 symlinks" in bench.fails("append", bench.write(loop), "-f", "x:/a/x")


def test_more_layers_than_docker_mounts_are_told_of(bench: Bench) -> None:
    bench.file("x")
    tall = image(*[layer(file(str(n))) for n in range(127)])
    code, _, err = bench.run("append", bench.write(tall), "-f", "x", "-o", "new")
    assert code == 0
    assert "an image has 128 layers, of which Docker mounts 127" in err
