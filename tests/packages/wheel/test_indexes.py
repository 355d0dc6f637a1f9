"""The configuration of pip and uv is honoured; `pip config` is asked whether it agrees."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from imagist.errors import RequestError
from imagist.net.environment import Environment
from imagist.packages.wheel.indexes import (
    Configuration,
    Settings,
    default_index,
    read_configuration,
)
from imagist.packages.wheel.lock.model import Lock
from imagist.packages.wheel.lock.uv import find_uv

ONE, TWO, THREE = (f"https://{name}.example/simple" for name in ("one", "two", "three"))
LOCK = Lock(file="l", packages=())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home" / ".config" / "pip").mkdir(parents=True)
    (tmp_path / "home" / ".config" / "uv").mkdir()
    (tmp_path / "project").mkdir()
    return tmp_path / "home"


def read(home: Path, **variables: str) -> Configuration:
    known = {"HOME": str(home), "VIRTUAL_ENV": str(home / "venv"), "XDG_CONFIG_DIRS": "/absent"}
    return read_configuration(home.parent / "project", known | variables)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def urls(configuration: Configuration, lock: Lock = LOCK) -> tuple[str, ...]:
    return configuration.indexes(lock).urls


@pytest.mark.parametrize("workspace", ["", "[tool.uv.workspace]\nmembers = ['*']\n"])
def test_the_file_of_uv_is_the_one_that_uv_takes(home: Path, workspace: str) -> None:
    """The nearest above the project; its workspace's, if it is a member of one."""
    root, project = home.parent, home.parent / "project"
    write(
        root / "pyproject.toml", f'[[tool.uv.index]]\nurl = "{ONE}"\ndefault = true\n{workspace}'
    )
    write(project / "pyproject.toml", '[project]\nname = "p"\nversion = "1"\n')
    assert urls(read(home)) == (ONE,)
    write(project / "uv.toml", f'[[index]]\nurl = "{TWO}"\ndefault = true\n')
    expected = ONE if workspace else TWO
    assert urls(read(home)) == (expected,)
    known = {"HOME": str(home), "XDG_CONFIG_DIRS": "/absent", "PATH": ""}
    shown = subprocess.run(
        [find_uv(), "lock", "--show-settings", "--offline"],
        capture_output=True,
        text=True,
        check=True,
        env=known,
        cwd=project,
    ).stdout
    assert (expected in shown, (TWO if workspace else ONE) in shown) == (True, False)


def test_without_configuration_the_index_is_pips_own(home: Path) -> None:
    from pip._internal.models.index import PyPI

    assert urls(read(home)) == (PyPI.simple_url,) == (default_index(),)


def test_the_default_is_found_without_pip_as_well() -> None:
    program = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'pip' and not any('_bundled' in p for p in sys.path):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from imagist.packages.wheel.indexes import default_index\n"
        "print(default_index())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == default_index()


def test_files_of_pip_from_weak_to_strong(home: Path) -> None:
    write(home / ".config/pip/pip.conf", f"[global]\nindex-url = {ONE}\ncert = /ca.pem\n")
    assert urls(read(home)) == (ONE,)
    write(
        home / "venv/pip.conf",
        f"[install]\nindex_url={TWO}\nextra-index-url =\n  {ONE}\n  {THREE}\n",
    )
    found = read(home)
    assert urls(found) == (TWO, ONE, THREE)
    assert found.network(Environment(ca_file="/system.pem")).ca_file == "/ca.pem"
    assert urls(read(home, PIP_INDEX_URL=THREE)) == (THREE, ONE)
    assert urls(read(home, PIP_CONFIG_FILE="/dev/null", PIP_EXTRA_INDEX_URL=ONE)) == (
        default_index(),
        ONE,
    )


@pytest.mark.parametrize("section", ["global", "install"])
def test_pip_reads_the_same(home: Path, section: str) -> None:
    text = f"[{section}]\nindex-url = {ONE}\nextra-index-url = {TWO} {THREE}\nno-index = no\n"
    file = write(home / ".config/pip/pip.conf", text)
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        env={"HOME": str(home), "PIP_CONFIG_FILE": str(file)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"{section}.index-url={ONE!r}" in asked.stdout
    assert urls(read(home)) == (ONE, TWO, THREE)


def test_files_of_uv_and_its_variables(home: Path) -> None:
    project = home.parent / "project"
    write(home / ".config/uv/uv.toml", f'[[index]]\nurl = "{ONE}"\ndefault = true\n')
    assert urls(read(home)) == (ONE,)
    write(
        project / "pyproject.toml",
        f'[[tool.uv.index]]\nname = "own"\nurl = "{TWO}"\n'
        f'[[tool.uv.index]]\nname = "hidden"\nurl = "{THREE}"\nexplicit = true\n',
    )
    assert urls(read(home)) == (TWO, ONE)
    secret = read(home, UV_INDEX_OWN_USERNAME="me", UV_INDEX_OWN_PASSWORD="p@ss")
    assert urls(secret)[0] == TWO.replace("https://", "https://me:p%40ss@")
    assert "p%40ss" not in repr(secret)
    write(project / "uv.toml", f'extra-index-url = ["{THREE}"]\n[pip]\nindex-url = "{TWO}"\n')
    assert urls(read(home)) == (THREE, TWO)
    assert urls(read(home, UV_INDEX=f"name={ONE} {TWO}", UV_NO_CONFIG="1")) == (
        ONE,
        TWO,
        default_index(),
    )
    assert urls(read(home, UV_DEFAULT_INDEX=THREE, UV_CONFIG_FILE="/absent")) == (THREE,)


def test_uv_goes_before_pip_and_the_lock_before_both(home: Path) -> None:
    both = read(home, UV_INDEX_URL=ONE, PIP_INDEX_URL=TWO, PIP_FIND_LINKS="/a b")
    assert urls(both) == (ONE,)
    assert both.indexes(LOCK).find_links == ("/a", "b")
    lock = Lock(file="l", packages=(), indexes=(THREE,), extra_indexes=(TWO,), find_links=("c",))
    assert urls(both, lock) == (THREE, TWO)
    assert both.indexes(lock).find_links == ("c", "/a", "b")
    extra = Lock(file="l", packages=(), extra_indexes=(TWO,))
    assert urls(both, extra) == (ONE, TWO)


def test_no_index_means_none(home: Path) -> None:
    assert urls(read(home, PIP_NO_INDEX="1")) == ()
    assert Settings().names_index is False


def test_a_malformed_file_is_told_without_its_text(home: Path) -> None:
    write(home / ".config/pip/pip.conf", "index-url = https://me:secret@h.example\n")
    with pytest.raises(RequestError, match="no configuration of pip") as caught:
        _ = read(home).pip
    assert "secret" not in str(caught.value)


def test_proxies_of_pip_are_used(home: Path) -> None:
    found = read(home, PIP_PROXY="http://proxy.example:3128").network(Environment())
    assert found.https_proxy == "http://proxy.example:3128"
