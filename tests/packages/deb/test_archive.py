"""Verifying .debs: what is right becomes a layer in the store, what is wrong leaves nothing there."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import subprocess
import tarfile
import tracemalloc
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from fixtures.debfile import (
    Deb,
    ar,
    build_deb,
    compress,
    control_tar,
    data_tar,
    format_control,
    verify_made,
    write_tar,
)
from fixtures.elf import build_library
from fixtures.maker import EPOCH, Item, file, folder, hardlink, symlink
from fixtures.memory import Memory
from imagist.errors import ImagistError, Untrusted
from imagist.packages.deb.archive import DebFiles, DebLimits
from imagist.rootfs.compress import GzipWriter
from imagist.rootfs.tarread import TarReader
from support import needs

POSTINST = "#!/bin/sh\nldconfig\n"
DEMO = Deb(
    "demo",
    "1:2.0-3",
    (
        file("etc/demo.conf", "a = 1\n"),
        file("usr/bin/demo", "#!/bin/sh\n", 0o755),
        file("usr/lib/x86_64-linux-gnu/libdemo.so.1.2", build_library("x86_64", "libdemo.so.1")),
        symlink("usr/lib/x86_64-linux-gnu/libdemo.so.1", "libdemo.so.1.2"),
        hardlink("usr/bin/demo-again", "usr/bin/demo", mode=0o755),
        folder("var/log/demo", 0o2750, gid=4),
        file("usr/share/doc/demo/" + "long" * 40 + "/a", "x"),
    ),
    fields={
        "Source": "source (2.0-2)",
        "Depends": "libc6 (>= 2.3), a | b:any",
        "Provides": "virtual (= 3)",
        "Replaces": "old (<< 2)",
        "Essential": "yes",
    },
    scripts={"postinst": POSTINST, "triggers": "activate-noawait ldconfig\n", "symbols": "x"},
    conffiles=["etc/demo.conf"],
)


def tar_of(files: DebFiles, memory: Memory) -> bytes:
    return gzip.decompress(memory.blobs[files.data])


def refused(deb: Deb = DEMO, *, blob: bytes | None = None, **changes: object) -> str:
    """The message, after making sure that nothing was kept."""
    memory = Memory()
    with pytest.raises(ImagistError) as caught:
        verify_made(deb, blob=blob, memory=memory, **changes)
    assert memory.blobs == {}
    return str(caught.value)


# -- what comes of a package -----------------------------------------------------------------


def test_everything_a_package_says_is_kept() -> None:
    files = verify_made(DEMO)
    package = files.package
    assert (package.name, package.version, package.architecture) == ("demo", "1:2.0-3", "amd64")
    assert (package.origin, package.source_version) == ("source", "2.0-2")
    assert package.offered_names() == ("demo", "virtual")
    assert package.needed_names() == ("libc6", "a", "b")
    assert package.essential
    assert package.build_time == EPOCH
    assert files.sha256 == hashlib.sha256(build_deb(DEMO)).hexdigest()
    assert files.size == len(build_deb(DEMO))
    assert files.control == format_control(DEMO)
    assert files.conffiles == (("etc/demo.conf", hashlib.md5(b"a = 1\n").hexdigest()),)
    assert files.scripts == (("postinst", POSTINST),)
    assert files.triggers == "activate-noawait ldconfig\n"
    assert [lib.soname for lib in files.libraries] == ["libdemo.so.1"]
    assert files.verbatim == ""


def test_layer_has_plain_names_with_folders_above_and_offsets_into_itself() -> None:
    memory = Memory()
    files = verify_made(DEMO, memory=memory)
    tar = tar_of(files, memory)
    reader = TarReader([tar], what="layer")
    again = list(reader)
    assert not reader.oddities
    assert [entry.path for entry in again] == [entry.path for entry in files.entries]
    seen = {""}
    for entry in files.entries:
        assert entry.path.rpartition("/")[0] in seen
        seen |= {entry.path} if entry.is_directory else set()
        if entry.kind == "file":
            content = tar[entry.offset : entry.offset + entry.size]
            assert hashlib.sha1(content).digest() == entry.sha1
    assert len(tar) == files.tar_size
    assert "sha256:" + hashlib.sha256(tar).hexdigest() == files.diff_id
    assert len(memory.blobs[files.data]) == files.data_size


def test_layer_is_compressed_as_all_layers_that_are_written() -> None:
    memory = Memory()
    files = verify_made(DEMO, memory=memory)
    out = bytearray()
    with GzipWriter(out.extend) as writer:
        writer.write(tar_of(files, memory))
    assert memory.blobs[files.data] == out


@pytest.mark.parametrize("form", ["", "gz", "xz", "zst", "bz2", "lzma"])
def test_every_compression_gives_the_same_layer(form: str) -> None:
    control = form if form in {"", "gz", "xz", "zst"} else "xz"
    made = verify_made(replace(DEMO, form=form, control_form=control))
    assert (made.data, made.control) == (verify_made(DEMO).data, format_control(DEMO))


def test_missing_folders_are_made_as_dpkg_makes_them() -> None:
    deb = replace(DEMO, items=[file("a/b/c", "x", mtime=7)], conffiles=[], parents=False)
    made = verify_made(deb).entries
    assert [(e.path, e.mode, e.mtime) for e in made] == [
        ("a", 0o755, 7), ("a/b", 0o755, 7), ("a/b/c", 0o644, 7),
    ]  # fmt: skip


def test_owners_that_every_system_has_go_by_name_others_by_number() -> None:
    items = [
        file("root", "", uid=1000, gid=1000), file("shadow", "", gid=9), file("own", "", uid=200),
    ]  # fmt: skip
    owners = {"root": ("root", "root"), "shadow": ("root", "shadow"), "own": ("builder", "")}
    made = verify_made(Deb("a", items=items, owners=owners)).entries
    assert [(e.uid, e.gid) for e in made] == [(0, 0), (0, 42), (200, 0)]


def test_md5sums_are_made_where_the_package_brings_none() -> None:
    shipped, made = verify_made(DEMO), verify_made(replace(DEMO, md5sums=False))
    lines = set(shipped.md5sums.splitlines())
    digest = hashlib.md5(b"#!/bin/sh\n").hexdigest()
    assert set(made.md5sums.splitlines()) == lines | {f"{digest}  usr/bin/demo-again"}
    assert "etc/demo.conf" not in made.md5sums


def test_hardlink_before_its_file_is_no_layer_as_it_is() -> None:
    items = [hardlink("a", "b"), file("b", "x")]
    assert "/a" in verify_made(Deb("a", items=items)).verbatim


def test_a_folder_after_what_lies_in_it_counts_and_is_no_layer_as_it_is() -> None:
    items = [file("a/b", "x"), folder("a", 0o750)]
    made = verify_made(Deb("a", items=items))
    assert [(e.path, e.mode) for e in made.entries] == [("a", 0o750), ("a/b", 0o644)]
    assert "/a is listed after" in made.verbatim


def test_without_a_checksum_the_result_tells_it() -> None:
    assert verify_made(DEMO, sha256="").sha256 == verify_made(DEMO).sha256


# -- the outer archive -----------------------------------------------------------------------

CONTROL = ("control.tar.xz", compress(control_tar(DEMO), "xz"))
DATA = ("data.tar.xz", compress(data_tar(DEMO), "xz"))
FORMAT = ("debian-binary", b"2.0\n")


def test_names_may_end_with_a_slash_and_members_with_underscores_are_passed_over() -> None:
    blob = ar(
        ("debian-binary/", b"2.1\nmore\n"), ("_a", b"odd"), ("control.tar.xz/", CONTROL[1]),
        ("_b", b""), ("data.tar.xz/", DATA[1]), ("_gpgorigin", b"signature"), ("later", b"x"),
    )  # fmt: skip
    assert verify_made(DEMO, blob=blob).data == verify_made(DEMO).data


def test_padding_may_be_left_out_at_the_very_end() -> None:
    blob = ar(FORMAT, CONTROL, DATA, ("_odd", b"x"))
    assert blob.endswith(b"x\n")
    assert verify_made(DEMO, blob=blob[:-1]).entries


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([], "`debian-binary` is not first"),
        ([CONTROL, FORMAT, DATA], "`debian-binary` is not first"),
        ([("debian-binary", b"3.0\n"), CONTROL, DATA], "a format other than 2.0"),
        ([("debian-binary", b"2.0"), CONTROL, DATA], "a format other than 2.0"),
        ([FORMAT, DATA, CONTROL], "`data.tar.xz` where `control.tar` should be"),
        ([FORMAT, CONTROL], "nothing where `data.tar` should be"),
        ([FORMAT, CONTROL, ("notes", b""), DATA], "`notes` where `data.tar` should be"),
        ([FORMAT, CONTROL, DATA, DATA], "`data.tar.xz` besides"),
        ([FORMAT, CONTROL, DATA, ("control.tar.gz", b"")], "`control.tar.gz` besides"),
        ([FORMAT, ("control.tar.bz2", b""), DATA], "`control.tar.bz2`, a form that dpkg"),
        ([FORMAT, CONTROL, ("data.tar.br", b"")], "`data.tar.br`, a form that dpkg"),
        ([FORMAT, ("//", b"long names"), CONTROL, DATA], "readers name differently"),
        ([FORMAT, ("#1/14", b"control.tar.xz"), DATA], "readers name differently"),
        ([FORMAT, CONTROL, DATA, *[("_", b"")] * 80], "more than 64 members"),
    ],
)
def test_odd_members_are_refused(members: list[tuple[str, bytes]], why: str) -> None:
    assert why in refused(blob=ar(*members), sha256="")


def test_damage_of_the_outer_archive_is_told() -> None:
    blob = build_deb(DEMO)
    odd = ar(FORMAT, ("_x", b"odd"), CONTROL, DATA).replace(b"odd\n", b"odd\0")
    header = blob.replace(b"`\n", b"``", 1)
    number = blob.replace(b"4         `\n", b"0x4       `\n", 1)
    assert "does not begin as an `ar` archive" in refused(blob=b"PK" + blob[2:], sha256="")
    assert "not filled up" in refused(blob=odd, sha256="")
    assert "header is none" in refused(blob=header, sha256="")
    assert "header is none" in refused(blob=number, sha256="")


@pytest.mark.parametrize("form", ["", "gz", "xz", "zst", "bz2", "lzma"])
def test_every_cut_is_noticed(form: str) -> None:
    blob = build_deb(replace(DEMO, form=form, items=[file("a", "x" * 5000)], conffiles=[]))
    for end in [0, 4, 8, 40, 70, 72, 100, len(blob) // 2, len(blob) - 2]:
        assert refused(blob=blob[:end], sha256="")


# -- compression -----------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["gz", "xz", "bz2"])
def test_damaged_content_is_refused(form: str) -> None:
    noise = b"".join(hashlib.sha256(bytes([i])).digest() for i in range(250))
    raw = compress(data_tar(Deb("a", items=[file("a", noise)])), form)
    damaged = bytearray(raw)
    damaged[len(raw) // 2] ^= 0x55
    why = refused(blob=ar(FORMAT, CONTROL, (f"data.tar.{form}", bytes(damaged))), sha256="")
    assert "damaged" in why or "cut off" in why


@pytest.mark.parametrize("form", ["xz", "lzma", "bz2"])
@pytest.mark.parametrize("rest", [b"rest", b"stream"])
def test_what_stands_behind_a_stream_is_refused(form: str, rest: bytes) -> None:
    raw = compress(data_tar(DEMO), form)
    more = compress(data_tar(DEMO), form) if rest == b"stream" else rest
    blob = ar(FORMAT, CONTROL, (f"data.tar.{form}", raw + more))
    assert "goes on after its end" in refused(blob=blob, sha256="")


def test_a_form_that_is_not_what_the_name_says_is_refused() -> None:
    assert "not xz" in refused(
        blob=ar(FORMAT, CONTROL, ("data.tar.xz", b"\x1f\x8b" * 20)), sha256=""
    )


def test_xz_that_wants_gigabytes_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 1 << 30}]
    raw = lzma.compress(b"x", lzma.FORMAT_XZ, filters=filters)
    assert "emory" in refused(blob=ar(FORMAT, CONTROL, ("data.tar.xz", raw)), sha256="")


@pytest.mark.parametrize("form", ["", "gz", "xz", "zst", "bz2", "lzma"])
def test_bombs_are_refused_in_bounded_memory(form: str) -> None:
    raw = compress(write_tar([file("zeros", bytes(32 << 20))]), form)
    blob = ar(FORMAT, CONTROL, (f"data.tar.{form}".rstrip("."), raw))
    limits = DebLimits(tar=msgspec.structs.replace(DebLimits().tar, total=8 << 20))
    tracemalloc.start()
    try:
        assert "more than 8388608 bytes" in refused(blob=blob, sha256="", limits=limits)
        assert tracemalloc.get_traced_memory()[1] < len(raw) + (40 << 20)
    finally:
        tracemalloc.stop()


def test_control_member_is_bounded() -> None:
    big = compress(
        write_tar([file("control", format_control(DEMO)), file("x", bytes(9999))]), "xz"
    )
    blob = ar(FORMAT, ("control.tar.xz", big), DATA)
    assert "more than 4096 bytes" in refused(blob=blob, sha256="", limits=DebLimits(control=4096))


def test_a_text_of_the_control_member_is_bounded() -> None:
    for name in ("control", "conffiles", "postinst"):
        items = {"control": format_control(DEMO), name: "A: b\n" * (1 << 20)}
        member = write_tar([file(path, text) for path, text in items.items()])
        blob = ar(FORMAT, ("control.tar.xz", compress(member, "xz")), DATA)
        assert "a file of more than 4194304 bytes" in refused(blob=blob, sha256="")


# -- whose package it is ---------------------------------------------------------------------


def test_only_the_package_asked_for_is_taken() -> None:
    assert "its SHA-256 is" in refused(sha256="0" * 64)
    assert "is larger than" in refused(size=99)
    assert "but the index has" in refused(size=len(build_deb(DEMO)) + 1)
    assert "the name is not other" in refused(name="other")
    assert "the version is not 2.0-3" in refused(version="2.0-3")
    assert "built for amd64, not for arm64" in refused(arch="arm64")
    assert verify_made(replace(DEMO, arch="all"), arch="arm64").package.architecture == "all"


def with_control(*items: Item) -> bytes:
    return ar(FORMAT, ("control.tar.xz", compress(write_tar(items), "xz")), DATA)


def test_control_files_that_say_nothing_or_too_much_are_refused() -> None:
    text = format_control(DEMO)
    assert "no control file" in refused(blob=with_control(file("md5sums", "")))
    assert "control twice" in refused(
        blob=with_control(file("control", text), file("control", text))
    )
    assert "not as a file" in refused(blob=with_control(symlink("control", "/etc/passwd")))
    assert "2 stanzas" in refused(blob=with_control(file("control", text + "\n" + text)))
    assert "0 stanzas" in refused(blob=with_control(file("control", "")))
    assert "a second time" in refused(blob=with_control(file("control", text + "Package: b\n")))
    assert "Version" in refused(blob=with_control(file("control", "Package: demo\n")))


# -- the files -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "why"),
    [
        ([file("../etc/passwd", "x")], "leads out of its folder"),
        ([file("a/../../b", "x")], "leads out of its folder"),
        ([file("a", "1"), file("a", "2")], "/a twice"),
        ([file("a", "1"), file("a", "1")], "/a twice"),
        ([folder("a"), file("a", "1")], "two different files /a"),
        ([file("a", "1"), file("a/b", "1")], "which is a file"),
        ([file("a/.wh.b", "")], "removes other files"),
        ([Item("a", "char")], "a device 0:0"),
        ([hardlink("a", "gone")], "which is not in the package"),
        ([hardlink("a", "../../etc/shadow")], "leads out of its folder"),
        ([folder("d"), hardlink("a", "d")], "that is no file"),
    ],
)
def test_files_that_cannot_be_are_refused(items: list[Item], why: str) -> None:
    assert why in refused(Deb("a", items=items, md5sums=False, parents=False))


def test_a_repeated_folder_says_nothing_new() -> None:
    items = [folder("a"), file("a/b", "x"), folder("a")]
    assert [e.path for e in verify_made(Deb("a", items=items)).entries] == ["a", "a/b"]


def test_attributes_that_dpkg_would_not_unpack_are_refused() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("./a")
        info.pax_headers = {"SCHILY.xattr.security.capability": "x"}
        tar.addfile(info)
    blob = ar(FORMAT, CONTROL, ("data.tar", out.getvalue()))
    assert "attributes on /a" in refused(blob=blob)


# -- the real counterpart --------------------------------------------------------------------


@needs("dpkg-deb")
@pytest.mark.parametrize("form", ["gz", "xz", ""])
def test_dpkg_deb_reads_the_same(form: str, tmp_path: Path) -> None:
    path = tmp_path / "demo.deb"
    path.write_bytes(build_deb(replace(DEMO, form=form)))
    done = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", str(path)], capture_output=True, check=True
    )
    files = verify_made(replace(DEMO, form=form))
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        theirs = [
            (info.name.removeprefix(".").strip("/"), info.mode, info.size, int(info.mtime))
            for info in tar
            if info.name != "."
        ]
    assert theirs == [(e.path, e.mode, e.size, e.mtime) for e in files.entries]
    fields = subprocess.run(["dpkg-deb", "--field", str(path)], capture_output=True, check=True)
    assert fields.stdout.decode() == files.control


@needs("dpkg-deb")
def test_what_dpkg_deb_builds_is_read(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(format_control(DEMO))
    (tree / "usr" / "share").mkdir(parents=True)
    (tree / "usr" / "share" / "text").write_text("hello\n" * 1000)
    (tree / "usr" / "share" / "link").symlink_to("text")
    for form in ("gzip", "xz", "none"):
        out = tmp_path / f"{form}.deb"
        command = ["dpkg-deb", "--root-owner-group", f"-Z{form}", "--build", str(tree), str(out)]
        subprocess.run(command, check=True, capture_output=True)
        files = verify_made(DEMO, blob=out.read_bytes())
        kinds = {entry.path: (entry.kind, entry.uid) for entry in files.entries}
        assert kinds["usr/share/text"] == ("file", 0)
        assert kinds["usr/share/link"] == ("symlink", 0)
        assert files.md5sums.split()[1:] == ["usr/share/text"]


def test_untrusted_is_the_kind_of_all_refusals() -> None:
    with pytest.raises(Untrusted):
        verify_made(DEMO, sha256="0" * 64)
