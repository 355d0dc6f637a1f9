"""What every test of faults builds, and what must hold whatever happened to the store."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from build.commandline import run
from build.conftest import ARCHITECTURES
from fixtures.demo import demo_packages
from fixtures.maker import Apk, file, write_repository
from imagist.digest import sha256
from imagist.oci import derive
from imagist.oci.validate import validate
from imagist.store.archive import read_archive
from imagist.store.layout import read_layout

_HEAD = """\
contents:
  repositories: [repo]
  keyring: [demo-test-only.rsa.pub]
  packages: [demo-baselayout, ca-certificates-demo, demo-corpus-random, demo-corpus-text, demo-web,
             greeter-modern, hello, *]
accounts: {users: [{username: app, uid: 500}], run-as: app}
paths: [{path: /srv/data, type: directory, uid: 500, permissions: 0o750}]
archs: [x86_64, aarch64]
"""
KINDS: Mapping[str, str] = {
    "package.yaml": "",
    "single.yaml": "layering: {strategy: single}\n",
    "erofs.yaml": "format: erofs\n",
}
"""Declarations with the same packages, whose layers are made in all the ways there are."""


def prepare(folder: Path, extra: str = "docs") -> None:
    """Some megabytes of signed packages for two platforms, and the declarations."""
    packages = {arch: [*demo_packages(arch), *_small_ones()] for arch in ARCHITECTURES}
    made = write_repository(folder / "repo", packages)
    shutil.copy(made.key, folder / "demo-test-only.rsa.pub")
    for name, more in KINDS.items():
        (folder / name).write_text(_HEAD.replace("*", extra) + more)


def _small_ones() -> list[Apk]:
    """Packages that only some images have."""
    return [
        Apk(f"small-{n}", items=[file(f"usr/share/small/{n}", str(n) * 5000)]) for n in range(8)
    ]


def build_all(folder: Path) -> dict[str, str]:
    """The digest of each declaration, built in peace."""
    digests = {}
    for name in KINDS:
        answer = run("-C", folder, "build", name, "--cache", folder / "peace")
        assert answer.code == 0, answer.err
        digests[name] = answer.out.strip()
    return digests


def assert_whole(store: Path) -> None:
    """Every blob in its place is what its name says."""
    for blob in (store / "blobs" / "sha256").glob("*"):
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name


def assert_nothing_or(place: Path, *digests: str) -> bool:
    """A layout or archive is absent, or whole and one of those expected; says whether it is there."""
    if not place.exists():
        return False
    thing = read_archive(place) if place.suffix == ".tar" else read_layout(place)
    assert derive.digest(thing) in digests
    assert validate(thing) == []
    return True


def assert_sound(store: Path) -> None:
    """The store verifies, and nothing unfinished is in it."""
    answer = run("cache", "verify", "--cache", store)
    assert (answer.code, answer.err) == (0, "")
    assert list((store / "tmp").iterdir()) == []
    assert not (store / "memo.sqlite.damaged").exists()


def damage(file: Path, data: bytes) -> None:
    """Write into a read-only file, as a disk does that forgets: its name and number stay."""
    file.chmod(0o644)
    file.write_bytes(data)
    file.chmod(0o444)


def flip(file: Path, at: float = 0.5) -> None:
    """Change one byte in a file."""
    data = bytearray(file.read_bytes())
    data[int((len(data) - 1) * at)] ^= 0x10
    damage(file, bytes(data))


def digest_of(file: Path) -> str:
    return sha256(file.read_bytes())
