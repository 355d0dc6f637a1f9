"""Bases that are built of a declaration: what a project adds to them, and what tells of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from build.conftest import Workshop
from imagist.declaration.include import load_declaration
from imagist.lastmile.defaultbase import default_base


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
    again = load_declaration(lambda _: shown.out.encode(), "base.yaml").declaration
    wanted = default_base().declaration
    assert again.contents == wanted.contents
    assert "libstdc++6" in again.contents.packages
    assert (again.archs, again.accounts.run_as) == (wanted.archs, "nonroot")
