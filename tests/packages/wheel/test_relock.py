"""Locks are made where there are none, and told to be old where a project went on."""

from __future__ import annotations

import doctest
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from fixtures.simpleindex import SimpleIndex
from fixtures.webserver import Web
from imagist.errors import NotFound, RequestError
from imagist.packages.wheel import relock
from imagist.packages.wheel.lock.find import read_lock
from imagist.packages.wheel.lock.model import Lock, Package
from imagist.packages.wheel.lock.pylock import read_pylock
from imagist.packages.wheel.lock.uv import find_uv, read_uv, run_uv
from imagist.packages.wheel.relock import Moved, find_source, make_lock
from imagist.packages.wheel.upkeep import expand_groups, find_drift
from imagist.packages.wheel.wanted import wanted_packages
from packages.wheel.targets import target
from packages.wheel.tinywheel import tiny_wheel

PROJECT = """\
[project]
name = "shop"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["alpha<2", "gamma; sys_platform == 'win32'"]
[project.optional-dependencies]
fast = ["beta"]
[dependency-groups]
dev = ["delta"]
"""


@pytest.fixture
def project(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, SimpleIndex]:
    """A project whose packages are on an index of its own."""
    index = SimpleIndex(web)
    for name in ("beta", "gamma", "delta"):
        index.add(name, f"{name}-1.0-py3-none-any.whl", tiny_wheel(name, "1.0"))
    index.add("alpha", "alpha-1.0-py3-none-any.whl", tiny_wheel("alpha", "1.0"))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PROJECT)
    for name in [name for name in os.environ if name.startswith(("UV_", "PIP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url.replace("http://", "http://me:secret@"))
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    return folder, index


def test_a_lock_is_for_every_platform_and_has_hashes(
    project: tuple[Path, SimpleIndex],
) -> None:
    folder, index = project
    made = make_lock(folder, "pyproject.toml", python="3.11", extras=["fast"])
    lock = read_pylock(made.data, "pylock.toml")
    assert [str(package) for package in lock.packages] == ["alpha 1.0", "beta 1.0", "gamma 1.0"]
    assert lock.packages[0].files[0].sha256 == index.sha256("alpha-1.0-py3-none-any.whl")
    assert lock.packages[2].marker == 'sys_platform == "win32"'
    assert b"secret" not in made.data
    assert made.moved == ()
    assert "locked 3 packages of pyproject.toml for Python 3.11 and later with uv" in made.notice
    assert sorted(path.name for path in folder.iterdir()) == ["pyproject.toml"]


def test_versions_stay_until_an_update_is_asked_for(project: tuple[Path, SimpleIndex]) -> None:
    folder, index = project
    first = make_lock(folder, "pyproject.toml", python="3.11").data
    index.add("alpha", "alpha-1.5-py3-none-any.whl", tiny_wheel("alpha", "1.5"))
    again = make_lock(folder, "pyproject.toml", python="3.11", old=first).data
    assert again == first
    for wish in ("alpha", "*"):
        newer = make_lock(folder, "pyproject.toml", python="3.11", old=first, update=[wish])
        assert read_pylock(newer.data, "p").packages[0].version == "1.5"
        assert newer.moved == (Moved("alpha", "1.0", "1.5"),)
    assert not list(folder.glob("pylock*"))


def test_what_is_updated_must_be_there(project: tuple[Path, SimpleIndex]) -> None:
    folder, _ = project
    first = make_lock(folder, "pyproject.toml", python="3.11").data
    with pytest.raises(RequestError, match="no package `alfa` to update") as caught:
        make_lock(folder, "pyproject.toml", python="3.11", old=first, update=["alfa", "Gamma"])
    assert [problem.help for problem in caught.value.problems] == ["did you mean `alpha`?"]


def test_a_lock_is_for_the_extras_and_groups_that_it_was_made_with(
    project: tuple[Path, SimpleIndex],
) -> None:
    """uv puts what they want in, and does not say whose it is."""
    folder, _ = project
    made = make_lock(folder, "pyproject.toml", python="3.11", extras=["fast"], groups=["dev"])
    again = make_lock(
        folder, "pyproject.toml", python="3.11", extras=["fast"], groups=["dev"], old=made.data
    )
    assert (again.data, again.moved) == (made.data, ())
    lock = read_pylock(made.data, "pylock.toml")

    def told(**wishes: Sequence[str]) -> list[str]:
        with pytest.raises(RequestError) as caught:
            wanted_packages(lock, target(), **wishes)
        return [problem.message for problem in caught.value.problems]

    found = wanted_packages(lock, target(), extras=["Fast"], groups=["dev"])
    assert [package.name for package in found] == ["alpha", "beta", "delta"]
    assert told(extras=["fast", "slow"], groups=["dev"]) == [
        "the lock was made without the extra `slow`"
    ]
    assert told() == [
        "the lock was made with the extra `fast`, which is not asked for",
        "the lock was made with the group `dev`, which is not asked for",
    ]
    other = make_lock(folder, "pyproject.toml", python="3.11", old=made.data)
    assert [move.name for move in other.moved] == ["beta", "delta"]


# pins


@pytest.fixture
def pinned(project: tuple[Path, SimpleIndex]) -> Path:
    folder, index = project
    for version in ("1.4", "1.5", "2.0"):
        name = f"alpha-{version}-py3-none-any.whl"
        index.add("alpha", name, tiny_wheel("alpha", version))
    lines = ["# by hand", "Alpha==1.4", "gamma>=1", "more==1.0", "beta==1.0 ; os_name == 'nt'"]
    (folder / "requirements.txt").write_text("\n".join(lines))
    return folder


def test_versions_pinned_by_hand_are_kept(pinned: Path) -> None:
    made = make_lock(pinned, "pyproject.toml", python="3.11", requirements=["alpha<2"])
    lock = read_pylock(made.data, "pylock.toml")
    assert [str(package) for package in lock.packages] == ["alpha 1.4", "gamma 1.0"]
    assert "locked 2 packages of pyproject.toml" in made.notice
    assert "1 of them in the versions that requirements.txt pins" in made.notice
    assert [warning.partition(",")[0] for warning in made.warnings] == [
        "requirements.txt pins `beta`",
        "requirements.txt pins `more`",
    ]


def test_pins_hold_as_long_as_they_are_there(pinned: Path) -> None:
    """Somebody who changes a pin is heard; somebody who asks for more than it allows is told."""
    first = make_lock(pinned, "pyproject.toml", python="3.11").data
    with pytest.raises(RequestError, match=r"txt:2:1: `alpha` cannot be updated: .*==1\.4"):
        make_lock(pinned, "pyproject.toml", python="3.11", old=first, update=["alpha"])
    everything = make_lock(pinned, "pyproject.toml", python="3.11", old=first, update=["*"])
    assert everything.moved == ()
    (pinned / "requirements.txt").write_text("alpha==1.0\n")
    again = make_lock(pinned, "pyproject.toml", python="3.11", old=first)
    assert again.moved == (Moved("alpha", "1.4", "1.0"),)


def test_pins_that_contradict_are_told(pinned: Path) -> None:
    def refused(*requirements: str) -> list[str]:
        with pytest.raises(RequestError) as caught:
            make_lock(pinned, "pyproject.toml", python="3.11", requirements=requirements)
        return [f"{problem} ({problem.help})" for problem in caught.value.problems]

    (pinned / "requirements.txt").write_text("gamma==1.0\nalpha==2.0\n")
    (told,) = refused("alpha<2", "alpha<1; os_name == 'nt'", "?")
    assert "txt:2:1: requirements.txt pins `alpha==2.0`" in told
    assert "but pyproject.toml requires `alpha<2`" in told
    (told,) = refused()
    assert "alpha<2" in told
    assert "versions that requirements.txt pins are kept" in told


def test_a_list_is_not_pinned_by_itself(pinned: Path) -> None:
    (pinned / "requirements.txt").write_text("alpha==1.4\n")
    made = make_lock(pinned, "requirements.txt", python="3.11")
    assert "pins" not in made.notice
    assert read_pylock(made.data, "p").packages[0].version == "1.4"


def test_without_a_solution_uv_says_why(project: tuple[Path, SimpleIndex]) -> None:
    folder, _ = project
    (folder / "requirements.in").write_text("alpha>9\n")
    with pytest.raises(RequestError, match=r"cannot be locked: (?s:.*)alpha>9") as caught:
        make_lock(folder, "requirements.in", python="3.12")
    assert "secret" not in str(caught.value)
    with pytest.raises(NotFound, match=r"requirements\.txt to lock"):
        make_lock(folder, "requirements.txt", python="3.12")
    assert not list(folder.glob("pylock*"))


def test_a_lock_of_uv_is_read_by_uv(project: tuple[Path, SimpleIndex]) -> None:
    folder, _ = project
    run_uv(["lock"], folder, what="lock")
    here = target()

    def names(extras: Sequence[str] = (), groups: Sequence[str] | None = None) -> list[str]:
        lock = read_lock(folder / "uv.lock", extras=extras, groups=groups)
        found = wanted_packages(lock, here, extras=extras, groups=groups)
        return [package.name for package in found]

    assert names() == ["alpha"]
    assert names(extras=["fast"]) == ["alpha", "beta"]
    assert names(groups=["dev"]) == ["alpha", "delta"]
    with pytest.raises(RequestError, match="the lock has no extra `slow`"):
        names(extras=["slow"])
    with pytest.raises(RequestError, match=r"uv cannot read uv\.lock: .*`slow`"):
        read_uv(folder / "uv.lock", extras=["slow"])


def test_uv_is_the_one_that_was_installed_beside() -> None:
    assert Path(find_uv()).name == "uv"


def test_the_lowest_python() -> None:
    assert doctest.testmod(relock).failed == 0
    assert find_source({"requirements.txt", "pyproject.toml"}) == "pyproject.toml"
    assert find_source({"setup.py"}) is None


# drift


def test_what_a_project_requires_and_its_lock_lacks() -> None:
    packages = (
        Package(name="alpha", version="1.0"),
        Package(name="beta", version="2.0rc1"),
        Package(name="own"),
    )
    lock = Lock(file="poetry.lock", packages=packages)
    required = [
        "alpha>=2",
        "Beta[more]>=1.9",
        "gamma",
        "delta; sys_platform == 'win32'",
        "own>3",
        "alpha==1.0; extra == 'x'",
        "?",
    ]
    found = find_drift(lock, target(), packages, [(text, "pyproject.toml") for text in required])
    assert [problem.message.partition(":")[0] for problem in found] == [
        "`alpha>=2` is required, but poetry.lock has 1.0",
        "`gamma` is required, but poetry.lock has no `gamma`",
        "`?` is no requirement",
    ]


def test_groups_include_groups() -> None:
    groups = {
        "dev": ("pytest", {"include-group": "Lint_er"}),
        "lint-er": ("ruff", {"include-group": "dev"}, 7),
    }
    assert expand_groups(groups, ["dev"]) == ["pytest", "ruff"]
    assert expand_groups(groups, ["absent"]) == []


def test_wheels_in_the_project_are_named_as_on_any_machine(
    project: tuple[Path, SimpleIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = project
    place = folder / "own wheels"
    place.mkdir()
    (place / "delta-2.0-py3-none-any.whl").write_bytes(tiny_wheel("delta", "2.0"))
    monkeypatch.setenv("UV_FIND_LINKS", str(place))
    data = make_lock(folder, "pyproject.toml", python="3.11", groups=["dev"]).data
    found = {each.name: each for each in read_pylock(data, "pylock.toml").packages}
    assert found["delta"].files[0].location == "own wheels/delta-2.0-py3-none-any.whl"
    assert b"file://" not in data
    again = make_lock(folder, "pyproject.toml", python="3.11", groups=["dev"], old=data).data
    assert again == data
