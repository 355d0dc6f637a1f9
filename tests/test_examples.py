"""The examples: each is read, checked and shown; those whose packages are here are built."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from imagist.declaration.defaults import with_defaults
from imagist.declaration.include import load_declaration
from support import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


def test_there_are_examples() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_a_declaration(path: Path) -> None:
    loaded = load_declaration(lambda name: Path(name).read_bytes(), str(path))
    declaration = with_defaults(loaded.declaration)
    assert declaration.contents.packages
    assert path.read_text().startswith("#"), "an example says what it shows"


def test_the_demo_builds_twice_to_the_same_digest() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "demo" / "demo.py")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "5. The same built from an empty store" in done.stdout
