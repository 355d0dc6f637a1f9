"""A changed module needs no backend; what comes out is what the backend would have made."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pytest

from imagist.errors import Untrusted
from imagist.lastmile import hooks
from imagist.lastmile.backend import Backend, find_backend
from imagist.lastmile.buildenv import BuildEnvironments
from imagist.lastmile.carried import find_modules, trace_members
from imagist.lastmile.files import FileRule, find_wanted
from imagist.lastmile.filetable import FileTable
from imagist.lastmile.project import build_project
from imagist.lastmile.wheels import Wheel
from imagist.packages.wheel.archive import WheelArchive
from imagist.packages.wheel.plain import Content, read_contents, write_plain
from imagist.store.store import Store

BACKENDS = {
    "hatchling": "hatchling.build",
    "setuptools": "setuptools.build_meta",
    "flit_core": "flit_core.buildapi",
    "poetry-core": "poetry.core.masonry.api",
    "pdm-backend": "pdm.backend",
    "uv_build": "uv_build",
}
METADATA = (
    '[project]\nname = "demo"\nversion = "1.0"\ndescription = "d"\nrequires-python = ">=3.9"\n'
)
FILES = {
    "src/demo/__init__.py": '"""A demonstration."""\n',
    "src/demo/main.py": "def main():\n    print('hello')\n",
    "src/demo/deep/__init__.py": "",
    "src/demo/deep/page.html": "<p>hello</p>\n",
    "tests/test_main.py": "def test(): ...\n",
    "README.md": "A demonstration\n",
    "LICENSE": "none\n",
}


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def build(folder: Path, store: Store, environments: BuildEnvironments) -> Wheel:
    return build_project(folder, store, environments, FileTable(store, folder))


@cache
def _can_install(requirement: str) -> bool:
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-deps"]
    return not subprocess.run(
        [*command, "--target", "/nowhere", requirement], capture_output=True
    ).returncode


@pytest.fixture
def forbidden(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, no backend may run."""

    def refuse(*_: object, **__: object) -> Path:
        raise AssertionError("the backend was run")

    return lambda: monkeypatch.setattr(hooks, "run_backend", refuse)


@pytest.mark.parametrize("name", BACKENDS)
def test_it_is_what_the_backend_makes(
    name: str, tmp_path: Path, store: Store, forbidden: Callable[[], None]
) -> None:
    if not _can_install(name):
        pytest.skip("needs a package index")
    environments = BuildEnvironments(tmp_path / "environments")
    system = f'[build-system]\nrequires = ["{name}"]\nbuild-backend = "{BACKENDS[name]}"\n'
    folder = tmp_path / "demo"
    write(folder, {**FILES, "pyproject.toml": system + METADATA})
    first = build(folder, store, environments)
    changes = {
        "src/demo/main.py": "def main():\n    print('other')\n",
        "src/demo/deep/__init__.py": "x = 1\n" * 3000,
        "tests/test_main.py": "def test(): assert True\n",
    }
    write(folder, changes)
    with Store.open(tmp_path / "other") as other:
        theirs = build(folder, other, environments)
        assert theirs != first
        forbidden()
        ours = build(folder, store, environments)
        assert ours == theirs
        assert store.read(ours.digest) == other.read(theirs.digest)
        write(folder, {"tests/test_main.py": "import os\n"})
        assert build(folder, store, environments) == ours
        # What may have become metadata, and new or other files, are the backend's business.
        for change in (
            {"README.md": "another\n"},
            {"src/demo/deep/page.html": "<p>another</p>\n"},
            {"src/demo/new.py": ""},
        ):
            write(folder, change)
            with pytest.raises(AssertionError, match="the backend was run"):
                build(folder, store, environments)
        (folder / "src/demo/new.py").unlink()


def modules(system: str, tmp_path: Path, more: Mapping[str, str] | None = None) -> frozenset[str]:
    import tomllib

    folder = tmp_path / "demo"
    text = f"{METADATA}[build-system]\n{system}"
    write(folder, {**FILES, **(more or {}), "pyproject.toml": text})
    document = tomllib.loads(text)
    return find_modules(
        find_backend(document, "pyproject.toml"), document, find_wanted(FileRule(str(folder), "/"))
    )


HATCH = 'requires = ["hatchling>=1.20"]\nbuild-backend = "hatchling.build"\n'
SETUPTOOLS = 'requires = ["setuptools>=61", "wheel"]\nbuild-backend = "setuptools.build_meta"\n'


