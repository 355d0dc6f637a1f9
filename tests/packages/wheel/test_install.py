"""Installing: where files go, what scripts become, and the same tree as `installer` gives."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.wheelmaker import Made, hash_of
from imagist.errors import RequestError, Untrusted
from imagist.oci.platform import Platform
from imagist.packages.wheel.install import Origin, install_wheel
from imagist.packages.wheel.target import Target
from imagist.packages.wheel.venv import Venv, venv_of, write_skeleton
from packages.wheel.opening import SITE, VENV, contents_of, install, opened

INFO = f"{SITE}/pkg-1.0.dist-info"
OWN_RECORD = f"{INFO}/RECORD".removeprefix("opt/venv/")
BIN = "opt/venv/bin"
SCRIPTS = """\
[console_scripts]
run = pkg.cli:main
Deep.Name = pkg:thing.method [extra]
# a comment
[other]
no = pkg:no
[gui_scripts]
win=pkg:win
"""


def test_where_everything_goes(tmp_path: Path) -> None:
    files = {
        "pkg/__init__.py": "",
        "pkg/tool.sh": "#!/bin/sh\n",
        "data/purelib/pure.py": "",
        "data/platlib/plat.py": "",
        "data/headers/a.h": "",
        "data/data/share/man/a.1": "",
        "data/data/lib64/b": "",
        "data/scripts/tool": "#!python -E\nprint(1)\n",
        "data/scripts/sub.sh": "#!/bin/sh\n",
    }
    made = Made(files=files, executable=["pkg/tool.sh"])
    installed, contents = install(made, tmp_path)
    assert {file.path: file.mode for file in installed.files} == {
        f"{SITE}/pkg/__init__.py": 0o644,
        f"{SITE}/pkg/tool.sh": 0o755,
        f"{SITE}/pure.py": 0o644,
        f"{SITE}/plat.py": 0o644,
        "opt/venv/include/site/python3.12/pkg/a.h": 0o644,
        "opt/venv/share/man/a.1": 0o644,
        "opt/venv/lib/b": 0o644,
        f"{BIN}/tool": 0o755,
        f"{BIN}/sub.sh": 0o755,
        **{f"{INFO}/{name}": 0o644 for name in ("METADATA", "WHEEL", "RECORD", "INSTALLER")},
    }
    assert contents[f"{BIN}/tool"] == b"#!/opt/venv/bin/python\nprint(1)\n"
    assert contents[f"{BIN}/sub.sh"] == b"#!/bin/sh\n"
    assert contents[f"{INFO}/INSTALLER"] == b"imagist\n"


def test_record_lists_what_is_there(tmp_path: Path) -> None:
    made = Made(files={"a.py": "x", "data/scripts/s": "#!python\n"}, entry_points=SCRIPTS)
    _, contents = install(made, tmp_path, Origin(requested=True, direct_url=b"{}"))
    rows = list(csv.reader(contents[f"{INFO}/RECORD"].decode().splitlines()))
    assert rows == sorted(rows)
    found = {os.path.normpath(f"{SITE}/{path}"): (digest, size) for path, digest, size in rows}
    assert found.pop(f"{INFO}/RECORD") == ("", "")
    del contents[f"{INFO}/RECORD"]
    assert found == {
        path: (f"sha256={hash_of(data)}", str(len(data))) for path, data in contents.items()
    }
    assert contents[f"{INFO}/REQUESTED"] == b""
    assert contents[f"{INFO}/direct_url.json"] == b"{}"


def test_what_installers_write_is_not_taken_from_the_wheel(tmp_path: Path) -> None:
    files = {f"pkg-1.0.dist-info/{name}": "wrong" for name in ("INSTALLER", "REQUESTED")}
    _, contents = install(Made(files=files), tmp_path)
    assert contents[f"{INFO}/INSTALLER"] == b"imagist\n"
    assert f"{INFO}/REQUESTED" not in contents


def test_entry_points_run(tmp_path: Path) -> None:
    """The wrapper calls the function and exits with what it returns."""
    code = "class thing:\n  def method(): print('called'); return 3\ndef win(): ...\n"
    made = Made(
        files={"pkg/__init__.py": code, "pkg/cli.py": "def main(): raise SystemExit(4)\n"},
        entry_points=SCRIPTS,
    )
    _, contents = install(made, tmp_path)
    scripts = {path: data for path, data in contents.items() if path.startswith(BIN)}
    assert {path.removeprefix(f"{BIN}/") for path in scripts} == {"run", "Deep.Name", "win"}
    assert all(data.startswith(b"#!/opt/venv/bin/python\n") for data in scripts.values())
    for path, data in contents.items():
        place = tmp_path / "root" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    environment = {"PYTHONPATH": str(tmp_path / "root" / SITE)}
    codes = {}
    for name in ("run", "Deep.Name", "win"):
        command = [sys.executable, str(tmp_path / "root" / BIN / name)]
        codes[name] = subprocess.run(command, env=environment, capture_output=True).returncode
    assert codes == {"run": 4, "Deep.Name": 3, "win": 0}


def test_entry_points_go_before_scripts(tmp_path: Path) -> None:
    made = Made(files={"data/scripts/run": "old"}, entry_points=SCRIPTS)
    _, contents = install(made, tmp_path)
    assert b"pkg.cli" in contents[f"{BIN}/run"]


def test_compiled_files_are_left_out_and_told(tmp_path: Path) -> None:
    made = Made(files={"a.py": "", "__pycache__/a.cpython-312.pyc": "x"})
    installed, contents = install(made, tmp_path)
    assert not [path for path in contents if "__pycache__" in path]
    assert len(installed.warnings) == 1


@pytest.mark.parametrize(
    ("why", "made"),
    [
        ("replace the interpreter", Made(entry_points="[console_scripts]\npython3 = a:b\n")),
        ("replace the interpreter", Made(files={"data/scripts/python3.12t": ""})),
        ("of the environment", Made(files={"data/data/bin/python": ""})),
        ("of the environment", Made(files={"data/data/pyvenv.cfg": ""})),
        ("of the environment", Made(files={"data/data/lib64": ""})),
        ("no scheme knows", Made(files={"data/other/a": ""})),
        ("only some installers", Made(files={"Pkg-1.0.data/purelib/a.py": ""})),
        ("no scheme knows", Made(files={"data/scripts": ""})),
        ("name cannot be", Made(entry_points="[console_scripts]\na/b = a:b\n")),
        ("name cannot be", Made(files={"data/scripts/d/tool": ""})),
        ("name cannot be", Made(entry_points="[console_scripts]\n.wh.python = a:b\n")),
        ("name cannot be", Made(entry_points="[console_scripts]\n.wh..wh..opq = a:b\n")),
        ("name cannot be", Made(entry_points="[console_scripts]\na\x1b[2J = a:b\n")),
        ("name cannot be", Made(entry_points=f"[console_scripts]\n{'a' * 256} = a:b\n")),
        ("would replace", Made(files={"data/data/bin/python/x": ""})),
        ("would replace", Made(files={"data/data/pyvenv.cfg/x": ""})),
        ("dist-info/RECORD twice", Made(files={f"data/data/{OWN_RECORD}": ""})),
        ("names no function", Made(entry_points="[console_scripts]\na = a:b;import os\n")),
        ("names no function", Made(entry_points="[console_scripts]\na = a\n")),
        ("names no function", Made(entry_points="[console_scripts]\na = 1a:b\n")),
        ("twice", Made(files={"a.py": "", "data/purelib/a.py": ""})),
    ],
)
def test_wheels_that_cannot_be_installed(why: str, made: Made, tmp_path: Path) -> None:
    with pytest.raises(Untrusted, match=why):
        install(made, tmp_path)


def test_everything_that_is_wrong_is_told(tmp_path: Path) -> None:
    made = Made(files={"data/other/a": "", "data/scripts/python": ""})
    with pytest.raises(Untrusted) as caught:
        install(made, tmp_path)
    assert len(caught.value.problems) == 2


FILES: dict[str, bytes | str] = {
    "pkg/__init__.py": "x = 1\n",
    "pkg/deep/mod.py": "y = 2\n" * 2000,
    "pkg/data.bin": bytes(range(256)) * 40,
    "data/scripts/tool": "#!python\nprint('tool')\n",
    "data/scripts/wide": "#!pythonw -s\n",
    "data/scripts/sh": "#!/bin/sh\necho\n",
    "data/data/etc/pkg.conf": "a=1\n",
    "data/headers/pkg.h": "int x;\n",
}
DIFFERENT_FROM_INSTALLER = {
    "wrappers": "their text is our own: no `import re`, since nobody calls them `-script.pyw` here",
    "RECORD": "lists the same files, in order; no hash is taken again",
    "scripts": "those in `.data/scripts` may always be run, as pip has it",
    "modes": "files are 0644, and 0755 where anybody may run them: no umask counts",
}


@pytest.mark.parametrize("pure", [True, False])
def test_the_tree_is_that_of_installer(pure: bool, tmp_path: Path) -> None:
    made = Made(files=FILES, pure=pure, executable=["pkg/data.bin"], entry_points=SCRIPTS)
    compare_with_installer(made.write(tmp_path), tmp_path / "root")


def compare_with_installer(place: Path, root: Path) -> None:
    """Install a wheel with `installer`, and expect the same tree but for what is stated above."""
    import installer
    from installer.destinations import SchemeDictionaryDestination
    from installer.sources import WheelFile

    with opened(place) as wheel:
        installed = install_wheel(wheel, VENV)
        ours = contents_of(installed, wheel)
        name = wheel.name
    scheme = {
        "purelib": f"/{SITE}",
        "platlib": f"/{SITE}",
        "headers": f"/opt/venv/include/site/python3.12/{name}",
        "scripts": f"/{BIN}",
        "data": "/opt/venv",
    }
    destination = SchemeDictionaryDestination(
        scheme,
        interpreter="/opt/venv/bin/python",
        script_kind="posix",
        destdir=str(root),
    )
    with WheelFile.open(place) as source:
        installer.install(source, destination, additional_metadata={"INSTALLER": b"imagist\n"})
    theirs = {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }
    modes = {
        path: os.stat(root / path).st_mode & 0o111 != 0 or path.startswith(BIN) for path in theirs
    }
    assert {file.path: file.mode & 0o111 != 0 for file in installed.files} == modes
    for path, data in theirs.items():
        if path.endswith(".dist-info/RECORD"):
            one, other = (list(csv.reader(d.decode().splitlines())) for d in (data, ours[path]))
            wrapped = {row[0] for row in one if row[0].startswith("../../../bin/")}
            assert {row[0] for row in one} == {row[0] for row in other}
            assert [r for r in sorted(one) if r[0] not in wrapped] == [
                r for r in other if r[0] not in wrapped
            ]
        elif path.startswith(BIN) and b"import re" in data:
            assert ours[path].splitlines()[0] == data.splitlines()[0]
            assert [line for line in data.splitlines() if line.startswith(b"from ")] == [
                line for line in ours[path].splitlines() if line.startswith(b"from ")
            ]
        else:
            assert ours[path] == data, path


def target(**changes: object) -> Target:
    given = {
        "platform": Platform("amd64"),
        "python": "3.12.7",
        "abi": "cp312",
        "libc": "glibc",
        "libc_version": (2, 36),
        "interpreter": "/usr/bin/python3.12",
        **changes,
    }
    return Target(**given)  # type: ignore[arg-type]


def test_the_skeleton_is_what_venv_makes(tmp_path: Path) -> None:
    """Python's own `venv` gives the same links and settings for the Python that runs this."""
    import venv

    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    place = tmp_path / "venv"
    venv.EnvBuilder(symlinks=True, with_pip=False).create(place)
    interpreter = os.readlink(place / "bin" / "python")
    if not interpreter.startswith("/"):
        interpreter = os.readlink(place / "bin" / interpreter)
    made = target(
        python=sys.version.split()[0],
        abi=f"cp{version.replace('.', '')}",
        interpreter=interpreter,
        prefix=str(place),
    )
    root = str(place).strip("/")
    ours = {entry.path.removeprefix(f"{root}/"): entry for entry in write_skeleton(made)}
    assert ours["lib64"].link == os.readlink(place / "lib64")
    theirs = dict(line.split(" = ", 1) for line in (place / "pyvenv.cfg").read_text().splitlines())
    for line in ours["pyvenv.cfg"].data.decode().splitlines():
        key, value = line.split(" = ", 1)
        assert os.path.realpath(theirs[key]) == os.path.realpath(value), key
    assert {name for name in ours if name.startswith("bin/")} == {
        f"bin/{name}" for name in os.listdir(place / "bin") if name.startswith("python")
    }
    assert all(
        entry.kind != "directory" or (Path("/") / entry.path).is_dir() for entry in ours.values()
    )


def test_a_free_threaded_environment() -> None:
    venv = venv_of(target(python="3.13.1", abi="cp313t", prefix="/app/.venv/"))
    assert venv == Venv("/app/.venv", "python3.13t")
    assert venv.site_packages == "app/.venv/lib/python3.13t/site-packages"


@pytest.mark.parametrize("prefix", ["/with blank/venv", f"/{'x' * 120}", "venv", "/", "/a/../b"])
def test_prefixes_that_no_script_could_name(prefix: str) -> None:
    with pytest.raises(RequestError):
        venv_of(target(prefix=prefix))
