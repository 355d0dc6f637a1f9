"""Installing the wheels of an application into layers, beside uv and pip with tar and gzip.

The wheels lie in a folder, as after fetching: 26 of them, 41 MB, 138 MB unpacked. Rivals install
into a folder for the same platform, and pack it, which makes one layer; neither compiles. That
their scripts name the wrong interpreter, and that there is no environment, is not counted.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import WORK
from benchmarks.builders import find_imagist
from benchmarks.measuring import Aim, Contestant, Heat, Row, Unavailable
from support import find_tool

REQUIREMENTS = (
    *("flask==3.1.0", "pandas==2.2.3", "cryptography==44.0.0", "uvicorn[standard]==0.34.0"),
)
_PYTHON = "3.12"
_PLATFORMS = (
    *("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014"),
    *("manylinux_2_5", "manylinux1"),
)
_PROGRAM = Path(__file__).with_name("lastmile_build.py")
PACK = "tar -C tree -cf - . | gzip > layer.tar.gz"


class Wheels(Heat):
    """The layers of an environment: cold (nothing is remembered), or once more."""

    def __init__(self, *, cold: bool) -> None:
        """Cold: the wheels are there, but no layer, and nothing in uv's cache."""
        self._cold = cold
        state = "cold" if cold else "warm"
        aim = Aim(ratio=4)
        self.rows = (
            Row(f"26 wheels to layers, {state}", "imagist", "uv, tar, gzip", aim),
            Row(f"26 wheels to layers, {state}", "imagist", "pip, tar, gzip", aim, quick=False),
        )

    def set_up(self, names: Sequence[str]) -> Mapping[str, Contestant]:
        """Fetch the wheels where they are absent."""
        wheels = fetch_wheels()
        contestants = {}
        for name in names:
            folder = WORK / "lastmile" / name.partition(",")[0]
            folder.mkdir(parents=True, exist_ok=True)
            contestants[name] = self._contestant(name, folder, wheels)
            contestants[name].run()
        return contestants

    def _contestant(self, name: str, folder: Path, wheels: Path) -> Contestant:
        if name == "imagist":
            python = str(Path(find_imagist()).with_name("python"))
            command = [python, str(_PROGRAM), str(wheels), "store"]
        else:
            install = with_uv(wheels) if name.startswith("uv") else with_pip(wheels)
            command = ["/bin/sh", "-ec", f"{shlex.join(install)}\n{PACK}"]

        def before() -> None:
            shutil.rmtree(folder / "tree", ignore_errors=True)
            if self._cold:
                shutil.rmtree(folder / "store", ignore_errors=True)
                shutil.rmtree(folder / "cache", ignore_errors=True)

        def answer(said: str) -> frozenset[str]:
            if name == "imagist":
                return frozenset(said.split())
            return frozenset(path.name for path in (folder / "tree").glob("*.dist-info"))

        return Contestant(command, folder, before, answer)


def fetch_wheels() -> Path:
    """The folder with the wheels of the sample.

    Raises:
        Unavailable: there is no index.
    """
    folder = WORK / "lastmile" / "wheels"
    if not (folder / "whole").exists():
        shutil.rmtree(folder, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder)]
        if subprocess.run([*command, *_target(), *REQUIREMENTS], check=False).returncode:
            raise Unavailable("the wheels of the sample cannot be fetched")
        (folder / "whole").touch()
    return folder


def _target() -> list[str]:
    platforms = [f"--platform={platform}_x86_64" for platform in _PLATFORMS]
    abis = [f"--abi={abi}" for abi in ("cp312", "abi3", "none")]
    return ["--only-binary=:all:", f"--python-version={_PYTHON}", *platforms, *abis]


def with_uv(wheels: Path) -> list[str]:
    """Install the sample with uv into `tree`."""
    found = find_tool("uv") or Path(sys.executable).with_name("uv")
    if not Path(found).exists():
        raise Unavailable("uv is absent: pip install uv")
    command = [str(found), "pip", "install", "--quiet", "--no-index", f"--find-links={wheels}"]
    command += ["--python-platform=x86_64-manylinux_2_28", f"--python-version={_PYTHON}"]
    return [*command, "--cache-dir=cache", "--target=tree", *REQUIREMENTS]


def with_pip(wheels: Path) -> list[str]:
    """Install the sample with pip into `tree`."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-compile"]
    command += ["--disable-pip-version-check", f"--find-links={wheels}", *_target()]
    return [*command, "--cache-dir=cache", "--target=tree", *REQUIREMENTS]