def test_modules_are_carried(tmp_path: Path) -> None:
    expected = {path for path in FILES if path.endswith(".py")}
    assert modules(HATCH, tmp_path) == expected
    assert modules(SETUPTOOLS, tmp_path) == expected


@pytest.mark.parametrize(
    ("system", "more"),
    [
        (HATCH.replace('"]', '", "hatch-vcs"]'), {}),
        (HATCH.replace("hatchling.build", "my.build"), {}),
        (HATCH + 'backend-path = ["."]\n', {}),
        (HATCH + "[tool.hatch.build.hooks.custom]\n", {}),
        (HATCH + "[tool.hatch.build.targets.wheel.hooks.custom]\n", {}),
        (HATCH + "[tool.hatch.metadata.hooks.custom]\n", {}),
        (HATCH, {"hatch.toml": ""}),
        (SETUPTOOLS, {"setup.py": ""}),
        (SETUPTOOLS, {"setup.cfg": ""}),
        (SETUPTOOLS + '[tool.setuptools]\ncmdclass = {a = "b"}\n', {}),
        ('requires = ["pdm-backend"]\nbuild-backend = "pdm.backend"\n', {"pdm_build.py": ""}),
    ],
)
def test_where_something_else_may_be_in_play_none_is(
    system: str, more: Mapping[str, str], tmp_path: Path
) -> None:
    assert modules(system, tmp_path, more) == frozenset()


def test_files_that_may_become_metadata_are_none(tmp_path: Path) -> None:
    version = HATCH + '[tool.hatch.version]\npath = "src/demo/main.py"\n'
    assert "src/demo/main.py" not in modules(version, tmp_path)
    assert "src/demo/notice.py" not in modules(HATCH, tmp_path, {"src/demo/notice.py": ""})
    document = {"project": {"dynamic": ["version"]}}
    backend = Backend("hatchling.build", (), ("hatchling",))
    assert not find_modules(backend, document, find_wanted(FileRule(str(tmp_path / "demo"), "/")))
    (tmp_path / "demo" / "src" / "demo" / "link.py").symlink_to("main.py")
    assert modules(HATCH, tmp_path) == frozenset()


def test_members_that_are_no_file_of_the_project_are_told() -> None:
    sources = {"src/a/x.py": b"x", "src/a/y.py": b"y", "README": b"r"}
    from imagist.digest import sha256

    digests = {path: str(sha256(data)) for path, data in sources.items()}

    def trace(files: Mapping[str, bytes]) -> dict[str, str] | None:
        contents = {path: Content(data) for path, data in files.items()}
        return trace_members(contents, "a-1.dist-info", digests, ["src/a/x.py", "src/a/y.py"])

    members = {"src/a/x.py": "a/x.py", "src/a/y.py": "a/y.py"}
    files = {"a/x.py": b"x", "a/y.py": b"y"}
    assert trace(files) == members
    assert trace({**files, "a-1.dist-info/METADATA": b"r"}) == members
    assert trace({"a/x.py": b"x"}) == {"src/a/x.py": "a/x.py"}
    assert trace({**files, "a/version.py": b"1"}) is None, "made by the backend"
    assert trace({"a/x.py": b"X"}) is None, "changed by the backend"
    assert trace({"b/x.py": b"x"}) is None, "moved by the backend"
    assert trace({**files, "a-1.dist-info/METADATA": b"x"}) is None, "made of a module"
    digests["src/a/y.py"] = str(sha256(b""))
    empty = {"a/x.py": b"x", "a/y.py": b""}
    assert trace({**empty, "a-1.dist-info/REQUESTED": b""}) == members
    assert trace({**empty, "a-1.dist-info/licenses/y.py": b""}) is None, (
        "an empty one is a license"
    )


def test_the_plain_form_is_of_contents_alone(tmp_path: Path) -> None:
    files = {
        "b/run": Content(b"#!", is_executable=True),
        "a.py": Content(b"x" * 9000),
        "a-1.0.dist-info/METADATA": Content(b"Name: a\nVersion: 1.0\n"),
        "a-1.0.dist-info/WHEEL": Content(b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"),
    }
    data = write_plain(files, "a-1.0.dist-info")
    assert data == write_plain(dict(reversed(files.items())), "a-1.0.dist-info")
    place = tmp_path / "a-1.0-py3-none-any.whl"
    place.write_bytes(data)
    with place.open("rb") as stream:
        archive = WheelArchive(stream, place.name)
        assert read_contents(archive) == files
        assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None
    place.write_bytes(data.replace(b"x" * 9000, b"y" * 9000))
    with place.open("rb") as stream, pytest.raises(Untrusted):
        read_contents(WheelArchive(stream, place.name))
