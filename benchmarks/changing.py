"""One line of an application changes, and its image is in a registry: beside uv, pip and ko.

Ours is a project of hatchling with the 26 wheels of `lastmile`, on a Python base in the registry,
for one platform. Rivals that install pack all of it, as an image without layers by package has it,
and push that with crane; that has no configuration, and is not counted. ko, who builds Go, has its
hello world, its own cache and that of Go warm, and makes no SBOM. All push to one registry,
distribution's, on this machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import WORK
from benchmarks.builders import find_imagist
from benchmarks.lastmile import PACK, REQUIREMENTS, fetch_wheels, with_pip, with_uv
from benchmarks.measuring import Aim, Contestant, Heat, Row, Unavailable
from fixtures.registries import running
from imagist.oci.image import Index
from imagist.oci.mutate import make_index
from imagist.oci.platform import parse_platform
from imagist.store.layout import write_layout
from inspection.described import file, image, layer, symlink
from support import find_tool

_CASE = "one line changed, to a pushed digest"
_PROJECT = f"""\
[project]
name = "shop"
version = "1.0"
dependencies = [{", ".join(f'"{each}"' for each in REQUIREMENTS)}]
scripts = {{ shop = "shop.main:main" }}

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
"""
_STATUS = """\
Package: libc6
Status: install ok installed
Version: 2.36-9

Package: python3.12-minimal
Status: install ok installed
Version: 3.12.7-1
"""
_LIBRARIES = ("libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1")
_MORE_LIBRARIES = ("libutil.so.1", "libstdc++.so.6", "libgcc_s.so.1", "libz.so.1")
_MODULES = 50
_MODULE = "def main() -> None:\n    print({})\n"
"""The module that changes, which the script of the project calls."""


class Changing(Heat):
    """Everybody has built before, and one line is another."""

    repeat = 3

    def __init__(self) -> None:
        self.rows = (
            Row(_CASE, "imagist", "ko", Aim(ratio=1, seconds=0.25)),
            Row(_CASE, "imagist", "uv, tar, gzip, crane", Aim(ratio=4)),
            Row(_CASE, "imagist", "pip, tar, gzip, crane", Aim(ratio=4), quick=False),
        )
        self._stack = contextlib.ExitStack()
        self._lines = itertools.count()

    def set_up(self, names: Sequence[str]) -> Mapping[str, Contestant]:
        """Start the registry, push a base, and let everybody build once."""
        for tool in ("registry", "crane"):
            if find_tool(tool) is None:
                raise Unavailable(f"{tool} is absent: .ci/install builds it")
        wheels = fetch_wheels()
        root = WORK / "changing"
        shutil.rmtree(root, ignore_errors=True)
        registry = self._stack.enter_context(running("registry", root / "registry"))
        write_layout(_base(), root / "base")
        push = [find_imagist(), "push", str(root / "base"), f"{registry}/base:1"]
        subprocess.run(push, check=True, capture_output=True)
        contestants = {}
        for name in names:
            folder = root / name.partition(",")[0]
            make = self._ko if name == "ko" else self._python
            contestants[name] = make(name, folder, registry, wheels)
            contestants[name].run()
        return contestants

    def tear_down(self) -> None:
        """Stop the registry."""
        self._stack.close()

    def _python(self, name: str, folder: Path, registry: str, wheels: Path) -> Contestant:
        module = _write_project(folder, wheels)
        if name == "imagist":
            words = ["build", ".", "--base", f"{registry}/base:1", "--platform", "linux/amd64"]
            words += ["-t", f"{registry}/shop:1", "--cache", str(folder.with_name("store"))]
            command = ["env", f"PIP_FIND_LINKS={wheels}", find_imagist(), *words]
        else:
            install = with_uv(wheels) if name.startswith("uv") else with_pip(wheels)
            push = f"crane append --insecure -b {registry}/base:1 -f layer.tar.gz -t {registry}/"
            script = f"rm -rf tree\n{shlex.join(install)}\ncp -r src/shop tree\n{PACK}\n{push}"
            command = ["/bin/sh", "-ec", script + folder.name]
        return Contestant(command, folder, self._change(module, _MODULE))

    def _ko(self, name: str, folder: Path, registry: str, wheels: Path) -> Contestant:
        del name, wheels
        ko = find_tool("ko")
        if ko is None:
            raise Unavailable("ko is absent: go install github.com/google/ko@v0.19.1")
        folder.mkdir(parents=True)
        (folder / "go.mod").write_text("module example.com/hello\n\ngo 1.22\n")
        variables = [f"KO_DOCKER_REPO={registry}/ko", f"KO_DEFAULTBASEIMAGE={registry}/base:1"]
        variables.append(f"KOCACHE={folder / 'cache'}")
        command = ["env", *variables, str(ko), "build", "--bare", "--sbom=none"]
        command += ["--platform=linux/amd64", "."]
        text = 'package main\n\nimport "fmt"\n\nfunc main() {{ fmt.Println("hello {}") }}\n'
        return Contestant(command, folder, self._change(folder / "main.go", text))

    def _change(self, file: Path, text: str) -> Callable[[], None]:
        """Write another line into a file."""

        def change() -> None:
            file.write_text(text.format(next(self._lines)))

        return change


def _base() -> Index:
    """A Debian with Python, as far as it must be looked at."""
    libraries = [
        file(f"usr/lib/x86_64-linux-gnu/{name}", b"\x7fELF")
        for name in (*_LIBRARIES, *_MORE_LIBRARIES)
    ]
    entries = [
        *libraries,
        file("usr/lib64/ld-linux-x86-64.so.2", b"\x7fELF", 0o755),
        file("usr/bin/python3.12", b"\x7fELF", 0o755),
        file("usr/lib/python3.12/os.py"),
        symlink("usr/bin/python3", "python3.12"),
        file("var/lib/dpkg/status", _STATUS),
    ]
    platform = parse_platform("linux/amd64")
    return make_index([(platform, image(layer(*entries), Env=["PATH=/usr/bin"]))])


def _write_project(folder: Path, wheels: Path) -> Path:
    """A project of some modules, with its lock; the module that changes."""
    package = folder / "src" / "shop"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for number in range(_MODULES):
        (package / f"module{number}.py").write_text(
            f"def call() -> int:\n    return {number}\n" * 20
        )
    (folder / "pyproject.toml").write_text(_PROJECT)
    lines = []
    for wheel in sorted(wheels.glob("*.whl")):
        name, version = wheel.name.split("-")[:2]
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lines.append(f"{name}=={version} --hash=sha256:{digest}\n")
    (folder / "requirements.txt").write_text("".join(lines))
    return package / "main.py"
