"""A store for each test, and a shop to build."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from build.commandline import Answer, run
from build.conftest import repositories, workshop
from fixtures.simpleindex import SimpleIndex
from fixtures.webserver import serve
from fixtures.wheelmaker import Made
from imagist.lastmile.buildenv import BuildEnvironments
from imagist.store.layout import write_layout
from imagist.store.store import Store
from lastmile.shop import PROJECT, SDIST, base, source_of

__all__ = ["repositories", "workshop"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as store:
        yield store


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> BuildEnvironments:
    return BuildEnvironments(tmp_path_factory.mktemp("environments"))


@pytest.fixture
def index() -> Iterator[SimpleIndex]:
    with serve() as web:
        made = SimpleIndex(web)
        wheels = [
            Made(
                "alpha",
                files={"alpha.py": "a = 1\n"},
                entry_points="[console_scripts]\nal = alpha:a\n",
            )
        ]
        for machine in ("x86_64", "aarch64"):
            tag = f"cp312-cp312-musllinux_1_2_{machine}"
            wheels.append(Made("native", files={"native.py": machine}, tag=tag, pure=False))
        for each in wheels:
            made.add(each.name, each.filename, each.build())
        made.add("beta", "beta-1.0.tar.gz", source_of(SDIST))
        yield made


@pytest.fixture
def folder(tmp_path: Path, index: SimpleIndex, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shop"
    (folder / "src" / "shop").mkdir(parents=True)
    (folder / "src" / "shop" / "__init__.py").write_text("def main(): ...\n")
    (folder / "notes.md").write_text("secret\n")
    (folder / "pyproject.toml").write_text(PROJECT)
    lines = []
    for name in ("alpha", "native"):
        hashes = " ".join(
            f"--hash=sha256:{index.sha256(f)}" for f in index.files if f.startswith(name)
        )
        lines.append(f"{name}==1.0 {hashes}\n")
    (folder / "requirements.txt").write_text("".join(lines))
    for name, value in {
        "PIP_INDEX_URL": index.url,
        "UV_NO_CONFIG": "1",
        "PIP_CONFIG_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COUNT", str(tmp_path / "count"))
    return folder


Imagist = Callable[..., Answer]


@pytest.fixture
def imagist(folder: Path, tmp_path: Path) -> Imagist:
    """The command line, with a store of its own and a base beside the project."""
    write_layout(base("amd64", "arm64"), tmp_path / "base")

    def call(*words: str | Path) -> Answer:
        return run(*words, "--cache", tmp_path / "cache")

    return call
