"""Images with packages of a second architecture: chosen, told apart, locked, known to dpkg."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from build.conftest import Workshop
from fixtures.debfile import Deb
from fixtures.debmaker import Archive, Signer, write_archive
from fixtures.maker import file
from support import needs

SAME = {"Multi-Arch": "same"}
COPYRIGHT = file("usr/share/doc/lib/copyright", "free\n")


def library(arch: str, triplet: str, *more: object) -> Deb:
    items = [COPYRIGHT, file(f"usr/lib/{triplet}/lib.so", arch), *more]
    return Deb("lib", "1.0-1", items, arch=arch, fields=SAME)  # type: ignore[arg-type]


@pytest.fixture
def debian(workshop: Workshop) -> Workshop:
    offer(workshop.folder, library("i386", "i386-linux-gnu"))
    workshop.write(
        "contents:\n  repositories: ['deb ./archive trixie main']\n  keyring: [key.asc]\n"
        "  packages: ['game:i386', lib]\n  essential: none\narchs: [amd64]\n"
    )
    return workshop


def offer(folder: Path, foreign: Deb) -> None:
    signer = Signer()
    signer.write(folder / "key.asc")
    game = Deb("game", items=[file("usr/games/game", "g")], arch="i386", fields={"Depends": "lib"})
    debs = [library("amd64", "x86_64-linux-gnu"), foreign, game]
    archive = Archive({"main": debs}, architectures=("amd64", "i386"))
    write_archive(folder / "archive", archive, [signer])


def files_of(debian: Workshop, digest: str) -> set[str]:
    inspected = json.loads(debian.run("inspect", digest, "--files", "--json").out)
    return {entry["path"] for entry in inspected["images"][0]["files"]}


def test_one_package_of_two_architectures_is_in_an_image_twice(debian: Workshop) -> None:
    paths = files_of(debian, debian.build("image.yaml"))
    assert {"usr/lib/i386-linux-gnu/lib.so", "usr/lib/x86_64-linux-gnu/lib.so"} <= paths
    database = {path.rpartition("/")[2] for path in paths if "status.d/" in path}
    assert {"lib", "lib:i386", "game:i386"} <= database
    shown = json.loads(debian.run("show", "packages", "image.yaml", "--json").out)
    assert sorted((row["name"], row["arch"]) for row in shown) == [
        ("game", "i386"), ("lib", "amd64"), ("lib", "i386"),
    ]  # fmt: skip
    why = debian.run("why", "image.yaml", "lib:i386")
    assert "game:i386 needs `lib`: lib:i386-1.0-1" in why.out, why


def test_a_lock_tells_them_apart(debian: Workshop) -> None:
    digest = debian.build("image.yaml")
    assert debian.run("lock", "image.yaml").code == 0
    assert debian.build("image.lock.json") == digest
    checked = debian.run("lock", "image.yaml", "--check")
    assert (checked.code, checked.err) == (0, "")
    lock = json.loads((debian.folder / "image.lock.json").read_text())
    packages = lock["contents"]["packages"]
    packages.append(packages[0])
    (debian.folder / "image.lock.json").write_text(json.dumps(lock))
    assert "is there twice" in debian.run("build", "image.lock.json").err


@needs("dpkg-query")
def test_dpkg_knows_both(debian: Workshop, tmp_path: Path) -> None:
    text = (debian.folder / "image.yaml").read_text()
    debian.write(text.replace("essential: none", "essential: none\n  database: dpkg"))
    tar = tmp_path / "root.tar"
    assert debian.run("export", debian.build("image.yaml"), "-o", str(tar)).code == 0
    root = tmp_path / "root"
    root.mkdir()
    subprocess.run(["tar", "-xf", tar, "-C", root, "var/lib/dpkg"], check=True)
    ask = ["dpkg-query", f"--admindir={root}/var/lib/dpkg"]
    listed = subprocess.run(
        [*ask, "-W", "-f", "${binary:Package}\n"], capture_output=True, text=True, check=True
    )
    assert sorted(listed.stdout.split()) == ["game:i386", "lib:amd64", "lib:i386"]
    for name, path in (("lib:i386", "i386"), ("lib:amd64", "x86_64")):
        owned = subprocess.run([*ask, "-L", name], capture_output=True, text=True, check=True)
        assert f"/usr/lib/{path}-linux-gnu/lib.so" in owned.stdout
        assert "/usr/share/doc/lib/copyright" in owned.stdout
        sums = (root / f"var/lib/dpkg/info/{name}.md5sums").read_text()
        assert len(sums.splitlines()) == 2


def test_what_they_share_must_be_equal(debian: Workshop) -> None:
    other = library("i386", "i386-linux-gnu", file("usr/share/lib/data", "i386"))
    offer(debian.folder, other)
    debian.build("image.yaml")
    items = [file("usr/share/doc/lib/copyright", "not free\n")]
    offer(debian.folder, Deb("lib", "1.0-1", items, arch="i386", fields=SAME))
    answer = debian.run("build", "image.yaml")
    assert answer.code == 3
    assert "lib:i386 and lib both own /usr/share/doc/lib/copyright" in answer.err
