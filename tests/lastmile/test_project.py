"""The project's own wheel: built by its backend from what is not ignored, and remembered."""

from __future__ import annotations

import io
import subprocess
import time
import zipfile
from pathlib import Path

import pytest

from fixtures.elf import build_library
from fixtures.wheelmaker import Made
from imagist.digest import Digest
from imagist.editing.additions import Item
from imagist.errors import ImagistError, InputError, NotFound, RequestError
from imagist.lastmile.backend import Backend, Options
from imagist.lastmile.buildenv import BuildEnvironments
from imagist.lastmile.filetable import FileTable
from imagist.lastmile.project import build_project, check_fits, check_pure
from imagist.lastmile.variables import find_programs
from imagist.lastmile.wheels import Wheel, WheelLayers
from imagist.oci.platform import Platform
from imagist.packages.wheel.archive import WheelArchive
from imagist.packages.wheel.target import Target
from imagist.packages.wheel.venv import Venv
from imagist.store.store import Store
from lastmile.layering import put

PROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "app"
version = "1.0"
"""
# A backend in the project: it packs what it sees, and tells its environment.
BACKEND = """\
import base64, hashlib, os, pathlib, zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    assert "SOURCE_DATE_EPOCH" in os.environ
    files = {p.as_posix(): p.read_bytes() for p in sorted(pathlib.Path().rglob("*")) if p.is_file()}
    files = {f"app/{n}": d for n, d in files.items() if "__pycache__" not in n}
    files["app/epoch"] = os.environ["SOURCE_DATE_EPOCH"].encode()
    title, _, version = "app-1.0".partition("-")
    metadata = f"Name: {title}\\nVersion: {version}\\n"
    files["app-1.0.dist-info/METADATA"] = metadata.encode()
    files["app-1.0.dist-info/WHEEL"] = b"Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\n"
    def h(d): return base64.urlsafe_b64encode(hashlib.sha256(d).digest()).rstrip(b"=").decode()
    rows = [f"{n},sha256={h(d)},{len(d)}" for n, d in files.items()]
    files["app-1.0.dist-info/RECORD"] = "\\n".join([*rows, "app-1.0.dist-info/RECORD,,", ""]).encode()
    name = "app-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as z:
        for n, d in files.items():
            z.writestr(zipfile.ZipInfo(n), d)
    with open(os.environ["COUNT"], "a") as count:
        count.write("x")
    return name
