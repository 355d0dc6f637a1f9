"""The house itself: files a reader can hold in mind, and documents that tell the truth about it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imagist.cli.table import commands
from support import ROOT

SOURCES = sorted((ROOT / "src" / "imagist").rglob("*.py"))
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    long = {path.name: n for path in SOURCES if (n := len(path.read_text().splitlines())) > 410}
    assert not long


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert not [path for path in SOURCES if path.stem in VAGUE]


def test_every_module_opens_with_a_sentence() -> None:
    silent = [p for p in SOURCES if p.read_text().strip() and not p.read_text().startswith('"""')]
    assert not silent


def test_the_code_map_has_every_room_and_no_other() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    section = text[text.index("## Code map") : text.index("### Where to add")]
    told = set(re.findall(r"^\| `(\w+)/", section, re.MULTILINE))
    rooms = {p.name for p in (ROOT / "src" / "imagist").iterdir() if (p / "__init__.py").exists()}
    assert told == rooms


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_files_that_documents_name_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    named = re.findall(
        r"`((?:tests|declaration|build|store|cli|rootfs|oci|packages)/[\w/.]+)`", text
    )
    found = [ROOT / link for link in links]
    found += [
        ROOT / path if path.startswith("tests/") else Path(ROOT, "src", "imagist", path)
        for path in named
    ]
    missing = [
        str(path) for path in found if not (path.exists() or path.with_suffix(".py").exists())
    ]
    assert not missing


def test_readme_tells_every_command() -> None:
    text = (ROOT / "README.md").read_text()
    assert not [c.name for c in commands() if f"`imagist {c.name}" not in text]


def test_changelog_and_package_have_the_same_idea_of_the_version() -> None:
    version = re.search(r'__version__ = "(.+)"', (ROOT / "src/imagist/__init__.py").read_text())
    assert version is not None
    heads = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heads[0] == "Unreleased" or heads[0].startswith(version[1])
