"""Spliced layers, of thousands of gzip members, in everything that loads and unpacks images."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from build.commandline import run as run_imagist
from fixtures.elf import build_program
from fixtures.engines import Tool, running_containerd, running_docker, running_podman
from fixtures.registries import running
from fixtures.wheelmaker import Made
from imagist.build.assemble import BuiltLayer, assemble_image
from imagist.lastmile.environment import build_environment
from imagist.lastmile.files import FileRule, write_files
from imagist.lastmile.filetable import FileTable
from imagist.oci.manifest import RunConfig
from imagist.oci.platform import Platform
from imagist.packages.wheel.target import Target
from imagist.store.archive import write_archive
from imagist.store.layout import write_layout
from imagist.store.store import Store
from lastmile.layering import files, flatten, put
from realworld.tools import run
from support import needs

NAME = "localhost/spliced:1"
SITE = "opt/venv/lib/python3.12/site-packages"
MODEST = ("--rm", "--network", "none", "--ulimit", "nofile=1024:1024")
PROCESSES = ("--ulimit", "nproc=1024:1024")


class Built(NamedTuple):
    layout: Path
    archive: Path
    contents: dict[str, bytes]
    """Every file of the image."""


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    """A folder with a short name, since sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="i", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _noise(seed: int, size: int) -> bytes:
    blocks = (hashlib.sha256(b"%d-%d" % (seed, at)).digest() for at in range(size // 32))
    return b"".join(blocks)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """An image of a static program and an environment with a layer of many members."""
    folder = tmp_path_factory.mktemp("spliced")
    program = folder / "program"
    program.write_bytes(build_program("x86_64", "it runs\n"))
    many: dict[str, bytes | str] = {
        f"many/{number}.bin": _noise(number, 5_000 + number) for number in range(1500)
    }
    many.update({f"many/{number}.py": f"x = {number}\n" for number in range(300)})
    target = Target(
        platform=Platform("amd64"),
        python="3.12.7",
        abi="cp312",
        libc="glibc",
        libc_version=(2, 36),
        interpreter="/usr/bin/python3.12",
    )
    with Store.open(folder / "store") as store:
        rule = FileRule(str(program), "/bin/program", mode=0o755)
        base = BuiltLayer(write_files(store, [rule], table=FileTable(store, folder)), "base")
        wheels = [put(store, Made("many", files=many)), put(store, Made("few"))]
        layers = [base, *build_environment(store, wheels, target).layers]
        with layers[2].layer.compressed() as stream:
            assert stream.read().count(b"\x1f\x8b\x08" + bytes(6) + b"\xff") > 1400
        image = assemble_image(
            layers,
            RunConfig(entrypoint=("/bin/program",)),
            target.platform,
            created=0,
            annotations={},
        )
        write_layout(image, folder / "layout", names=[NAME])
        write_archive(image, folder / "image.tar", tags=[NAME])
        contents = files(flatten(layer.layer for layer in layers))
        yield Built(folder / "layout", folder / "image.tar", contents)


def read_tar(data: bytes) -> dict[str, bytes]:
    """Files of an exported container; what a runtime adds is left out."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = {
            info.name.removeprefix("./"): tar.extractfile(info) for info in tar if info.isreg()
        }
        return {name: file.read() for name, file in found.items() if file}


def read_folder(root: Path) -> dict[str, bytes]:
    """Files below a folder."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def expect(found: dict[str, bytes], built: Built) -> None:
    assert {name: found.get(name) for name in built.contents} == built.contents


@needs("podman", "runc")
def test_podman(state: Path, built: Built) -> None:
    with running_podman(state) as podman:
        assert "spliced" in podman("load", "-i", built.archive)
        assert podman("run", *MODEST, *PROCESSES, NAME) == "it runs"
        assert podman("run", *MODEST, *PROCESSES, f"oci:{built.layout}:{NAME}") == "it runs"
        _export(podman, state / "podman.tar", built)


@needs("dockerd", "docker")
def test_docker(state: Path, built: Built) -> None:
    with running_docker(state / "docker") as docker:
        assert "spliced" in docker("load", "-i", built.archive)
        assert docker("run", "--rm", "--network", "none", NAME) == "it runs"
        _export(docker, state / "docker.tar", built)


def _export(engine: Tool, place: Path, built: Built) -> None:
    container = engine("create", "--network", "none", NAME).splitlines()[-1]
    engine("export", "-o", place, container)
    engine("rm", container)
    expect(read_tar(place.read_bytes()), built)


@needs("containerd", "ctr", "runc")
def test_containerd(state: Path, built: Built) -> None:
    with running_containerd(state / "c") as ctr:
        native = ("--snapshotter", "native")
        ctr("images", "import", *native, "--digests", built.archive)
        assert NAME in ctr("images", "ls", "-q").splitlines()
        said = ctr("run", *native, "--rm", NAME, "one")
        assert said == "it runs"
        (state / "mounted").mkdir()
        ctr("images", "mount", *native, NAME, state / "mounted")
        try:
            expect(read_folder(state / "mounted"), built)
        finally:
            ctr("images", "unmount", *native, state / "mounted")


@needs("umoci")
def test_umoci(state: Path, built: Built) -> None:
    bundle = state / "bundle"
    run("umoci", "unpack", "--image", f"{built.layout}:{NAME}", bundle)
    root = bundle / "rootfs"
    assert read_folder(root) == built.contents
    assert os.readlink(root / "opt/venv/bin/python3") == "python"


@needs("skopeo")
def test_skopeo(tmp_path: Path, built: Built) -> None:
    options = ("--insecure-policy", "copy", "-q")
    source = f"oci:{built.layout}:{NAME}"
    run("skopeo", *options, "--preserve-digests", source, f"oci:{tmp_path}/copy:1")
    # Compressed anew, it must have read every member: the diff_ids hold.
    run("skopeo", *options, "--dest-decompress", source, f"dir:{tmp_path}/plain")
    manifest = json.loads((tmp_path / "plain" / "manifest.json").read_text())
    config = (tmp_path / "plain" / manifest["config"]["digest"][7:]).read_bytes()
    plain = [layer["digest"] for layer in manifest["layers"]]
    assert plain == json.loads(config)["rootfs"]["diff_ids"]


@needs("crane")
def test_crane(tmp_path: Path, built: Built) -> None:
    run("crane", "validate", "--tarball", built.archive)
    with running("crane", tmp_path) as address:
        run("crane", "push", built.archive, f"{address}/spliced:1")
        run("crane", "export", f"{address}/spliced:1", tmp_path / "out.tar")
    expect(read_tar((tmp_path / "out.tar").read_bytes()), built)


def test_imagist_itself(tmp_path: Path, built: Built) -> None:
    code, _, err = run_imagist("export", built.layout, "-o", tmp_path / "out.tar")
    assert code == 0, err
    expect(read_tar((tmp_path / "out.tar").read_bytes()), built)
