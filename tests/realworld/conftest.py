from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.engines import Tool, running_docker, running_podman
from realworld.debianimages import DebianImages, open_debian
from realworld.tools import imagist
from realworld.workload import Workload, make_workload

NAME = "imagist.test/python:1"


@dataclass(frozen=True)
class Outputs:
    """One image, written in every form."""

    archive: Path
    """The index, as a hybrid archive."""
    layout: Path
    """The index, as a layout."""
    single: Path
    """The image alone, as a layout."""
    index: str
    """The index's digest."""
    image: str
    """The image's digest."""


@pytest.fixture(scope="session")
def w38() -> Workload:
    """What Python needs."""
    return make_workload("W38")


@pytest.fixture(scope="session")
def w156() -> Workload:
    """Compilers, git, nginx, Perl ..."""
    return make_workload("W156")


@pytest.fixture(scope="session")
def python_image(w38: Workload, tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    """All of W38 as an image that runs Python."""
    folder = tmp_path_factory.mktemp("python")
    declaration = folder / "python.yaml"
    command = "cmd: /usr/bin/python3 -c 'import ssl, sqlite3; print(1)'\n"
    declaration.write_text(w38.declaration(more=command))

    def build(output: Path, *more: str) -> str:
        said = imagist(
            "build", declaration, "-o", output, "-t", NAME, *more, cache=folder / "store"
        )
        assert said.startswith("sha256:")
        return said

    archive, layout, single = folder / "image.tar", folder / "layout", folder / "single"
    index = build(archive)
    assert build(layout) == index
    image = build(single, "--platform", "linux/amd64")
    return Outputs(archive, layout, single, index, image)


@pytest.fixture(scope="session")
def state() -> Iterator[Path]:
    """A folder with a short name, since sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="i", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def podman(state: Path) -> Iterator[Tool]:
    """Podman with images of its own."""
    with running_podman(state) as tool:
        yield tool


@pytest.fixture(scope="session")
def docker(state: Path) -> Iterator[Tool]:
    """A docker daemon of its own, without a network."""
    with running_docker(state / "docker") as tool:
        yield tool


@pytest.fixture(scope="session")
def debian(tmp_path_factory: pytest.TempPathFactory) -> DebianImages:
    """Images of Debian packages."""
    return open_debian(tmp_path_factory)
