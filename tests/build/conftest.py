from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from build.commandline import Answer, run
from build.smalldisk import Disk
from fixtures.demo import demo_packages
from fixtures.maker import Apk, file, write_repository

ARCHITECTURES = ("x86_64", "aarch64")
HEAVY = {"demo-corpus-random", "demo-corpus-text"}


@pytest.fixture(scope="session")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the signed repositories `repo`, `more` and `extra`, and the key beside them."""
    root = tmp_path_factory.mktemp("repositories")
    packages = {
        arch: [apk for apk in demo_packages(arch) if apk.name not in HEAVY]
        for arch in ARCHITECTURES
    }
    made = write_repository(root / "repo", packages)
    shutil.copy(made.key, root / "demo-test-only.rsa.pub")
    more = [
        Apk("s6", items=[file("usr/bin/s6-svscan", "#!\n", 0o755)]),
        Apk("built-from", items=[file("usr/share/built", "x")]),
    ]
    extra = [Apk("special", "2.0-r0", [file("usr/share/special", "from extra")])]
    write_repository(root / "more", dict.fromkeys(ARCHITECTURES, more))
    write_repository(root / "extra", dict.fromkeys(ARCHITECTURES, extra))
    return root


class Workshop:
    """A folder in which a test builds: repositories, a store, declarations."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store"

    def write(self, text: str, name: str = "image.yaml") -> str:
        (self.folder / name).write_text(text)
        return name

    def declare(self, packages: str = "[hello]", more: str = "", archs: str = "[x86_64]") -> str:
        """A small declaration on `repo`."""
        return self.write(
            f"contents:\n  repositories: [repo]\n  keyring: [demo-test-only.rsa.pub]\n"
            f"  packages: {packages}\narchs: {archs}\n{more}"
        )

    def run(self, *words: str | Path) -> Answer:
        return run(*words, "--cache", self.store)

    def build(self, *words: str | Path) -> str:
        """Build, and return the digest."""
        code, out, err = self.run("build", *words)
        assert code == 0, err
        return out.strip()


@pytest.fixture
def workshop(repositories: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """A workshop of its own, in the current folder; nothing outside steers it."""
    for name in ("repo", "more", "extra"):
        shutil.copytree(repositories / name, tmp_path / name, copy_function=_link)
    shutil.copy(repositories / "demo-test-only.rsa.pub", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    return Workshop(tmp_path)


def _link(source: str, target: str) -> Callable[..., object] | None:
    """Tests replace files rather than write into them, so links are enough."""
    Path(target).hardlink_to(source)
    return None


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A small disk, of 64 KiB to begin with."""
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip("only root can mount a small disk")
    small = Disk(tmp_path / "disk")
    small.folder.mkdir()
    if not small.mount(1 << 16):
        pytest.skip("this root may not mount a small disk")
    yield small
    small.unmount()
