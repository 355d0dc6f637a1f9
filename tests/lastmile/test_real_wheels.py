"""Real wheels: the same trees as `installer` and pip give, and applications that run."""

from __future__ import annotations

import csv
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagist.lastmile.environment import build_environment
from imagist.oci.platform import Platform
from imagist.packages.wheel.elfcheck import check_objects
from imagist.packages.wheel.target import Target
from imagist.store.store import Store
from lastmile.layering import Found, flatten, put_file
from lastmile.realwheels import ODD, SAMPLE, find_wheels
from packages.wheel.test_install import compare_with_installer

MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"

DIFFERENT_FROM_PIP = {
    "wrappers": "their text is our own, and names `bin/python`, which is a link to the same",
    "INSTALLER": "says imagist",
    "REQUESTED": "only where the lock says that somebody asked for it",
    "direct_url.json": "pip writes one for files it was given; a lock says where they are from",
    "RECORD": "lists accordingly, sorted, and without compiled files",
    "modes": "0644, and 0755 where anybody may run it; pip keeps what the umask gives",
}
_OWN = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")


def test_every_tree_is_that_of_installer(tmp_path: Path) -> None:
    places = [*find_wheels(SAMPLE), *find_wheels(ODD, "--no-deps")]
    assert len(places) > 25
    for number, place in enumerate(places):
        compare_with_installer(place, tmp_path / str(number))


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("environment") / "venv"


@pytest.fixture(scope="module")
def found(prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Found]]:
    """Everything in the environment of the sample, as layers have it."""
    places = [*find_wheels(SAMPLE), *find_wheels(ODD, "--no-deps")]
    with Store.open(tmp_path_factory.mktemp("store")) as store:
        target = Target(
            platform=Platform("amd64"),
            python=sys.version.split()[0],
            abi=f"cp{MINOR.replace('.', '')}",
            libc="glibc",
            libc_version=(2, 36),
            interpreter=os.path.realpath(sys.executable),
            prefix=str(prefix),
        )
        made = build_environment(store, [put_file(store, place) for place in places], target)
        assert made.layers[0].created_by == "imagist: environment"
        assert len({layer.layer.digest for layer in made.layers}) == len(made.layers)
        yield flatten(layer.layer for layer in made.layers)


def test_the_tree_is_that_of_pip(found: dict[str, Found], tmp_path: Path) -> None:
    """pip into an environment of its own; every file the same, up to what is stated above."""
    import venv

    places = [*find_wheels(SAMPLE), *find_wheels(ODD, "--no-deps")]
    place = tmp_path / "venv"
    venv.EnvBuilder(symlinks=True, with_pip=False).create(place)
    pip = [sys.executable, "-m", "pip", "--python", str(place / "bin" / "python"), "install"]
    options = ["--quiet", "--no-compile", "--no-deps", "--no-index"]
    subprocess.run([*pip, *options, *map(str, places)], check=True)
    (prefix,) = {
        path.removesuffix("/pyvenv.cfg") for path in found if path.endswith("venv/pyvenv.cfg")
    }
    ours = {
        path.removeprefix(f"{prefix}/"): entry
        for path, entry in found.items()
        if entry.kind == "file" and path.startswith(f"{prefix}/")
    }
    theirs = {
        str(path.relative_to(place)): path
        for path in place.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and "lib64" not in path.parts
        and not (path.parent.name == "bin" and path.name.lower().startswith("activate"))
        and path.name != ".gitignore"
    }
    skipped = {name for name in {*ours, *theirs} if name.rpartition("/")[2] in _OWN}
    assert set(ours) - skipped == set(theirs) - skipped
    wrappers = _wrapped(ours)
    for name, path in theirs.items():
        if name in skipped or name == "pyvenv.cfg":
            continue
        data = path.read_bytes()
        runs = bool(path.stat().st_mode & stat.S_IXUSR)
        assert (ours[name].mode == 0o755) == runs, name
        if name in wrappers:
            assert ours[name].data.startswith(f"#!/{prefix}/bin/python\n".encode())
            assert b"from " in data
        else:
            assert ours[name].data == data, name


def _wrapped(ours: dict[str, Found]) -> set[str]:
    return {
        name
        for name, entry in ours.items()
        if name.startswith("bin/") and entry.data.startswith(b"#!") and len(entry.data) < 1000
    }


def test_records_are_true(found: dict[str, Found]) -> None:
    records = [path for path in found if path.endswith(".dist-info/RECORD")]
    assert len(records) > 25
    for record in records:
        site = record.rpartition("/")[0].rpartition("/")[0]
        for path, digest, size in csv.reader(found[record].data.decode().splitlines()):
            entry = found[os.path.normpath(f"{site}/{path}")]
            assert not size or int(size) == len(entry.data)
            assert bool(digest) == (not record.endswith(path))


def test_applications_run(found: dict[str, Found], prefix: Path) -> None:
    """Unpacked where they belong, in the Python that runs this."""
    for path, entry in found.items():
        place = Path("/") / path
        if not place.is_relative_to(prefix):
            continue
        if entry.kind == "directory":
            place.mkdir(parents=True, exist_ok=True)
        elif entry.kind == "symlink":
            place.symlink_to(entry.link)
        else:
            place.write_bytes(entry.data)
            place.chmod(entry.mode)
    code = """
import flask, pandas, cryptography.fernet, uvicorn, importlib.metadata
app = flask.Flask("x")
app.route("/")(lambda: str(pandas.DataFrame({"a": [1, 2]}).a.sum()))
print(app.test_client().get("/").text, importlib.metadata.version("flask"))
assert cryptography.fernet.Fernet(cryptography.fernet.Fernet.generate_key()).encrypt(b"x")
"""
    said = subprocess.run(
        [prefix / "bin" / "python", "-c", code], capture_output=True, text=True, check=True
    )
    assert said.stdout == "3 3.1.0\n"
    for script in ("flask", "uvicorn", "ruff"):
        said = subprocess.run(
            [prefix / "bin" / script, "--version"], capture_output=True, text=True, check=True
        )
        assert said.stdout


def test_libraries_of_the_sample_are_those_of_a_plain_base(tmp_path: Path) -> None:
    """What the sample needs that no wheel has: what is in every Debian with Python."""
    with Store.open(tmp_path / "store") as store:
        from imagist.lastmile.wheels import WheelLayers
        from imagist.packages.wheel.venv import Venv

        wheels = [put_file(store, place) for place in find_wheels(SAMPLE)]
        layers = WheelLayers(store).build(wheels, Venv(python=f"python{MINOR}"))
        facts = [wheel for layer in layers for wheel in layer.wheels]
        base = {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1"}
        base |= {"libstdc++.so.6", "libgcc_s.so.1", "libutil.so.1", "libz.so.1"}
        assert check_objects(facts, "amd64", base) == []
        assert sum(len(wheel.objects) for wheel in facts) > 60
