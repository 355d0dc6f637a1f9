"""The same declaration and packages give the same bytes, whatever is around them."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from build.conftest import Workshop
from build.surroundings import WAYS
from fixtures.demo import demo_packages
from fixtures.maker import write_repository
from support import is_present, needs

DECLARATION = """\
contents:
  repositories: [repo, '@extra extra']
  keyring: [demo-test-only.rsa.pub]
  packages: [demo-baselayout, ca-certificates-demo, demo-permissions, demo-legacy, demo-web,
             greeter-modern, hello, special@extra]
accounts:
  users: [{username: app, uid: 500}]
  run-as: app
files:
  - {path: /opt/tool, source: tool}
  - {path: /opt/folder, source: folder}
paths: [{path: /srv/x, type: directory, permissions: 0o700}]
annotations: {z: '1', a: '2'}
archs: [x86_64, aarch64]
"""
KINDS = {
    "package": "",
    "origin": "layering: {strategy: origin}\n",
    "single": "layering: {strategy: single}\n",
    "erofs": "format: erofs\n",
}
Results = dict[str, dict[str, str]]


OTHERS = [
    pytest.param(way, marks=needs("faketime")) if WAYS[way].before else way
    for way in WAYS
    if way != "plain"
]


def prepare(repositories: Path, folder: Path, umask: int) -> None:
    """The same inputs in another folder, made under another umask, in another order."""
    old = os.umask(umask)
    try:
        folder.mkdir(parents=True)
        for name in ("repo", "more", "extra"):
            shutil.copytree(repositories / name, folder / name)
        shutil.copy(repositories / "demo-test-only.rsa.pub", folder)
        (folder / "folder").mkdir()
        for name in ("b", "a", "ä") if umask & 0o020 else ("ä", "a", "b"):
            (folder / "folder" / name).write_text(name, encoding="utf-8")
        (folder / "tool").write_text("#!/bin/sh\n")
        (folder / "tool").chmod(0o777 & ~umask)
        os.utime(folder / "tool", (umask * 1e6, umask * 1e6))
        for kind, more in KINDS.items():
            (folder / f"{kind}.yaml").write_text(DECLARATION + more)
    finally:
        os.umask(old)


@pytest.fixture(scope="module")
def built(repositories: Path, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """For each way: digests by kind; also an archive's hash with an empty store, and a full one."""
    results: Results = {}
    for number, (name, way) in enumerate(WAYS.items()):
        if way.before and not is_present(way.before[0]):
            continue
        folder = tmp_path_factory.mktemp("way") / ("sub/" * number + f"f{number}")
        prepare(repositories, folder, way.umask)
        found = results[name] = {}
        runs = [(f"{kind}.yaml", f"{kind}.tar") for kind in KINDS] + [("package.yaml", "full.tar")]
        for declaration, output in runs:
            done = way.build(folder, declaration, "-o", output, "-t", "demo:1")
            assert done.returncode == 0, (name, done.stderr)
            found[f"digest of {output}"] = done.stdout
            found[output] = hashlib.sha256((folder / output).read_bytes()).hexdigest()
    return results


@pytest.mark.parametrize("way", OTHERS)
def test_digests_and_archives_do_not_depend_on_the_surroundings(built: Results, way: str) -> None:
    assert built[way] == built["plain"]
    assert built[way]["full.tar"] == built[way]["package.tar"]
    # Each image states what it was made from, so that no two declarations give the same.
    assert len(set(built[way].values())) == 2 * len(KINDS)


def test_another_declaration_gives_another_digest(workshop: Workshop) -> None:
    one = workshop.build(workshop.declare())
    assert workshop.build(workshop.declare(more="cmd: x")) != one


def test_the_order_of_packages_in_the_repository_does_not_matter(workshop: Workshop) -> None:
    name = workshop.declare("[hello, demo-web, editor]")
    expected = workshop.build(name)
    shutil.rmtree(workshop.folder / "repo")
    packages = [apk for apk in demo_packages("x86_64") if "corpus" not in apk.name]
    write_repository(workshop.folder / "repo", {"x86_64": packages[::-1]})
    assert workshop.build(name) == expected