"""


def with_script(backend: str, script: str) -> str:
    """The backend, whose wheel has a console script besides."""
    line = f"[console_scripts]\\n{script}\\n"
    return backend.replace(
        '    files["app/epoch"]',
        f'    files["app-1.0.dist-info/entry_points.txt"] = b"{line}"\n    files["app/epoch"]',
    )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "backend.py").write_text(BACKEND)
    (folder / "code.py").write_text("x = 1\n")
    (folder / ".env").write_text("SECRET=1\n")
    monkeypatch.setenv("COUNT", str(tmp_path / "count"))
    (tmp_path / "count").touch()
    return folder


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> BuildEnvironments:
    return BuildEnvironments(tmp_path_factory.mktemp("environments"))


def build(
    folder: Path, store: Store, environments: BuildEnvironments, options: Options | None = None
) -> Wheel:
    return build_project(folder, store, environments, FileTable(store, folder), options)


def names(store: Store, wheel: Wheel) -> set[str]:
    return set(zipfile.ZipFile(io.BytesIO(store.read(wheel.digest))).namelist())


def has_index(tmp_path: Path, package: str) -> bool:
    words = ["pip", "download", "--quiet", "--no-deps", "--dest", str(tmp_path / "probe"), package]
    return subprocess.run(words, capture_output=True).returncode == 0


def test_the_backend_sees_what_is_not_ignored(
    project: Path, store: Store, environments: BuildEnvironments
) -> None:
    wheel = build(project, store, environments, Options(mtime=7, offline=True))
    found = names(store, wheel)
    assert {"app/code.py", "app/pyproject.toml"} < found
    assert "app/.env" not in found
    layer = WheelLayers(store).build([], Venv(), project=wheel)[-1]
    assert layer.created_by == "imagist: app-1.0"
    assert {path.name for path in project.iterdir()} == {
        "pyproject.toml",
        "backend.py",
        "code.py",
        ".env",
    }


def test_it_is_built_when_something_changed(
    project: Path, store: Store, environments: BuildEnvironments, tmp_path: Path
) -> None:
    def count() -> int:
        return len((tmp_path / "count").read_text())

    first = build(project, store, environments)
    assert build(project, store, environments) == first
    (project / ".env").write_text("SECRET=2\n")
    assert build(project, store, environments) == first
    assert count() == 1
    (project / "code.py").write_text("x = 2\n")
    assert build(project, store, environments) != first
    assert count() == 2
    build(project, store, environments, Options(mtime=5))
    assert count() == 3


def test_refusals(project: Path, store: Store, environments: BuildEnvironments) -> None:
    (project / "backend.py").write_text(
        "def build_wheel(*_, **__):\n    raise OSError('on purpose')\n"
    )
    with pytest.raises(InputError, match="failed: OSError: on purpose") as failed:
        build(project, store, environments)
    (problem,) = failed.value.problems
    assert f"{problem.where}" == f"{project}/backend.py:2:5"
    assert "_in_process" not in problem.message
    (project / "backend.py").unlink()
    with pytest.raises(InputError, match="cannot be imported"):
        build(project, store, environments)
    (project / "pyproject.toml").write_text("[")
    with pytest.raises(InputError, match=r"pyproject\.toml"):
        build(project, store, environments)
    (project / "pyproject.toml").unlink()
    with pytest.raises(NotFound, match="no project"):
        build(project, store, environments)


MAKES = "def build_wheel(folder, *_, **__):\n    import os\n    "


@pytest.mark.parametrize(
    "answer",
    [
        "return None",
        "return 5",
        "return 'app-1.0-py3-none-any.whl'",
        "return 'a\\0.whl'",
        "return folder",
        "return os.path.relpath('backend.py', folder)",
        "os.symlink(os.path.abspath('backend.py'), folder + '/a.whl'); return 'a.whl'",
        "os.mkfifo(folder + '/a.whl'); return 'a.whl'",
    ],
)
def test_only_a_file_that_the_backend_made_is_its_wheel(
    answer: str, project: Path, store: Store, environments: BuildEnvironments
) -> None:
    (project / "backend.py").write_text(MAKES + answer)
    with pytest.raises(InputError, match="there is no such wheel"):
        build(project, store, environments)


def test_a_backend_that_ends_the_process_is_told(
    project: Path, store: Store, environments: BuildEnvironments
) -> None:
    (project / "backend.py").write_text(f"{MAKES}os._exit(0)")
    with pytest.raises(InputError, match="ended without an answer"):
        build(project, store, environments)


@pytest.mark.parametrize("asked", ["None", "'ab'", "[5]", "['--version']"])
def test_what_a_backend_asks_for_must_be_requirements(
    asked: str, project: Path, store: Store, environments: BuildEnvironments
) -> None:
    hook = f"def get_requires_for_build_wheel(config_settings=None):\n    return {asked}\n"
    (project / "backend.py").write_text(BACKEND + hook)
    with pytest.raises(InputError, match="no list of requirements"):
        build(project, store, environments)


def test_what_a_backend_asks_for_may_not_change_unnoticed(
    project: Path, store: Store, environments: BuildEnvironments
) -> None:
    asked = "['x @ file:///tools/x.whl']"
    hook = f"def get_requires_for_build_wheel(config_settings=None):\n    return {asked}\n"
    (project / "backend.py").write_text(BACKEND + hook)
    with pytest.raises(InputError, match=r"asks for `x @ file:///tools/x\.whl`, which may change"):
        build(project, store, environments)


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("requires = []", 'requires = "setuptools"'),
        ("requires = []", 'requires = ["--version"]'),
        ("requires = []", 'requires = ["tools/x"]'),
        ("requires = []", 'requires = ["x-1.0-py3-none-any.whl"]'),
        ("requires = []", 'requires = ["file:///tools/x.whl"]'),
        ("requires = []", "requires = 5"),
        ("requires = []", "requires = {}"),
        ('backend-path = ["."]', 'backend-path = "."'),
        ('build-backend = "backend"', 'build-backend = ""'),
    ],
)
def test_a_build_system_that_means_nothing_is_refused(
    line: str, instead: str, project: Path, store: Store, environments: BuildEnvironments
) -> None:
    (project / "pyproject.toml").write_text(PROJECT.replace(line, instead))
    with pytest.raises(InputError, match=r"\[build-system\] of .* is not as it should be"):
        build(project, store, environments)


def test_passwords_in_requirements_are_not_shown(
    project: Path, store: Store, environments: BuildEnvironments
) -> None:
    where = "https://user:secret@127.0.0.1:9/x-1-py3-none-any.whl"
    (project / "pyproject.toml").write_text(PROJECT.replace("[]", f'["x @ {where}"]'))
    with pytest.raises(RequestError) as refused:
        build(project, store, environments, Options(offline=True))
    (project / "pyproject.toml").write_text(PROJECT)
    (project / "backend.py").write_text(f"raise OSError({where!r})")
    with pytest.raises(InputError) as failed:
        build(project, store, environments)
    for error in (refused.value, failed.value):
        assert "https://***@127.0.0.1" in str(error)
        assert "secret" not in str(error)


def test_a_build_backend_in_a_file_of_this_machine_may_change(
    project: Path, store: Store, tmp_path: Path
) -> None:
    """The environment that is remembered must not outlive it, nor may what it built."""
    environments = BuildEnvironments(tmp_path / "environments")
    wheel = tmp_path / "backend-1.0-py3-none-any.whl"
    (project / "backend.py").unlink()
    system = PROJECT.replace('backend-path = ["."]\n', "")
    url = wheel.as_uri().replace("backend-1", "%62ackend-1")
    (project / "pyproject.toml").write_text(
        system.replace("[]", f"[\"backend @ {url} ; python_version > '3'\"]")
    )
    found = []
    for text in ("one", "two"):
        backend = BACKEND.replace(
            'files["app/epoch"] =', f'files["app/{text}"] = b""\n    files["app/epoch"] ='
        )
        wheel.write_bytes(Made("backend", files={"backend.py": backend}).build())
        made = build(project, store, environments)
        assert build(project, store, environments) == made
        assert f"app/{text}" in names(store, made)
        found.append(made.digest)
    assert len(set(found)) == 2
    assert (tmp_path / "count").read_text() == "xx"
    wheel.unlink()
    with pytest.raises(InputError, match="which is not there"):
        build(project, store, environments)
    wheel.mkdir()
    with pytest.raises(InputError, match="a folder, whose changes") as refused:
        build(project, store, environments)
    assert "backend-path" in str(refused.value.problems[0].help)


def test_what_a_backend_leaves_running_is_ended(
    project: Path, store: Store, environments: BuildEnvironments, tmp_path: Path
) -> None:
    """It holds the backend's output, so whoever waited for the end of that would wait for it."""
    note = tmp_path / "left"
    text = (
        "import subprocess\n"
        "left = subprocess.Popen(['sleep', '60'])\n"
        f"open({str(note)!r}, 'w').write(str(left.pid))\n"
    )
    (project / "backend.py").write_text(BACKEND + text)
    began = time.monotonic()
    build(project, store, environments)
    assert time.monotonic() - began < 30
    state = Path("/proc", note.read_text(), "stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] in "XZ"


def test_links_that_lead_out_of_a_project_are_refused(
    project: Path, store: Store, environments: BuildEnvironments, tmp_path: Path
) -> None:
    """The backend would read what they lead to, and nobody would notice when that changes."""
    (tmp_path / "other").write_text("secret\n")
    (project / "other").symlink_to(tmp_path / "other")
    with pytest.raises(InputError, match="leads out of the project"):
        build(project, store, environments)
    assert build(project, store, environments, Options(ignore=("other",))).size


def test_a_file_that_changes_during_the_build_is_never_remembered_as_it_was(
    project: Path, store: Store, environments: BuildEnvironments
) -> None:
    class Late(FileTable):
        """Something is saved after the files were looked at, before they are copied."""

        def digest(self, item: Item) -> Digest:
            found = super().digest(item)
            if item.path == "pyproject.toml":
                (project / "code.py").write_text("x = 9\n")
            return found

    with pytest.raises(ImagistError, match=r"code\.py"):
        build_project(project, store, environments, Late(store, project))
    (project / "code.py").write_text("x = 1\n")
    wheel = build(project, store, environments)
    with zipfile.ZipFile(io.BytesIO(store.read(wheel.digest))) as archive:
        assert archive.read("app/code.py") == b"x = 1\n"


def test_what_may_ask_git_is_built_where_git_is(
    project: Path, store: Store, environments: BuildEnvironments, tmp_path: Path
) -> None:
    """Also below the root of a repository; and it is not remembered, since commits are no files."""
    line = f"open({str(tmp_path / 'where')!r}, 'a').write(os.getcwd() + '\\n')\n    files = "
    (project / "backend.py").write_text(BACKEND.replace("files = ", line, 1))
    build(project, store, environments)
    (tmp_path / ".git").mkdir()
    build(project, store, environments)
    assert str(project) not in (tmp_path / "where").read_text().splitlines()
    for text in (
        PROJECT.replace('version = "1.0"', 'dynamic = ["version"]'),
        PROJECT.partition("[project]")[0],
    ):
        (project / "pyproject.toml").write_text(text)
        for _ in range(2):
            build(project, store, environments)
            assert (tmp_path / "where").read_text().splitlines()[-1] == str(project)
            (tmp_path / "where").write_text("none\n")


def test_what_was_removed_is_gone_from_what_is_built_in_place(
    tmp_path: Path, store: Store, environments: BuildEnvironments
) -> None:
    """setuptools packs what it finds in `build`, and leaves it there."""
    if not has_index(tmp_path, "setuptools"):
        pytest.skip("needs a package index")
    folder = tmp_path / "demo"
    (folder / "demo").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / "demo" / "__init__.py").write_text("__version__ = '1.0'\n")
    (folder / "demo" / "old.py").touch()
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "demo"\ndynamic = ["version"]\n[tool.setuptools]\npackages = ["demo"]\n'
        'dynamic.version = { attr = "demo.__version__" }\n'
    )
    assert "demo/old.py" in names(store, build(folder, store, environments))
    (folder / "demo" / "old.py").unlink()
    assert "demo/old.py" not in names(store, build(folder, store, environments))
    assert {path.name for path in folder.iterdir()} == {".git", "demo", "pyproject.toml"}


