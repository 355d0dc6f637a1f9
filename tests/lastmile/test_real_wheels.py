"""Real wheels: the same trees as `installer` and pip give, and applications that run."""

from __future__ import annotations

import csv
import os
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
from lastmile.piptree import compare_with_pip, install_with_pip
from lastmile.realwheels import ODD, SAMPLE, find_wheels
from packages.wheel.test_install import compare_with_installer

MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"


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


def test_the_tree_is_that_of_pip(found: dict[str, Found], prefix: Path, tmp_path: Path) -> None:
    places = [*find_wheels(SAMPLE), *find_wheels(ODD, "--no-deps")]
    install_with_pip(tmp_path / "venv", ["--no-deps", "--no-index", *map(str, places)])
    compare_with_pip(found, str(prefix).strip("/"), tmp_path / "venv")


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
