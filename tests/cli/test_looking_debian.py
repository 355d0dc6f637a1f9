"""inspect and diff of images of Debian packages, with the database of dpkg and with that of scanners."""

from __future__ import annotations

import json
from typing import Any

import pytest

from build.conftest import Workshop
from fixtures.debfile import Deb
from fixtures.debmaker import Archive, Signer, write_archive
from fixtures.maker import file, folder, symlink

BASE = Deb(
    "base-files",
    "13",
    [
        *(symlink(name, f"usr/{name}") for name in ("bin", "lib")),
        *(folder(f"usr/{name}") for name in ("bin", "lib")),
        file("usr/lib/os-release", "ID=debian\n"),
    ],
)
SHELL = Deb(
    "shell",
    "1:0.5-1",
    [file("bin/sh", "#!\n", 0o755), symlink("bin/rsh", "sh")],
    fields={"Depends": "libshell"},
)


def library(version: str) -> Deb:
    items = [
        file("usr/lib/libshell.so", version),
        file(f"usr/share/libshell/{version}", "x"),
    ]
    return Deb("libshell", version, items, fields={"Source": "shell (1:0.5-1)"})


def offer(workshop: Workshop, *debs: Deb) -> None:
    signer = Signer()
    signer.write(workshop.folder / "key.asc")
    write_archive(workshop.folder / "archive", Archive({"main": debs}), [signer])


@pytest.fixture(params=["dpkg", "status.d"])
def debian(workshop: Workshop, request: pytest.FixtureRequest) -> Workshop:
    """Images `old` and `new`, in which one package has another version."""
    workshop.write(
        "contents:\n  repositories: ['deb ./archive trixie main']\n  keyring: [key.asc]\n"
        f"  packages: [base-files, shell]\n  database: {request.param}\narchs: [amd64]\n"
        "files: [{path: /etc/own, content: x}]\n"
    )
    for name, version in (("old", "1.2-3"), ("new", "1.3-1")):
        offer(workshop, BASE, SHELL, library(version))
        workshop.build("image.yaml", "-o", name)
    return workshop


def is_dpkg(debian: Workshop) -> bool:
    return "database: dpkg" in (debian.folder / "image.yaml").read_text()


def document(debian: Workshop, *words: str) -> Any:
    answer = debian.run(*words, "--json")
    assert not answer.err
    [found] = json.loads(answer.out)["images"]
    return found


def test_inspect_names_packages_and_owners(debian: Workshop) -> None:
    found = document(debian, "inspect", "old", "--files", "--layers")
    assert found["packages"] == [
        {"name": name, "version": version, "arch": "amd64", "origin": origin, "license": ""}
        for name, version, origin in (
            ("base-files", "13", "base-files"),
            ("libshell", "1.2-3", "shell"),
            ("shell", "1:0.5-1", "shell"),
        )
    ]
    owners = {each["path"]: each["package"] for each in found["files"]}
    assert owners["usr/bin/sh"] == "shell"
    assert owners["usr/lib/libshell.so"] == "libshell"
    assert owners["etc/own"] == owners["usr/bin"] == ""
    assert owners["usr/bin/rsh"] == ("shell" if is_dpkg(debian) else "")
    of_layers = [each["packages"] for each in found["layers"]]
    assert of_layers == [["base-files-13", "libshell-1.2-3", "shell-1:0.5-1"], []]
    [row] = [
        line.split()
        for line in debian.run("inspect", "old", "--files").out.splitlines()
        if line.endswith(" /usr/bin/sh")
    ]
    assert row[4] == "shell"
    assert "libshell-1.2-3" in debian.run("inspect", "old").out


def test_diff_names_the_package_that_moved(debian: Workshop) -> None:
    code, out, err = debian.run("diff", "old", "new")
    assert (code, err) == (1, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[:2] == ["packages", "~ libshell 1.2-3 -> 1.3-1"]
    assert "libshell 1 added, 1 removed, 1 changed" in lines
    found = document(debian, "diff", "old", "new", "--files", "--layers")
    assert found["packages"] == [{"name": "libshell", "old": "1.2-3", "new": "1.3-1"}]
    own = {(each["fate"], each["path"]) for each in found["files"] if each["package"]}
    assert own == {
        ("changed", "usr/lib/libshell.so"),
        ("added", "usr/share/libshell/1.3-1"),
        ("removed", "usr/share/libshell/1.2-3"),
    }
    rest = [each["path"] for each in found["files"] if not each["package"]]
    assert all(path.startswith("var/lib/dpkg/") for path in rest)


def test_diff_of_apks_and_debs_names_the_packages_of_both(debian: Workshop) -> None:
    debian.build(debian.declare("[hello]"), "-o", "apks")
    found = document(debian, "diff", "apks", "old")
    versions = {each["name"]: (each["old"], each["new"]) for each in found["packages"]}
    assert versions["hello"] == ("1.1.0-r0", "")
    assert versions["shell"] == ("", "1:0.5-1")
    owners = {each["path"]: each["package"] for each in found["files"]}
    assert (owners["usr/bin/hello"], owners["usr/bin/sh"]) == ("hello", "shell")
