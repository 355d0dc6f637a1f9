"""The same declaration and packages give the same bytes, whatever is around them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from build.commandline import command, environment
from build.conftest import Workshop
from fixtures.demo import demo_packages
from fixtures.maker import write_repository

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
Results = dict[str, tuple[str, ...]]
WAYS: dict[str, tuple[list[str], dict[str, str], int]] = {
    "plain": ([], {}, 0o022),
    "umask and one job": (["--jobs", "1"], {}, 0o077),
    "zone, locale, hash seed, many jobs": (
        ["--jobs", "7", "-v"],
        {"TZ": "Pacific/Kiritimati", "LC_ALL": "tr_TR.UTF-8", "LANG": "de_DE", "PYTHONHASHSEED": "1"},
        0o002,
    ),
    "C locale, other seed": ([], {"LC_ALL": "C", "TZ": "America/Caracas", "PYTHONHASHSEED": "77"}, 0o027),
}  # fmt: skip


def prepare(repositories: Path, folder: Path, umask: int) -> None:
    """The same inputs in another folder, made under another umask, in another order."""
    old = os.umask(umask)
    try:
        folder.mkdir(parents=True)
        for name in ("repo", "more", "extra"):
            shutil.copytree(repositories / name, folder / name)
        shutil.copy(repositories / "demo-test-only.rsa.pub", folder)
        (folder / "image.yaml").write_text(DECLARATION)
        (folder / "folder").mkdir()
        for name in ("b", "a", "ä") if umask & 0o020 else ("ä", "a", "b"):
            (folder / "folder" / name).write_text(name, encoding="utf-8")
        (folder / "tool").write_text("#!/bin/sh\n")
        (folder / "tool").chmod(0o777 & ~umask)
    finally:
        os.umask(old)


@pytest.fixture(scope="module")
def built(repositories: Path, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """For each way: the digest, the archive's hash with an empty store, and with a full one."""
    results: Results = {}
    for number, (way, (flags, variables, umask)) in enumerate(WAYS.items()):
        folder = tmp_path_factory.mktemp("way") / ("sub/" * number + f"f{number}")
        prepare(repositories, folder, umask)
        env = environment(XDG_CACHE_HOME=str(folder / "cache"), **variables)
        hashes, digests = [], set()
        for run in ("empty", "full"):
            done = subprocess.run(
                command("build", "image.yaml", "-o", f"{run}.tar", "-t", "demo:1", *flags),
                cwd=folder, env=env, umask=umask, capture_output=True, text=True,
            )  # fmt: skip
            assert done.returncode == 0, (way, done.stderr)
            digests.add(done.stdout)
            hashes.append(hashlib.sha256((folder / f"{run}.tar").read_bytes()).hexdigest())
        [digest] = digests
        results[way] = (digest, *hashes)
    return results


@pytest.mark.parametrize("way", list(WAYS)[1:])
def test_digest_and_archive_do_not_depend_on_the_surroundings(built: Results, way: str) -> None:
    assert built[way] == built["plain"]


def test_a_full_store_gives_the_archive_of_an_empty_one(built: Results) -> None:
    _, empty, full = built["plain"]
    assert empty == full


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
