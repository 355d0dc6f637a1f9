"""Five applications with their locks: installed as pip installs them, chosen as uv chooses, run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from build.commandline import run
from imagist.declaration.projectfile import load_project
from imagist.errors import RequestError
from imagist.net.environment import read_environment
from imagist.net.transport import HttpTransport
from imagist.oci import derive
from imagist.oci.image import Image, Index
from imagist.packages.wheel.gather import Request, gather_wheels
from imagist.packages.wheel.target import Target
from imagist.store.layout import read_layout, write_layout
from imagist.store.store import Store
from lastmile.layering import Found, flatten
from lastmile.piptree import compare_with_pip, install_with_pip
from lastmile.thispython import make_base
from packages.wheel.targets import target
from packages.wheel.test_oracles import by_pip, by_uv, pip_words

FOLDER = Path(__file__).with_name("applications")
SAYS = {
    "web": '{"text":"1 and 2","sum":"3"}\n',
    "data": "{1: 1.875}\n",
    "learning": "[2.0, 4.0]\n",
    "cli": 'PUT /x HTTP/1.1\n{"a": "1"}\n',
    "extras": "0.28.1 4.4.1 0.9.0 PNG\n[]\n",
}
"""Names of the applications, and what they print."""
FOREIGN = {
    "aarch64-manylinux_2_31": target("arm64", libc_version=(2, 31)),
    "x86_64-unknown-linux-musl": target(libc="musl"),
}


class Built(NamedTuple):
    name: str
    folder: Path
    image: Image
    found: dict[str, Found]
    """Every file and symlink of the image."""
    root: Path
    """Where the image may be unpacked."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the base is, and the store that all applications share."""
    place = tmp_path_factory.mktemp("applications")
    with Store.open(place / "store") as store:
        write_layout(make_base(store, place), place / "base")
    return place


@pytest.fixture(scope="module", params=SAYS)
def built(request: pytest.FixtureRequest, place: Path) -> Iterator[Built]:
    """An application, built on this machine's Python."""
    name: str = request.param
    folder = place / name
    shutil.copytree(FOLDER / name, folder)
    if (folder / "uv.lock").exists():
        _fetch_beside(folder)
    out = place / f"{name}.out"
    words: list[str | Path] = ["--base", place / "base", "--cache", place / "cache", "-o", out]
    done = run("build", folder, *words)
    if done.code == 4 and os.environ.get("IMAGIST_TEST_ALL") != "1":
        pytest.skip("needs a package index, none can be reached")
    assert done.code == 0, done.err
    thing = read_layout(out)
    ((_, image),) = derive.images(thing) if isinstance(thing, Index) else [(None, thing)]
    yield Built(name, folder, image, flatten(image.layers[1:]), place / f"{name}.root")
    shutil.rmtree(place / f"{name}.root", ignore_errors=True)


def _fetch_beside(folder: Path) -> None:
    """The wheels that a lock means by their paths."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:"]
    done = subprocess.run(
        [*command, "--no-deps", "--dest", folder / "wheels", *_pins(folder)], capture_output=True
    )
    if done.returncode and os.environ.get("IMAGIST_TEST_ALL") != "1":
        pytest.skip("needs a package index, none can be reached")
    assert done.returncode == 0, done.stderr.decode()


def _pins(folder: Path) -> list[str]:
    """What the project of a `uv.lock` needs on this machine, by name and version."""
    lock: dict[str, Any] = tomllib.loads((folder / "uv.lock").read_text())
    never = {"extras", "colorama", "tomli"}
    return [f"{p['name']}=={p['version']}" for p in lock["package"] if p["name"] not in never]


def _requirements(folder: Path, work: Path) -> list[str]:
    """What pip is asked for: the lock itself, or what the project states and the lock pins."""
    if (folder / "requirements.txt").exists():
        return ["--no-deps", "--require-hashes", "-r", str(folder / "requirements.txt")]
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    (work / "pins.txt").write_text("\n".join(_pins(folder)))
    extras = [item for items in project["optional-dependencies"].values() for item in items]
    wheels = ["--no-index", f"--find-links={folder / 'wheels'}"]
    return [*wheels, "-c", str(work / "pins.txt"), *project["dependencies"], *extras]


def test_the_tree_is_that_of_pip(built: Built, tmp_path: Path) -> None:
    install_with_pip(tmp_path / "venv", _requirements(built.folder, tmp_path))
    compare_with_pip(built.found, "opt/venv", tmp_path / "venv")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_it_runs(built: Built, place: Path) -> None:
    tar = place / "image.tar"
    done = run("export", place / f"{built.name}.out", "-o", tar)
    assert done.code == 0, done.err
    (built.root / "proc").mkdir(parents=True)  # whose processor is looked at by the largest
    subprocess.run(["tar", "-C", built.root, "-xf", tar], check=True)
    settings = json.loads(built.image.raw_config)["config"]
    variables = dict(line.split("=", 1) for line in settings["Env"])
    enter = 'mount --bind /proc "$0/proc" && PATH=$INSIDE && exec /usr/sbin/chroot "$0" "$@"'
    words = ["unshare", "--mount", "sh", "-c", enter, str(built.root)]
    said = subprocess.run(
        [*words, *settings["Entrypoint"], *settings.get("Cmd", [])],
        env={
            **variables,
            "HOME": "/",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "INSIDE": variables["PATH"],
        },
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0, said.stderr
    told = said.stdout
    assert all(line in told.splitlines() for line in SAYS[built.name].splitlines()), told


def choices(folder: Path, where: Target, store: Path) -> tuple[list[str], list[str]]:
    """The files that are chosen of a lock for a target, and their packages as pins."""
    loaded = load_project(lambda path: Path(path).read_bytes(), str(folder))
    request = Request(folder=folder, extras=loaded.project.extras)
    with Store.open(store) as opened:
        found = gather_wheels(request, [where], opened, read_environment(), HttpTransport)
    taken = [choice for choice in found.choices[where] if choice.file]
    pins = [f"{choice.package.name}=={choice.package.version}" for choice in taken]
    return sorted(map(str, taken)), pins


@pytest.mark.parametrize("platform", FOREIGN)
def test_elsewhere_uv_chooses_the_same(built: Built, platform: str, tmp_path: Path) -> None:
    where = FOREIGN[platform]
    if (built.name, where.libc) == ("learning", "musl"):
        with pytest.raises(RequestError, match=r"onnxruntime 1\.20\.1 has no wheel for"):
            choices(built.folder, where, tmp_path / "store")
        return
    ours, pins = choices(built.folder, where, tmp_path / "store")
    lock = built.folder / "requirements.txt"
    asked = ["--require-hashes", "-r", str(lock)] if lock.exists() else pins
    words = ["--python-platform", platform, "--python-version", where.python, *asked]
    cache = {**os.environ, "UV_CACHE_DIR": str(built.folder.parent / "uv")}
    assert ours == by_uv([*words, "--only-binary=:all:"], tmp_path, cache)
    assert len(ours) >= 5


@pytest.mark.parametrize("built", ["learning", "extras"], indirect=True)  # pip takes its time
def test_elsewhere_pip_chooses_the_same(built: Built, tmp_path: Path) -> None:
    where = target("arm64")
    ours, pins = choices(built.folder, where, tmp_path / "store")
    # pip evaluates markers for this machine, so it is asked for what the target wants.
    assert ours == by_pip([*pip_words(where, tmp_path / "t"), *pins], dict(os.environ))
