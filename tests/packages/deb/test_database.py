"""The package database: what scanners and dpkg read of it, and what is really in the image."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from fixtures.debfile import Deb, format_control, verify_made
from fixtures.maker import file, folder, hardlink, symlink
from imagist.build.derived.place import put_file
from imagist.build.merge import merge_packages
from imagist.errors import InputError
from imagist.packages.deb.archive import DebFiles
from imagist.packages.deb.control import parse_stanzas
from imagist.packages.deb.database import (
    DatabaseFile,
    InstalledDeb,
    describe_installed,
    format_full,
    format_status_folder,
    merge_status,
)
from imagist.packages.deb.installed import split_status
from imagist.packages.selection import Selection, cut_package
from imagist.rootfs.tree import Tree
from support import needs

ONE = Deb(
    "one",
    "1:1.0-1",
    [
        file("etc/one.conf", "conf\n"),
        file("usr/bin/one", "1", 0o755),
        hardlink("usr/bin/uno", "usr/bin/one", mode=0o755),
        symlink("usr/bin/ein", "one"),
        file("usr/share/doc/one/copyright", "c"),
        file("usr/share/man/man1/one.1", "m"),
        folder("var/lib/one"),
    ],
    fields={"Multi-Arch": "same"},
    conffiles=["etc/one.conf"],
    scripts={
        "postinst": "#!/bin/sh\n",
        "triggers": "interest-noawait /usr/share/one\ninterest one-changed\nactivate x\n",
    },
)
TWO = Deb("two", "2", [file("usr/share/two", "2")], arch="all", md5sums=False)


def install(*packages: DebFiles) -> tuple[Tree, list[InstalledDeb]]:
    tree = Tree()
    merged = merge_packages(tree, packages)
    moved = merged.landed
    return tree, [describe_installed(p, tree, moved.get(p.package.name)) for p in packages]


def texts(files: list[DatabaseFile]) -> dict[str, str]:
    return {each.path.removeprefix("var/lib/dpkg/"): each.data.decode() for each in files}


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


# -- for scanners ----------------------------------------------------------------------------


def test_status_d_has_control_files_and_md5sums_as_they_are() -> None:
    _, records = install(verify_made(ONE), verify_made(TWO))
    found = texts(format_status_folder(records))
    assert sorted(found) == [
        "status.d/one", "status.d/one.md5sums", "status.d/two", "status.d/two.md5sums",
    ]  # fmt: skip
    assert found["status.d/one"] == format_control(ONE)
    assert found["status.d/one.md5sums"].splitlines() == [
        f"{md5('1')}  usr/bin/one",
        f"{md5('c')}  usr/share/doc/one/copyright",
        f"{md5('m')}  usr/share/man/man1/one.1",
    ]
    assert found["status.d/two.md5sums"] == f"{md5('2')}  usr/share/two\n"


def test_only_files_that_are_there_unchanged_have_md5sums() -> None:
    package = cut_package(verify_made(ONE), Selection(slim=("man",)))
    tree = Tree()
    merge_packages(tree, [package])
    put_file(tree, "usr/bin/one", b"other", epoch=0)
    record = describe_installed(package, tree)
    assert record.md5sums == f"{md5('c')}  usr/share/doc/one/copyright\n"
    assert "usr/share/man/man1/one.1" not in record.paths
    assert "usr/bin/one" in record.paths


def test_files_that_another_package_took_are_not_listed() -> None:
    thief = Deb("thief", items=[file("usr/bin/one", "stolen", 0o755)], fields={"Replaces": "one"})
    _, records = install(verify_made(ONE), verify_made(thief))
    assert "usr/bin/one" not in records[0].paths
    assert "usr/bin/one" not in records[0].md5sums
    assert records[1].md5sums == f"{md5('stolen')}  usr/bin/one\n"


def test_files_that_a_link_led_elsewhere_are_listed() -> None:
    merged = Deb("base", items=[folder("usr/lib"), symlink("lib", "usr/lib")])
    old = Deb("old", items=[file("lib/old.so", "o")])
    _, records = install(verify_made(merged), verify_made(old))
    assert records[1].md5sums == f"{md5('o')}  lib/old.so\n"
    assert "lib/old.so" in records[1].paths


def test_two_packages_never_write_one_name() -> None:
    _, records = install(verify_made(ONE))
    foreign = msgspec.structs.replace(
        records[0], package=msgspec.structs.replace(records[0].package, architecture="i386")
    )
    with pytest.raises(InputError, match="amd64 and i386"):
        format_status_folder([*records, foreign])


# -- for dpkg --------------------------------------------------------------------------------


def test_the_full_database() -> None:
    _, records = install(verify_made(ONE), verify_made(TWO))
    found = texts(format_full(records))
    one, two = parse_stanzas(found["status"], "status")
    assert (one.get("Status"), one.get("Version")) == ("install ok installed", "1:1.0-1")
    assert one.lines("Conffiles") == (f"/etc/one.conf {md5('conf' + chr(10))}",)
    assert two.get("Package") == "two"
    assert found["info/format"] == "1\n"
    assert found["info/one:amd64.list"].splitlines()[:3] == ["/.", "/etc", "/etc/one.conf"]
    assert found["info/one:amd64.conffiles"] == "/etc/one.conf\n"
    assert found["info/one:amd64.postinst"] == "#!/bin/sh\n"
    assert found["info/two.list"] == "/.\n/usr\n/usr/share\n/usr/share/two\n"
    assert found["triggers/File"] == "/usr/share/one one:amd64/noawait\n"
    assert found["triggers/one-changed"] == "one:amd64\n"
    modes = {each.path: each.mode for each in format_full(records)}
    assert modes["var/lib/dpkg/info/one:amd64.postinst"] == 0o755


def test_packages_of_a_base_image_stay_in_front_and_give_way_to_their_own_kind() -> None:
    _, records = install(verify_made(ONE))
    old = (
        b"Package: base\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n"
        b"Package: one\nStatus: install ok installed\nArchitecture: amd64\nVersion: 0\n \n"
        b"Package: one\nStatus: install ok installed\nArchitecture: i386\nVersion: 0\n"
    )
    stanzas = parse_stanzas(merge_status(old, records).decode(), "status")
    assert [(s.get("Package"), s.get("Architecture"), s.get("Version")) for s in stanzas] == [
        ("base", "amd64", "1"), ("one", "i386", "0"), ("one", "amd64", "1:1.0-1"),
    ]  # fmt: skip
    assert merge_status(b"", []) == b""
    assert list(split_status(b"\n\na\nb\n\n\nc\n")) == [b"a\nb", b"c"]


def test_triggers_that_are_no_names_of_files_are_left_out() -> None:
    names = ("../../../etc/passwd", "a/b", "..", "File", "Unincorp", "Lock", "\x01", "good")
    text = "".join(f"interest {name}\n" for name in names)
    _, records = install(verify_made(replace(ONE, scripts={"triggers": text})))
    found = {each.path for each in format_full(records) if "/triggers/" in each.path}
    assert found == {f"var/lib/dpkg/triggers/{name}" for name in ("File", "Unincorp", "good")}
    assert texts(format_full(records))["triggers/File"] == ""


def test_interests_of_a_base_image_stay() -> None:
    _, records = install(verify_made(ONE))
    found = texts(format_full(records, interests={"File": b"/etc/x base\n", "old": b"base\n"}))
    assert found["triggers/File"] == "/etc/x base\n/usr/share/one one:amd64/noawait\n"
    assert found["triggers/old"] == "base\n"


@needs("dpkg-query")
def test_dpkg_reads_the_full_database(tmp_path: Path) -> None:
    _, records = install(verify_made(ONE), verify_made(TWO))
    for each in format_full(records):
        path = tmp_path / each.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(each.data)
    admin = f"--admindir={tmp_path}/var/lib/dpkg"

    def ask(*words: str) -> str:
        done = subprocess.run(["dpkg-query", admin, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert ask("-W", "-f", "${Package} ${Version} ${db:Status-Status}\n") == (
        "one 1:1.0-1 installed\ntwo 2 installed\n"
    )
    assert "/usr/bin/uno" in ask("-L", "one").splitlines()
    assert ask("-S", "/usr/share/two") == "two: /usr/share/two\n"
    assert "etc/one.conf" in ask("-W", "-f", "${Conffiles}", "one")
