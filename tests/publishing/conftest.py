"""A package server with an access log, a registry, and machines that have nothing."""

from __future__ import annotations

import random
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from build.commandline import Answer, run
from fixtures.maker import Apk, Item, file, write_repository
from fixtures.registries import running
from fixtures.webserver import Web, serve

_BLOBS = "registry/data/docker/registry/v2/blobs/sha256/*/*/data"
ARCHITECTURES = ("x86_64", "aarch64")


def gunzip(data: bytes) -> bytes:
    """The first gzip member's content; nothing where it is none."""
    try:
        return zlib.decompressobj(31).decompress(data)
    except zlib.error:
        return b""


def noise(seed: str, size: int) -> bytes:
    """Bytes that do not compress, the same each time."""
    return random.Random(seed).randbytes(size)


def made(name: str, version: str = "1.0-r0", size: int = 200_000, **more: object) -> Apk:
    """A package with one file of this size; from 64 KiB on it is a layer of its own."""
    content: list[Item] = [file(f"usr/share/{name}", noise(f"{name} {version}", size))]
    return Apk(name, version, content, **more)  # type: ignore[arg-type]


PACKAGES = (
    *(made(f"large{number}") for number in range(4)),
    *(made(f"small{number}", size=3_000) for number in range(5)),
    Apk(
        "base-files",
        items=[
            file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
            file("etc/group", "root:x:0:\n"),
            file("usr/lib/os-release", "ID=test\nVERSION_ID=1\n"),
        ],
    ),
)
NAMES = [package.name for package in PACKAGES]


@dataclass
class Machine:
    """A store of its own, in the folder that has the declaration and the lock."""

    folder: Path
    name: str

    @property
    def store(self) -> Path:
        return self.folder / f"store-{self.name}"

    def run(self, *words: str | Path) -> Answer:
        return run(*words, "--cache", self.store)

    def ok(self, *words: str | Path) -> str:
        answer = self.run(*words)
        assert answer.code == 0, answer.err
        return answer.out


@dataclass
class Yard:
    """A folder with a declaration whose packages come from a server that keeps a log."""

    folder: Path
    web: Web
    registry: str
    machines: int = 0
    packages: dict[str, Apk] = field(default_factory=dict)

    def offer(self, *changed: Apk) -> None:
        """Publish the packages, with some of them changed."""
        self.packages |= {package.name: package for package in changed}
        shutil.rmtree(self.folder / "repo", ignore_errors=True)
        offered = list(self.packages.values())
        repository = write_repository(self.folder / "repo", dict.fromkeys(ARCHITECTURES, offered))
        shutil.copy(repository.key, self.folder / "demo-test-only.rsa.pub")
        self.web.serve_folder(self.folder / "repo", "/repo")

    def declare(self, more: str = "") -> None:
        (self.folder / "image.yaml").write_text(
            f"contents:\n  repositories: ['{self.web.url}/repo']\n  keyring: [demo-test-only.rsa.pub]\n"
            f"  packages: [{', '.join(NAMES)}]\n"
            "accounts: {users: [{username: app, uid: 1000}], "
            f"groups: [{{groupname: app, gid: 1000}}], run-as: app}}\narchs: [amd64, arm64]\n{more}"
        )

    def machine(self) -> Machine:
        """A machine that has nothing but this folder."""
        self.machines += 1
        return Machine(self.folder, str(self.machines))

    @property
    def name(self) -> str:
        return f"{self.registry}/team/app:1"

    def blobs(self) -> set[str]:
        """The digests of all blobs and manifests that the registry holds."""
        return {f"sha256:{path.parent.name}" for path in self.folder.glob(_BLOBS)}

    def is_of_image(self, digest: str) -> bool:
        """Whether a blob is a layer or a configuration, and of no memory."""
        hexadecimal = digest.removeprefix("sha256:")
        [path] = self.folder.glob(_BLOBS.replace("*/*", f"*/{hexadecimal}"))
        data = path.read_bytes()
        return (
            b'"manifests"' not in data
            and b'"layers":[' not in data
            and len(data) > 2
            and (b"package-files" not in gunzip(data))
        )

    def log(self) -> list[str]:
        """What was asked of the package server since the last look, by file name."""
        asked = sorted({request.path.rpartition("/")[2] for request in self.web.asked})
        self.web.asked.clear()
        return asked


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Yard]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    with serve() as web, running("registry", tmp_path / "registry") as registry:
        yard = Yard(tmp_path, web, registry)
        yard.offer(*PACKAGES)
        yard.declare()
        yield yard
