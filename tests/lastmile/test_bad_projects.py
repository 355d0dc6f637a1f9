"""Bad input, as whoever types `imagist build DIR` meets it: told with its place and a way out."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from build.commandline import run
from fixtures.simpleindex import SimpleIndex
from fixtures.webserver import Answer
from fixtures.wheelmaker import Made, Member, build_zip
from imagist.oci.image import Index
from imagist.oci.mutate import make_index
from imagist.oci.platform import parse_platform
from imagist.store.layout import write_layout
from inspection.described import file, image, layer, symlink
from lastmile.conftest import Imagist
from lastmile.shop import base

ALPHA = "alpha-1.0-py3-none-any.whl"
STATUS = """\
Package: libc6
Status: install ok installed
Version: 2.36-9

Package: python3.12-minimal
Status: install ok installed
Version: 3.12.7-1
"""


@dataclass(frozen=True)
class Place:
    folder: Path
    index: SimpleIndex

    def lock(self, *lines: str) -> None:
        """Write the lock; `{}` is the hash of alpha's wheel."""
        hashed = f"--hash=sha256:{self.index.sha256(ALPHA)}"
        text = "".join(f"{line.replace('{}', hashed)}\n" for line in lines)
        (self.folder / "requirements.txt").write_text(text)

    def serve(self, data: bytes, name: str = "alpha") -> None:
        """Have the index give another wheel, and lock that."""
        self.index.add(name, f"{name}-1.0-py3-none-any.whl", data)

    def need(self, *names: str) -> None:
        """What the project requires."""
        place = self.folder / "pyproject.toml"
        text = place.read_text().replace('["alpha", "native"]', str(list(names)).replace("'", '"'))
        place.write_text(text)


def only_alpha(place: Place, data: bytes) -> None:
    place.serve(data)
    place.need("alpha")
    place.lock("alpha==1.0 {}")


def wrong_hash(place: Place) -> None:
    data = Made("alpha").build()
    only_alpha(place, data)
    place.index.web.on(f"/files{place.index.prefix}/{ALPHA}", Answer(200, data[::-1]))


def path_outside(place: Place) -> None:
    only_alpha(place, build_zip([Member("../evil.py", b"x")]))


def corrupt(place: Place) -> None:
    whole = Made("alpha", files={"alpha.py": "x = 1\n" * 50}).build()
    at = whole.index(b"alpha.py") + len(b"alpha.py")
    only_alpha(place, whole[:at] + bytes(8) + whole[at + 8 :])


def twice(place: Place) -> None:
    data = {name: Made(name, files={"x.py": name}).build() for name in ("alpha", "gamma")}
    place.serve(data["alpha"])
    place.serve(data["gamma"], "gamma")
    place.need("alpha", "gamma")
    gamma = place.index.sha256("gamma-1.0-py3-none-any.whl")
    place.lock("alpha==1.0 {}", f"gamma==1.0 --hash=sha256:{gamma}")


def odd_marker(place: Place) -> None:
    place.need("alpha")
    place.lock("alpha==1.0 ; moon == 'full' {}")


def no_entry_point(place: Place) -> None:
    place_of = place.folder / "pyproject.toml"
    lines = place_of.read_text().splitlines()
    place_of.write_text("\n".join(line for line in lines if not line.startswith("scripts")))


def old_libc(place: Place) -> None:
    """Wheels for newer systems than the base is."""
    made = Made("native", tag="cp312-cp312-manylinux_2_39_x86_64", pure=False)
    place.index.add("native", made.filename, made.build())
    place.need("native")
    digest = place.index.sha256(made.filename)
    place.lock(f"native==1.0 --hash=sha256:{digest}")


def nothing(_: Place) -> None: ...


def debian(*, python: bool) -> Index:
    """A Debian, with a Python or without."""
    entries = [
        file("usr/lib64/ld-linux-x86-64.so.2", b"\x7fELF", 0o755),
        file("var/lib/dpkg/status", STATUS),
    ]
    if python:
        entries += [
            file("usr/bin/python3.12", b"\x7fELF", 0o755),
            file("usr/lib/python3.12/os.py"),
            symlink("usr/bin/python3", "python3.12"),
        ]
    made = image(layer(*entries), Env=["PATH=/usr/bin"])
    return make_index([(parse_platform("linux/amd64"), made)])


