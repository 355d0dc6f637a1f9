"""Packages, keys and signatures that are damaged or forged: refused, with nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from build.conftest import Workshop
from build.described import read_tree
from build.refusing import (
    ARCH,
    INPUT,
    KEY,
    make,
    refused,
    repository,
)
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
