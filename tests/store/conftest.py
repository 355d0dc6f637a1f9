from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagist.store.store import Store
from support import find_tool

Run = Callable[..., str]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def run() -> Run:
    """Run a real tool, which must succeed, and give what it says."""

    def run_tool(tool: str, *arguments: object) -> str:
        command = [find_tool(tool) or tool, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run_tool


@pytest.fixture
def podman(run: Run) -> Iterator[Run]:
    """Run podman with a state of its own (its folder must have a short name)."""
    with tempfile.TemporaryDirectory(prefix="i", ignore_cleanup_errors=True) as state:
        roots = ("--root", f"{state}/root", "--runroot", f"{state}/run")
        yield lambda *arguments: run("podman", *roots, "--storage-driver", "vfs", *arguments)
