"""Locks of ours built by real apko, locks of apko built by us, and the two side by side."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from fixtures.demo import demo_packages
from fixtures.maker import Apk, file, load_key, make_index, sign_index, write_repository
from realworld.flat import read_image
from realworld.tools import apko, imagist
from support import needs

pytestmark = needs("apko")

OURS = {"tag", "layer"}
"""Keys of a package that apko does not write."""
_CONFIG = """\
include: conf/common.yaml
contents:
  repositories: [./repo/, "@extra {root}/extra"]
  runtime_repositories: [https://example.org/later/]
  keyring: [{key}, conf/{key}]
  packages: [hello, special@extra, built-from, demo-web, demo-permissions]
archs: [x86_64, aarch64]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two architectures, three repositories of which one is tagged, signed packages and others."""
    archs = ("x86_64", "aarch64")
    # apko does not know install_if, which the documentation has.
    packages = {
        arch: [a for a in demo_packages(arch) if "corpus" not in a.name and not a.install_if]
        for arch in archs
    }
    key = load_key()
    write_repository(tmp_path / "repo", packages, sign_packages=True)
    built = Apk("built-from", items=[file("usr/share/built", "x" * 9000)])
    write_repository(tmp_path / "more", {arch: [built] for arch in archs})
    special = Apk("special", "2.0-r0", [file("usr/share/special", "s")])
    write_repository(tmp_path / "extra", {arch: [special] for arch in archs})
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "common.yaml").write_text("contents:\n  build_repositories: [more]\n")
    for place in (tmp_path, conf):
        (place / key.name).write_bytes(key.public_pem)
    (tmp_path / "it.yaml").write_text(_CONFIG.format(root=tmp_path, key=key.name))
    return tmp_path


def lock_with_apko(folder: Path, *words: str) -> dict[str, Any]:
    apko(
        "lock", "it.yaml", *words, "--output", "apko.lock.json", cwd=folder, cache=folder / "apko"
    )
    return read(folder / "apko.lock.json")


def lock_with_imagist(folder: Path, *words: str) -> dict[str, Any]:
    imagist("lock", "it.yaml", *words, cwd=folder, cache=folder / "store")
    return read(folder / "it.lock.json")


def read(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_bytes())
    assert isinstance(found, dict)
    return found


def by_architecture(lists: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """apko keeps the order in which architectures were declared; ours is by name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for each in lists:
        kept = {name: value for name, value in each.items() if name not in OURS}
        found.setdefault(each["architecture"], []).append(kept)
    return found


def test_both_write_the_same_but_for_what_is_ours(folder: Path) -> None:
    theirs, ours = lock_with_apko(folder), lock_with_imagist(folder)
    assert [*ours] == [*theirs, "images", "index"]
    assert ours["version"] == theirs["version"]
    assert ours["config"] == theirs["config"]
    assert [*ours["contents"]] == [*theirs["contents"]]
    assert ours["contents"]["keyring"] == theirs["contents"]["keyring"]
    for kind in ("build_repositories", "runtime_repositories", "repositories", "packages"):
        mine, other = (by_architecture(each["contents"][kind]) for each in (ours, theirs))
        assert mine == other
    first, other = (each["contents"]["packages"][0] for each in (ours, theirs))
    assert [name for name in first if name not in OURS] == [*other]


def test_both_write_a_lock_of_nothing_alike(folder: Path) -> None:
    (folder / "it.yaml").write_text("contents: {repositories: [repo]}\narchs: [x86_64]\n")
    flags = ("--ignore-signatures",)
    theirs, ours = lock_with_apko(folder, *flags), lock_with_imagist(folder, *flags)
    assert {name: ours[name] for name in theirs} == theirs
    assert json.dumps(theirs, indent=2) + "\n" == (folder / "apko.lock.json").read_text()
    assert json.dumps(ours, indent=2) + "\n" == (folder / "it.lock.json").read_text()


def test_both_write_it_to_the_same_place(folder: Path) -> None:
    (folder / "conf" / "it.v2.yaml").write_text((folder / "it.yaml").read_text())
    said = imagist("lock", "conf/it.v2.yaml", cwd=folder, cache=folder / "store")
    assert said.splitlines()[-1] == "conf/it.v2.lock.json"
    (folder / "conf/it.v2.lock.json").unlink()
    apko("lock", "conf/it.v2.yaml", cwd=folder, cache=folder / "apko")
    assert (folder / "conf/it.v2.lock.json").is_file()


def test_apko_builds_from_our_lock_exactly_its_packages(folder: Path) -> None:
    locked = lock_with_imagist(folder)
    # Newer ones are there by now, and an index that neither should look at.
    for arch in ("x86_64", "aarch64"):
        packages = [Apk("hello", "9.0-r0"), *demo_packages(arch)]
        made = write_repository(folder / "newer", {arch: packages}).packages[arch]
        index = sign_index(make_index(made.values()), load_key())
        (folder / "repo" / arch / "APKINDEX.tar.gz").write_bytes(index)
    (folder / "theirs").mkdir()
    flags = ("--lockfile", "it.lock.json", "--sbom=false")
    apko("build", "it.yaml", "it:latest", "theirs", *flags, cwd=folder, cache=folder / "apko")
    for arch in ("x86_64", "aarch64"):
        expected = {
            (each["name"], each["version"])
            for each in locked["contents"]["packages"]
            if each["architecture"] == arch
        }
        assert installed(folder / "theirs", arch) == expected


def installed(layout: Path, arch: str) -> set[tuple[str, str]]:
    tree = read_image(layout, {"x86_64": "amd64", "aarch64": "arm64"}[arch]).flatten()
    path = next(path for path in tree if path.endswith("lib/apk/db/installed"))
    return set(re.findall(r"^P:(.+)\nV:(.+)$", tree.text(path), re.MULTILINE))


def test_we_build_from_a_lock_of_apko_what_we_build_without(folder: Path) -> None:
    def build(*more: str, store: str) -> str:
        return imagist("build", *more, cwd=folder, cache=folder / store).splitlines()[-1]

    lock_with_apko(folder)
    expected = build("it.yaml", store="one")
    assert build("it.yaml", "--lock", "apko.lock.json", store="two") == expected
    assert build("apko.lock.json", store="three") == expected
    checked = imagist("lock", "apko.lock.json", "--check", cwd=folder, cache=folder / "one")
    assert checked.splitlines()[-1] == "apko.lock.json"