BASES: dict[str, Callable[[], Index]] = {
    "alpine": lambda: base("amd64", "arm64"),
    "debian": lambda: debian(python=True),
    "bare": lambda: debian(python=False),
}


class Case(NamedTuple):
    change: Callable[[Place], None]
    code: int
    said: tuple[str, ...]
    """What is told, among others."""
    base: str = "alpine"
    platform: str = "amd64"


AGAIN = "help: fetch it again; if that does not help, tell whoever publishes it"
CASES: dict[str, Case] = {
    "hash mismatch": Case(
        wrong_hash,
        3,
        ("does not have the digest promised for it", f"--> {ALPHA} from http://index/files/"),
    ),
    "path outside": Case(
        path_outside, 3, (f"{ALPHA} has a path that leads outside: `../evil.py`", AGAIN)
    ),
    "corrupt zip": Case(corrupt, 3, (f"{ALPHA} is damaged at `alpha.py`", AGAIN)),
    "file of two wheels": Case(
        twice,
        3,
        (
            "alpha 1.0 and gamma 1.0 both install /opt/venv/lib/python3.12/site-packages/x.py, with",
            "leave one of the two out",
        ),
    ),
    "missing platform": Case(
        nothing,
        3,
        ("has nothing for linux/s390x; it has linux/amd64, linux/arm64", "build for what it has"),
        platform="s390x",
    ),
    "wrong libc": Case(
        nothing,
        2,
        ("native 1.0 has no wheel for linux/amd64", "/shop/requirements.txt:2:1", "musl"),
        "debian",
    ),
    "old libc": Case(
        old_libc,
        2,
        (
            "native 1.0 has no wheel for linux/amd64",
            "wheels need glibc 2.39, but the base image has 2.36",
        ),
        "debian",
    ),
    "unsupported marker": Case(
        odd_marker,
        2,
        (
            "`moon == 'full'` is no marker that is known",
            "/shop/requirements.txt:1:1",
            "as in `sys_platform == 'linux'",
        ),
    ),
    "no entry point": Case(
        no_entry_point,
        2,
        ("nothing says what a container runs", "/shop/pyproject.toml", "[project.scripts]"),
    ),
    "base without Python": Case(
        nothing, 2, ("/base has no Python for linux/amd64", "use a base image that has"), "bare"
    ),
}


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("pyproject.toml", "build"),
        ("imagist.yaml", "build"),
        ("requirements.txt", "build"),
        ("pylock.toml", "build"),
        ("more.txt", "build"),
        ("pyproject.toml", "lock"),
        ("pylock.toml", "lock"),
    ],
)
def test_of_what_has_no_end_nothing_is_read(
    name: str, command: str, imagist: Imagist, folder: Path
) -> None:
    place, rest = folder / name, ["--base", folder.parent / "base"]
    asked = ""
    if name == "more.txt":
        with (folder / "requirements.txt").open("a") as lock:
            lock.write("-r more.txt\n")
        asked = f"{folder}/requirements.txt:3:1\n"
    for kind in ("a pipe", "a socket", "a device", "a folder"):
        place.unlink(missing_ok=True)
        if kind == "a pipe":
            os.mkfifo(place)
        elif kind == "a socket":
            os.mknod(place, stat.S_IFSOCK | 0o600)
        elif kind == "a device":
            place.symlink_to("/dev/zero")
        else:
            place.mkdir()
        done = imagist(command, folder, *rest)
        assert (done.code, done.out) == (3, ""), done.err
        assert f"error: {place} is {kind}, and must be a file\n" in done.err
        assert asked in done.err


@pytest.mark.parametrize("name", CASES)
def test_it_is_told(name: str, folder: Path, index: SimpleIndex, tmp_path: Path) -> None:
    case = CASES[name]
    write_layout(BASES[case.base](), tmp_path / "base")
    case.change(Place(folder, index))
    words: list[str | Path] = [
        "--base",
        tmp_path / "base",
        "--platform",
        case.platform,
        "-o",
        tmp_path / "out",
    ]
    done = run("build", folder, *words, "--cache", tmp_path / "cache")
    told = done.err.replace(str(tmp_path), "").replace(index.web.url, "http://index")
    assert (done.code, done.out) == (case.code, ""), done.err
    assert not [words for words in case.said if words not in told], told
    assert told.startswith("error: ")
    assert "help: " in told or "have" in told
    assert not (tmp_path / "out").exists()
