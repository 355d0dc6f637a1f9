"""What pip makes of packages in a virtual environment, and how our tree may differ from it."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

from lastmile.layering import Found

DIFFERENT = {
    "wrappers": "their text is our own, and names `bin/python`, which is a link to the same",
    "INSTALLER": "says imagist",
    "REQUESTED": "only where the lock says that somebody asked for it",
    "direct_url.json": "pip writes one for files it was given; a lock says where they are from",
    "RECORD": "lists accordingly, sorted, and without compiled files",
    "compiled files": "those that a wheel brings are left out: nothing vouches for them",
    "pip3.N": "pip gives itself, and nobody else, a script of that name",
    "modes": "0644, and 0755 where anybody may run it; pip keeps what the umask gives",
}
_OF_PIP = re.compile(r"bin/pip3\.\d+")
_OWN = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")


def install_with_pip(place: Path, words: Sequence[str]) -> None:
    """Make an environment of the Python that runs this, and install into it."""
    venv.EnvBuilder(symlinks=True, with_pip=False).create(place)
    pip = [sys.executable, "-m", "pip", "--python", str(place / "bin" / "python"), "install"]
    options = ["--quiet", "--no-compile", "--only-binary=:all:", "--disable-pip-version-check"]
    subprocess.run([*pip, *options, *words], check=True)


def compare_with_pip(found: Mapping[str, Found], prefix: str, place: Path) -> None:
    """Every file must be the same, up to what is stated above.

    Args:
        found: what layers hold, by path.
        prefix: of the environment in them, without a slash at either end.
        place: the environment that pip filled.
    """
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
    skipped |= {name for name in theirs if "/__pycache__/" in name or _OF_PIP.fullmatch(name)}
    assert set(ours) ^ set(theirs) <= skipped, sorted((set(ours) ^ set(theirs)) - skipped)[:20]
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


def _wrapped(ours: Mapping[str, Found]) -> set[str]:
    return {
        name
        for name, entry in ours.items()
        if name.startswith("bin/") and entry.data.startswith(b"#!") and len(entry.data) < 1000
    }
