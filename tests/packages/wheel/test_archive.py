"""Wheels as archives: what they say of themselves must be so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.elf import build_library
from fixtures.wheelmaker import WHEEL, Made, hash_of
from imagist.errors import Untrusted
from imagist.packages.wheel.archive import WheelArchive
from packages.wheel.opening import opened

ONE, OTHER = (f"sha256={hash_of(data)}" for data in (b"one", b"other"))


def open_all(made: Made, folder: Path, filename: str = "") -> WheelArchive:
    """Open a wheel and read everything in it."""
    place = made.write(folder)
    if filename:
        place = place.rename(folder / filename)
    with opened(place) as wheel:
        for name in wheel.members:
            wheel.read(name)
        return wheel


def test_what_a_wheel_is(tmp_path: Path) -> None:
    made = Made("Some_Pkg", "1.0+cpu", {"a.py": "x"}, pure=False, tag="cp312-cp312-linux_x86_64")
    wheel = open_all(made, tmp_path, "some.pkg-1.0+cpu-1-cp312-cp312-linux_x86_64.whl")
    assert (wheel.name, wheel.version, wheel.is_pure) == ("Some_Pkg", "1.0+cpu", False)
    assert wheel.tags == ("cp312-cp312-linux_x86_64",)
    assert not wheel.warnings


def test_versions_are_compared_as_versions(tmp_path: Path) -> None:
    assert open_all(Made(version="1.0"), tmp_path, "pkg-1.0.0-py3-none-any.whl").version == "1.0"


def test_names_and_versions_of_metadata_may_be_written_otherwise(tmp_path: Path) -> None:
    made = Made("some_pkg", "1.0", metadata="Name: Some.Pkg\nVersion: 1.0.0\n")
    assert open_all(made, tmp_path).name == "some_pkg"


def test_what_a_licence_quotes_is_no_field(tmp_path: Path) -> None:
    quoted = "Name: pkg\nVersion: 1.0\nLicense: MIT\n        Name: other\n        Version: 2\n"
    assert open_all(Made(metadata=quoted), tmp_path).name == "pkg"


def test_pip_refuses_other_metadata_too(tmp_path: Path) -> None:
    place = Made(metadata="Name: other\nVersion: 1.0\n").write(tmp_path)
    options = ["--no-index", "--no-deps", "--target", str(tmp_path / "to")]
    command = [sys.executable, "-m", "pip", "install", *options, str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode, "pip takes it now: shall imagist?"
    assert "inconsistent" in done.stdout + done.stderr


def test_elf_files_are_found_while_they_are_read(tmp_path: Path) -> None:
    library = build_library("x86_64", "libx.so.1")
    made = Made(files={"a.py": "", "pkg/x.so": library, "not.so": "text"})
    found = open_all(made, tmp_path).objects
    assert {name: (each.machine, each.soname) for name, each in found.items()} == {
        "pkg/x.so": (62, "libx.so.1")
    }


def test_stronger_hashes_will_do(tmp_path: Path) -> None:
    import base64
    import hashlib

    strong = base64.urlsafe_b64encode(hashlib.sha512(b"x").digest()).rstrip(b"=").decode()
    made = Made(files={"a.py": "x"}, record={"a.py": f"sha512={strong}"})
    assert open_all(made, tmp_path).sha256("a.py") == hashlib.sha256(b"x").digest()


@pytest.mark.parametrize(
    ("why", "made"),
    [
        ("another hash", Made(record={"pkg/__init__.py": f"sha256={hash_of(b'other')}"})),
        ("without a hash", Made(record={"pkg/__init__.py": "-"})),
        ("without a hash", Made(record={"pkg/__init__.py": ""})),
        ("no hash of SHA-256", Made(record={"pkg/__init__.py": "md5=abc"})),
        ("malformed RECORD", Made(record={"pkg/__init__.py": "sha256=!"})),
        ("two hashes", Made(record={"pkg/__init__.py": f"{ONE},1\npkg/__init__.py,{OTHER}"})),
        ("malformed RECORD", Made(record={"pkg/__init__.py": '"'})),
        ("has several", Made(files={"other-1.0.dist-info/METADATA": ""})),
        ("newer than 1.0", Made(wheel="Wheel-Version: 2.0\nRoot-Is-Purelib: true\n")),
        ("no Wheel-Version", Made(wheel="Root-Is-Purelib: true\n")),
        ("no Wheel-Version", Made(wheel=f"Wheel-Version: {'9' * 5000}\n")),
        ("whether it is pure", Made(wheel="Wheel-Version: 1.0\n")),
        ("METADATA has `other`", Made(metadata="Name: other\nVersion: 1.0\n")),
        ("METADATA has `other`", Made(metadata="Name: pkg\nName: other\nVersion: 1.0\n")),
        ("METADATA has `1.0.post1`", Made(metadata="Name: pkg\nVersion: 1.0.post1\n")),
        ("METADATA has `1.0`", Made(version="1.0+cpu", metadata="Name: pkg\nVersion: 1.0\n")),
        ("METADATA has ``", Made(metadata="Version: 1.0\n")),
    ],
)
def test_wheels_that_are_refused(why: str, made: Made, tmp_path: Path) -> None:
    with pytest.raises(Untrusted, match=why):
        open_all(made, tmp_path)


@pytest.mark.parametrize(
    ("why", "filename"),
    [
        ("another distribution", "other-1.0-py3-none-any.whl"),
        ("another version", "pkg-1.1-py3-none-any.whl"),
        ("another version", "pkg-x_y-py3-none-any.whl"),
        ("no name of a wheel", "pkg-1.0.whl"),
    ],
)
def test_names_that_do_not_fit(why: str, filename: str, tmp_path: Path) -> None:
    with pytest.raises(Untrusted, match=why):
        open_all(Made(), tmp_path, filename)


def test_a_zip_without_metadata_is_no_wheel(tmp_path: Path) -> None:
    from fixtures.wheelmaker import Member, build_zip

    place = tmp_path / "pkg-1.0-py3-none-any.whl"
    place.write_bytes(build_zip([Member()]))
    with pytest.raises(Untrusted, match=r"no \.dist-info"), opened(place):
        pass


def test_an_odd_format_is_told(tmp_path: Path) -> None:
    text = WHEEL.format(pure="true", tag="py3-none-any").replace("1.0", "1.9", 1)
    assert open_all(Made(wheel=text), tmp_path).warnings
