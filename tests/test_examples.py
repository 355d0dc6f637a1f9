"""The examples: each is read, checked and shown; those whose packages are here are built."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from imagist.declaration.defaults import with_defaults
from imagist.declaration.include import load_declaration
from support import ROOT, is_present

EXAMPLES = sorted((ROOT / "examples").rglob("*.yaml"))


def test_there_are_examples() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_a_declaration(path: Path) -> None:
    loaded = load_declaration(lambda name: Path(name).read_bytes(), str(path))
    declaration = with_defaults(loaded.declaration)
    assert declaration.contents.packages
    assert path.read_text().startswith("#"), "an example says what it shows"


def test_the_demo_builds_pushes_and_runs_an_application() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "demo" / "demo.py")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "5. Every digest derived again" in done.stdout
    if Path("/etc/apt/sources.list.d/debian.sources").exists():
        assert "There is no such base here" not in done.stdout, done.stderr
        if is_present("podman") and is_present("runc"):
            assert "<h1>No word was too many.</h1>" in done.stdout, done.stdout
