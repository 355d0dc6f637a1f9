"""uv's locks mean here what they mean to uv, on every target and with every wish."""

from __future__ import annotations

import os
from itertools import chain, combinations
from pathlib import Path

import pytest

from fixtures.simpleindex import SimpleIndex
from fixtures.webserver import serve
from imagist.errors import RequestError
from imagist.packages.wheel.lock.find import read_lock
from imagist.packages.wheel.lock.model import Lock, Origin
from imagist.packages.wheel.lock.uv import read_uv, run_uv
from imagist.packages.wheel.lock.uvlock import read_uv_lock
from imagist.packages.wheel.wanted import wanted_packages
from packages.wheel.targets import target
from packages.wheel.tinywheel import tiny_wheel

PROJECT = """\
[project]
name = "Shop_Floor"
version = "1.0"
requires-python = ">=3.11"
dependencies = [
    "a[x]",
    "b<2; platform_machine == 'aarch64'",
    "b>=2; platform_machine != 'aarch64'",
    "member",
]
[project.optional-dependencies]
fast = ["c[y]; python_full_version < '3.13'", "d"]
all = ["shop-floor[fast,slow]"]
slow = ["e; sys_platform == 'linux'"]
[dependency-groups]
lint = ["f"]
dev = ["a[z]", { include-group = "lint" }]
[tool.uv.sources]
member = { workspace = true }
[tool.uv.workspace]
members = ["member"]
"""
MEMBER = '[project]\nname = "member"\nversion = "0.1"\ndependencies = ["g"]\nrequires-python = ">=3.11"\n'
WHEELS = {
    ("a", "1.0"): ("h; extra == 'x'", "i; extra == 'z'", "a2; os_name == 'nt'"),
    ("a2", "1.0"): (),
    ("b", "1.0"): ("h",),
    ("b", "2.0"): ("i",),
    ("c", "1.0"): ("d; extra == 'y'", "j; extra == 'y' and platform_machine == 's390x'"),
    ("d", "1.0"): ("c",),
    ("e", "1.0"): ("a[z]",),
    ("f", "1.0"): (),
    ("g", "1.0"): ("f; python_version >= '3.13'",),
    ("h", "1.0"): (),
    ("i", "1.0"): ("h",),
    ("j", "1.0"): (),
}
TARGETS = [target(), target("arm64"), target("s390x"), target(python="3.13.1")]
EXTRAS = ("fast", "slow", "all")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace, locked by uv."""
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "member").mkdir()
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "member" / "pyproject.toml").write_text(MEMBER)
    with serve() as web, pytest.MonkeyPatch.context() as patch:
        index = SimpleIndex(web)
        for (name, version), needs in WHEELS.items():
            index.add(name, f"{name}-{version}-py3-none-any.whl", tiny_wheel(name, version, needs))
        for name in [name for name in os.environ if name.startswith("UV_")]:
            patch.delenv(name)
        patch.setenv("UV_DEFAULT_INDEX", index.url)
        patch.setenv("UV_CACHE_DIR", str(folder / "cache"))
        run_uv(["lock"], folder, what="lock")
    return folder


def named(lock: Lock, **wishes: tuple[str, ...]) -> list[list[str]]:
    """What each target wants; of folders uv does not tell the version."""
    return [
        [
            f"{package.name} {package.origin or package.version}"
            for package in wanted_packages(lock, each, **wishes)
        ]
        for each in TARGETS
    ]


@pytest.mark.parametrize("groups", [(), ("dev",), ("lint",)])
@pytest.mark.parametrize("extras", list(chain(combinations(EXTRAS, 0), combinations(EXTRAS, 1))))
def test_what_is_wanted_is_what_uv_exports(
    folder: Path, extras: tuple[str, ...], groups: tuple[str, ...]
) -> None:
    read = read_uv_lock((folder / "uv.lock").read_bytes(), "uv.lock")
    assert read is not None
    exported = read_uv(folder / "uv.lock", extras=extras, groups=groups)
    ours = named(read, extras=extras, groups=groups)
    assert ours == named(exported, extras=extras, groups=groups)
    assert len({tuple(names) for names in ours}) > 1


def test_files_and_places(folder: Path) -> None:
    lock = read_lock(folder / "uv.lock")
    assert lock.requires_python == ">=3.11"
    assert set(lock.extras or ()) == set(EXTRAS)
    assert lock.groups == ("dev", "lint")
    found = {str(package): package for package in lock.packages}
    assert found["member 0.1"].origin == Origin("directory", "member")
    (file,) = found["b 2.0"].files
    assert (file.name, file.is_wheel) == ("b-2.0-py3-none-any.whl", True)
    assert file.location.startswith("http://127.0.0.1")
    assert found["b 2.0"].index.endswith("/simple")
    text = (folder / "uv.lock").read_text().splitlines()
    where = lock.place(found["b 2.0"])
    assert not isinstance(where, str)
    assert text[where.line - 1] == 'name = "b"'
    assert text[where.line] == 'version = "2.0"'


def test_what_only_uv_can_tell_is_left_to_it(folder: Path) -> None:
    data = (folder / "uv.lock").read_bytes()
    assert read_uv_lock(data.replace(b"version = 1\n", b"version = 2\n", 1), "l") is None
    conflicts = b'conflicts = [[{ package = "shop-floor", extra = "fast" }]]\n'
    assert read_uv_lock(data.replace(b"revision", conflicts + b"revision", 1), "l") is None
    assert read_uv_lock(data.replace(b' = "." }', b' = "elsewhere" }'), "l") is None


def test_a_damaged_lock_is_told_with_places(folder: Path) -> None:
    data = (folder / "uv.lock").read_bytes()
    broken = data.replace(b"sha256:", b"md5:", 1).replace(b'{ name = "h" }', b'{ name = "no" }', 1)
    with pytest.raises(RequestError) as caught:
        read_uv_lock(broken, "uv.lock")
    messages = sorted(str(problem) for problem in caught.value.problems)
    assert len(messages) == 2
    assert any("has no SHA-256" in message for message in messages)
    assert any("no one package for the dependency `no`" in message for message in messages)


def test_extras_that_exclude_each_other_are_uvs_business(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.11"\n'
        '[project.optional-dependencies]\nold = ["b<2"]\nnew = ["b>=2"]\n'
        '[tool.uv]\nconflicts = [[{ extra = "old" }, { extra = "new" }]]\n'
    )
    with serve() as web:
        index = SimpleIndex(web)
        for version in ("1.0", "2.0"):
            index.add("b", f"b-{version}-py3-none-any.whl", tiny_wheel("b", version))
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
        run_uv(["lock"], tmp_path, what="lock")
    for extra, version in (("old", "1.0"), ("new", "2.0")):
        lock = read_lock(tmp_path / "uv.lock", extras=[extra])
        assert lock.graph is None
        assert [str(each) for each in wanted_packages(lock, target(), extras=[extra])] == [
            f"b {version}"
        ]
    with pytest.raises(RequestError):
        read_lock(tmp_path / "uv.lock", extras=["old", "new"])