def test_variables_that_backends_heed_count(
    project: Path,
    store: Store,
    environments: BuildEnvironments,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = "    files['app/told'] = os.environ.get('PDM_BUILD_SCM_VERSION', '').encode()\n"
    at = BACKEND.index("    files[")
    (project / "backend.py").write_text(BACKEND[:at] + line + BACKEND[at:])
    for version in ("1", "2"):
        monkeypatch.setenv("PDM_BUILD_SCM_VERSION", version)
        wheel = build(project, store, environments)
        with zipfile.ZipFile(io.BytesIO(store.read(wheel.digest))) as archive:
            assert archive.read("app/told") == version.encode()


def test_variables_that_a_setup_script_reads_count(
    tmp_path: Path,
    store: Store,
    environments: BuildEnvironments,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By their names in it, or in a module beside it; what it does not name changes nothing."""
    if not has_index(tmp_path, "setuptools"):
        pytest.skip("needs a package index")
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "setup.py").write_text(
        "import sys\nsys.path.insert(0, '.')\nfrom named import version\n"
        "from setuptools import setup\nsetup(name='demo', version=version(), py_modules=['code'])\n"
    )
    (folder / "named.py").write_text(
        "import os\ndef version():\n    print('ran')\n    return os.environ.get('RELEASE', '0')\n"
    )
    (folder / "code.py").write_text("x = 1\n")
    said: list[str] = []
    for variables, version, runs in (
        ({}, "0", True),
        ({"RELEASE": "1.0"}, "1.0", True),
        ({"RELEASE": "2.0"}, "2.0", True),
        ({"RELEASE": "1.0", "OTHER": "x"}, "1.0", False),
        ({}, "0", False),
    ):
        for name in ("RELEASE", "OTHER"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        said.clear()
        wheel = build(folder, store, environments, Options(tell=said.append))
        assert (wheel.filename, bool(said)) == (f"demo-{version}-py3-none-any.whl", runs)


@pytest.mark.parametrize(
    ("paths", "folders", "programs"),
    [
        (["setup.py", "versioneer.py", "app/x.py", "a.txt"], [], ["setup.py", "versioneer.py"]),
        (["hatch_build.py", "app/x.py"], [], ["hatch_build.py"]),
        (["app.py", "app/x.py"], [], []),
        (["own.py", "app/x.py"], ["."], ["own.py"]),
        (["top.py", "tools/own/x.py", "toolsx/y.py"], ["./tools/"], ["tools/own/x.py"]),
    ],
)
def test_what_of_a_project_runs_while_it_is_built(
    paths: list[str], folders: list[str], programs: list[str]
) -> None:
    items = [Item(path, "file") for path in paths]
    found = find_programs(Backend("own", tuple(folders), ()), items)
    assert [item.path for item in found] == programs


def test_what_was_never_installed_cannot_be_had_offline(
    project: Path, store: Store, environments: BuildEnvironments
) -> None:
    text = PROJECT.replace("requires = []", 'requires = ["hatchling"]')
    (project / "pyproject.toml").write_text(text)
    with pytest.raises(RequestError, match="hatchling, which was never installed"):
        build(project, store, environments, Options(offline=True))


def target(machine: str = "amd64") -> Target:
    return Target(
        platform=Platform(machine),
        python="3.12.7",
        abi="cp312",
        libc="glibc",
        libc_version=(2, 36),
        interpreter="/usr/bin/python3.12",
    )


def test_what_was_built_must_fit(store: Store, tmp_path: Path) -> None:
    check_fits(put(store, Made()), target())
    compiled = Made(tag="cp312-cp312-manylinux_2_17_x86_64")
    check_fits(put(store, compiled), target())
    with pytest.raises(InputError, match="does not fit linux/arm64"):
        check_fits(put(store, compiled), target("arm64"))
    hidden = Made(files={"a.so": build_library("x86_64", "a.so")}).write(tmp_path)
    with (
        hidden.open("rb") as stream,
        pytest.raises(InputError, match=r"a\.so` is compiled for one"),
    ):
        check_pure(WheelArchive(stream, hidden.name))


@pytest.mark.parametrize("backend", ["hatchling", "setuptools"])
def test_real_backends(
    backend: str, tmp_path: Path, store: Store, environments: BuildEnvironments
) -> None:
    """Installed from the index; twice the same bytes, whatever the time."""
    if not has_index(tmp_path, backend):
        pytest.skip("needs a package index")
    module = {"hatchling": "hatchling.build", "setuptools": "setuptools.build_meta"}[backend]
    folder = tmp_path / "demo"
    (folder / "demo").mkdir(parents=True)
    (folder / "demo" / "__init__.py").write_text("def main():\n    print('hello')\n")
    (folder / "pyproject.toml").write_text(
        f'[build-system]\nrequires = ["{backend}"]\nbuild-backend = "{module}"\n'
        '[project]\nname = "demo"\nversion = "1.0"\n[project.scripts]\ndemo = "demo:main"\n'
    )
    wheel = build(folder, store, environments)
    with Store.open(tmp_path / "other") as other:
        again = build(folder, other, environments, Options(offline=True))
        assert again == wheel
    check_fits(wheel, target())
    layer = WheelLayers(store).build([], Venv(), project=wheel)[-1]
    paths = {file.path for file in layer.wheels[0].files}
    assert "opt/venv/bin/demo" in paths
    assert "opt/venv/lib/python3.12/site-packages/demo/__init__.py" in paths


def test_what_a_backend_says_is_for_those_who_ask(
    project: Path,
    store: Store,
    environments: BuildEnvironments,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Its warnings, too, which the library that calls it would repeat."""
    speaking = (
        'import warnings\n    print("at work")\n    warnings.warn("this is old")\n    assert '
    )
    (project / "backend.py").write_text(BACKEND.replace("assert ", speaking, 1))
    heard: list[str] = []
    options = Options(tell=heard.append)
    build_project(project, store, environments, FileTable(store, project), options)
    assert {"at work", "this is old"} <= set(heard)
    assert capfd.readouterr() == ("", "")
