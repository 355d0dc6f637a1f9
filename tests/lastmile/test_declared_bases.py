"""Bases that are built of a declaration: what a project adds to them, and what tells of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from build.conftest import Workshop
from imagist.declaration.include import load_declaration
from imagist.declaration.model import Declaration
from imagist.declaration.projectfile import load_project
from imagist.errors import RequestError
from imagist.lastmile.defaultbase import NAME, declare_base, default_base
from imagist.lastmile.job import OpenBase
from imagist.lastmile.requires import check_requires_python
from imagist.oci.mutate import make_index
from imagist.packages.deb.machine import Machine
from imagist.store.store import Store
from packages.wheel.targets import target


@pytest.fixture
def site(workshop: Workshop) -> Path:
    """A folder of files on a base with the package `hello`."""
    workshop.declare("[hello]")
    folder = workshop.folder / "site"
    (folder / "public").mkdir(parents=True)
    (folder / "public" / "index.html").write_text("<h1>No word too many</h1>\n")
    return folder


def settle(site: Path, *lines: str) -> None:
    base = "" if any(line.startswith("base") for line in lines) else "base: ../image.yaml\n"
    files = "files: [{source: public, path: /srv}]\ncommand: /usr/bin/hello\n"
    (site / "imagist.yaml").write_text(base + files + "\n".join(lines) + "\n")


def _declared(text: str) -> Declaration:
    return load_declaration(lambda _: text.encode(), "base.yaml").declaration


def _is(wanted: str) -> Callable[[str], bool]:
    return lambda python: python.startswith(wanted)


@pytest.mark.parametrize(
    "base", ["", "base: {contents: {repositories: [repo], keyring: [demo-test-only.rsa.pub]}}"]
)
def test_a_project_adds_packages_to_its_base(workshop: Workshop, site: Path, base: str) -> None:
    """To one in a file, and to one that stands in the project itself."""
    lines = [base] if base else []
    settle(site, *lines, "platforms: [amd64]")
    plain = workshop.build("site")
    settle(site, *lines, "platforms: [amd64]", "packages: [editor-small]")
    assert workshop.build("site") != plain
    shown = workshop.run("show", "packages", "site", "--json")
    names = {row["name"] for row in json.loads(shown.out)}
    assert "editor-small" in names
    assert ("hello" in names) == (not base)
    more = workshop.run("show", "packages", "site", "--json", "-p", "special", "-r", "extra")
    assert {row["name"] for row in json.loads(more.out)} == {*names, "special"}


def test_what_tells_of_a_declaration_tells_of_a_projects_base(
    workshop: Workshop, site: Path
) -> None:
    settle(site, "packages: [editor-small]")
    config = json.loads(workshop.run("show", "config", "site", "--json").out)
    assert config["contents"]["packages"] == ["hello", "editor-small"]
    chain = workshop.run("why", "site", "demo-libc").out
    assert chain.index("hello") < chain.index("libgreeting") < chain.index("demo-libc")
    assert "editor-small" in workshop.run("graph", "site").out
    assert workshop.run("show", "keys", "site").out == "demo-test-only.rsa.pub  every repository\n"
    settle(site, "platforms: [arm64]")
    rows = json.loads(workshop.run("show", "packages", "site", "--json").out)
    assert {row["platform"] for row in rows} == {"linux/arm64"}


def test_a_package_that_is_nowhere_is_told_where_it_is_asked_for(
    workshop: Workshop, site: Path
) -> None:
    settle(site, "packages: [editor-small, hallo]")
    told = workshop.run("build", "site")
    assert told.code == 2
    assert "`hallo`" in told.err
    assert " --> site/imagist.yaml:4:26\n" in told.err


@pytest.mark.parametrize("base", ["scratch", "./layout", "registry.example.org/base:1"])
def test_an_image_takes_no_packages(workshop: Workshop, site: Path, base: str) -> None:
    settle(site, f"base: {base}", "packages: [curl]")
    told = workshop.run("build", "site")
    assert told.code == 2
    assert f"`packages` is for bases that are made of packages, and {base} is an image" in told.err
    assert " --> site/imagist.yaml:4:11\n" in told.err
    assert "help: name a base that is declared: an image's YAML file with `contents`" in told.err


def test_the_default_base_is_shown_as_what_it_could_be_declared_as(
    workshop: Workshop, tmp_path: Path
) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "pyproject.toml").write_text('[project]\nname = "app"\n')
    shown = workshop.run("show", "config", "app")
    assert shown.code == 0, shown.err
    again = _declared(shown.out)
    wanted = default_base().declaration
    assert again.contents == wanted.contents
    assert "libstdc++6" in again.contents.packages
    assert (again.archs, again.accounts.run_as) == (wanted.archs, "nonroot")


@pytest.fixture(params=["bookworm", "noble", "elsewhere"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    """A machine of a release, with its own suites of packages and of security updates."""
    (tmp_path / "etc" / "apt").mkdir(parents=True)
    (tmp_path / "etc" / "os-release").write_text(f"ID=any\nVERSION_CODENAME={request.param}\n")
    suites = f"{request.param} {request.param}-security"
    lines = [f"deb https://mirror.example/ {suite} main\n" for suite in suites.split()]
    (tmp_path / "etc" / "apt" / "sources.list").write_text("".join(lines))
    return Machine(tmp_path)


def test_a_release_with_another_python_is_declared_as_the_default_base_is(
    machine: Machine,
) -> None:
    """Of distributions that are known; else whoever reads it has to find the release."""
    for wanted, suites in (
        ("3.1", {"bookworm": "bookworm", "noble": "jammy"}),
        ("3.12", {"noble": "noble"}),
        ("3.13", {"bookworm": "trixie"}),
        ("3.99", dict[str, str]()),
    ):
        text = declare_base(_is(wanted), machine)
        made = _declared(text)
        suite = suites.get(machine.codename, "SUITE")
        assert made.contents.repositories == (f"deb {suite} main", f"deb {suite}-security main")
        assert made.contents.packages == default_base().declaration.contents.packages


def test_a_python_that_the_default_base_has_not(store: Store) -> None:
    loaded = load_project(
        lambda path: (
            b'[project]\nname = "a"\nrequires-python = ">=3.99"\n'
            if path.endswith(".toml")
            else Path("/nowhere").read_bytes()
        )
    )
    for name, is_declared, said in (
        (
            NAME,
            True,
            'write `base = "base.yaml"` below [tool.imagist], and into that file\n    con',
        ),
        ("base.yaml", True, "or let the base have packages of a release with such a Python"),
        ("host.example/base", False, "or name a base with such a Python"),
    ):
        base = OpenBase(name, make_index([]), is_declared=is_declared)
        with pytest.raises(RequestError) as caught:
            check_requires_python(loaded, base, [target(python="3.12.8")], store.memo)
        [problem] = caught.value.problems
        assert said in str(problem.help)
