"""Images of Debian packages from the command line: built, locked, explained, run from memory."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from build.conftest import Workshop
from fixtures.debfile import Deb
from fixtures.debmaker import Archive, Signer, write_archive
from fixtures.maker import file, symlink

BASE = Deb(
    "base-files", "13", [file("usr/lib/os-release", "ID=debian\n"), symlink("lib", "usr/lib")]
)

APP = Deb(
    "app",
    "1.0-1",
    [file("usr/bin/app", "#!/bin/sh\n", 0o755), file("usr/share/doc/app/copyright", "free\n")],
    fields={"Depends": "libapp (>= 1)"},
)


def offer(folder: Path, signer: Signer, *debs: Deb) -> None:
    write_archive(folder / "archive", Archive(suite="trixie", components={"main": debs}), [signer])


@pytest.fixture
def debian(workshop: Workshop) -> Workshop:
    signer = Signer()
    signer.write(workshop.folder / "key.asc")
    workshop.signer = signer  # type: ignore[attr-defined]
    offer(
        workshop.folder,
        signer,
        BASE,
        APP,
        Deb("libapp", "1.2-3", [file("usr/lib/libapp.so", "x")]),
    )
    workshop.write(
        "contents:\n  repositories: ['deb ./archive trixie main']\n  keyring: [key.asc]\n"
        "  packages: [app]\narchs: [amd64]\n"
    )
    return workshop


def test_what_depends_on_what_is_built_locked_and_told(debian: Workshop) -> None:
    digest = debian.build("image.yaml")
    assert debian.build("image.yaml") == digest
    shown = json.loads(debian.run("show", "packages", "image.yaml", "--json").out)
    assert [row["name"] for row in shown] == ["base-files", "libapp", "app"]
    assert (
        "app needs `libapp (>= 1)`: libapp-1.2-3" in debian.run("why", "image.yaml", "libapp").out
    )
    assert debian.run("lock", "image.yaml").code == 0
    assert debian.run("lock", "image.yaml", "--check").code == 0
    assert debian.build("image.lock.json") == digest
    inspected = json.loads(debian.run("inspect", digest, "--files", "--json").out)
    paths = {entry["path"] for entry in inspected["images"][0]["files"]}
    assert {"usr/bin/app", "usr/lib/libapp.so", "var/lib/dpkg/status.d/app"} <= paths


def test_a_lock_names_places_in_the_archive_and_hashes(debian: Workshop) -> None:
    debian.run("lock", "image.yaml")
    lock = json.loads((debian.folder / "image.lock.json").read_text())
    for package in lock["contents"]["packages"]:
        assert package["url"].startswith("pool/")
        assert package["checksum"].startswith("sha256:")
        assert package["layer"]["digest"].startswith("sha256:")


def test_an_update_moves_one_package(debian: Workshop) -> None:
    debian.run("lock", "image.yaml")
    signer: Signer = debian.signer  # type: ignore[attr-defined]
    app = Deb(
        "app", "2.0-1", [file("usr/bin/app", "#!/bin/sh\n", 0o755)], fields={"Depends": "libapp"}
    )
    offer(
        debian.folder, signer, BASE, app, Deb("libapp", "1.3-1", [file("usr/lib/libapp.so", "y")])
    )
    checked = debian.run("lock", "image.yaml", "--check")
    assert checked.code == 1
    assert "libapp 1.2-3 is no longer offered by any repository" in checked.err
    offer(
        debian.folder, signer, BASE, app,
        Deb("libapp", "1.3-1", [file("usr/lib/libapp.so", "y")]),
        Deb("libapp", "1.2-3", [file("usr/lib/libapp.so", "x")]),
    )  # fmt: skip
    updated = debian.run("lock", "image.yaml", "--update", "app")
    assert (updated.code, updated.err) == (0, "app 1.0-1 -> 2.0-1\n")


def test_what_is_left_out_is_nowhere(debian: Workshop) -> None:
    text = (debian.folder / "image.yaml").read_text()
    more = "  select: {app: {exclude: [/usr/bin/**]}}\n  slim: [docs]\n"
    debian.write(text.replace("archs:", f"{more}archs:"))
    digest = debian.build("image.yaml")
    inspected = json.loads(debian.run("inspect", digest, "--files", "--json").out)
    paths = {entry["path"] for entry in inspected["images"][0]["files"]}
    assert "usr/bin/app" not in paths
    assert "usr/share/doc/app/copyright" in paths


@pytest.mark.parametrize(
    ("old", "new", "code", "message"),
    [
        ("packages: [app]", "packages: [aap]", 2, "aap"),
        ("packages: [app]", "packages: ['app (> 1']", 2, "is not a package to install"),
        ("[key.asc]", "[absent.asc]", 3, "absent.asc"),
        ("trixie main", "sid main", 3, "sid"),
        (
            "packages: [app]",
            "packages: [app]\n  slim: [dogs]",
            2,
            "nothing that can be slimmed away",
        ),
        (
            "'deb ./archive trixie main'",
            "'deb ./archive trixie main', repo",
            2,
            "is no source of Debian packages, as others here are",
        ),
        (
            "'deb ./archive trixie main'",
            "'deb ./archive trixie main', other.sources",
            2,
            "write what is in other.sources as the entry itself",
        ),
        ("trixie main", "trixie contrib", 3, "image.yaml:2:"),
        ("packages: [app]", "packages: [app]\n  unneeded: [lib-app]", 2, "`lib-app` is unneeded"),
        (
            "packages: [app]",
            "packages: [app]\n  slices: {release: nowhere, use: [app_bin]}",
            3,
            "there is no folder nowhere",
        ),
        (
            "packages: [app]",
            "packages: [app]\n  slices: {release: chisel, use: [app]}",
            2,
            "write PACKAGE_SLICE, as in app_libs",
        ),
    ],
)
def test_mistakes_are_told(debian: Workshop, old: str, new: str, code: int, message: str) -> None:
    text = (debian.folder / "image.yaml").read_text()
    assert old in text
    debian.write(text.replace(old, new))
    answer = debian.run("build", "image.yaml")
    assert (answer.code, answer.out) == (code, "")
    assert message in answer.err
    assert re.search(r"^ --> (image\.yaml|.*/image\.yaml):\d+:\d+$", answer.err, re.MULTILINE)


def test_slices_alone_bring_nothing_else(debian: Workshop) -> None:
    """As with chisel: what a slice needs, it says; dependencies of its package are not followed."""
    slices = debian.folder / "chisel" / "slices"
    slices.mkdir(parents=True)
    (slices / "app.yaml").write_text(
        "package: app\nslices:\n  bin:\n    contents:\n      /usr/bin/app:\n"
    )
    text = (debian.folder / "image.yaml").read_text()
    sliced = "slices: {release: chisel, use: [app_bin]}"
    debian.write(text.replace("packages: [app]", sliced))
    answer = debian.run("build", "image.yaml")
    assert (answer.code, answer.err.count("warning")) == (0, 1), answer.err
    assert "os-release" in answer.err
    shown = debian.run("show", "packages", "image.yaml").out
    assert "app-1.0-1" in shown
    assert "libapp" not in shown
    assert "base-files" not in shown
    debian.write(text.replace("packages: [app]", f"packages: [app]\n  {sliced}"))
    assert "libapp" in debian.run("show", "packages", "image.yaml").out


def test_security_updates_are_noticed_and_called_so(debian: Workshop) -> None:
    signer: Signer = debian.signer  # type: ignore[attr-defined]

    def offer_updates(*debs: Deb) -> None:
        archive = Archive({"main": debs}, suite="trixie-security", label="stable-security")
        write_archive(debian.folder / "security", archive, [signer])

    def offer_library(version: str) -> Deb:
        return Deb("libapp", version, [file("usr/lib/libapp.so", version)])

    old = "deb ./archive trixie main"
    text = (debian.folder / "image.yaml").read_text()
    debian.write(text.replace(f"'{old}'", f"'{old}', 'deb ./security trixie-security main'"))
    offer_updates()
    digest = debian.build("image.yaml")
    debian.run("lock", "image.yaml")

    offer_updates(offer_library("1.2-3+deb13u1"))
    assert debian.build("image.yaml") != digest  # not from memory
    checked = debian.run("lock", "image.yaml", "--check")
    assert checked.code == 1
    moved = "libapp 1.2-3 -> 1.2-3+deb13u1, a security update of trixie-security"
    assert moved in checked.err
    updated = debian.run("lock", "image.yaml", "--update", "libapp")
    assert (updated.code, updated.err) == (0, f"{moved}\n")

    # The security archive has the newest only, so what was locked is gone with the next one.
    offer_updates(offer_library("1.2-3+deb13u2"))
    checked = debian.run("lock", "image.yaml", "--check")
    assert "libapp 1.2-3+deb13u1 is no longer offered by any repository; now it would be " in (
        checked.err
    )
    assert "1.2-3+deb13u2, a security update of trixie-security" in checked.err

    # A point release takes the updates over.
    debian.run("lock", "image.yaml", "--update", "libapp")
    offer(debian.folder, signer, BASE, APP, offer_library("1.2-3+deb13u2"))
    checked = debian.run("lock", "image.yaml", "--check")
    assert "libapp would be taken from ./archive trixie instead of ./security trixie-security" in (
        checked.err
    )
